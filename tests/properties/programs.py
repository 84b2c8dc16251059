"""Random policies that check: what the differential and formatting properties run on."""

import random

LEAVES = {
    "Int": ["3", "12", "49", "0", "object.copies", "object.id", "twelve"],
    "Size": ["4 kB", "7 MB", "1 KiB", "0 B", "object.size"],
    "Duration": ["3 seconds", "5 minutes", "9 days", "(now - object.closed_at)"],
    "Time": ["now", "object.closed_at"],
    "Text": ['"a"', '"bb"', '"Ccc"', '"x y"', '""', "at.visit", "object.name", '(metadata "label" of object default "none")',
             '(metadata "nothing" of object default "none")'],
    "Bool": ["true", "false", "object.closed", '(metadata "label" of object exists)', '(metadata "no" of object exists)'],
}  # fmt: skip
MADE = {
    "Int": ["({Int} + {Int})", "({Int} - {Int})", "({Int} * {Int})", "count({List<Int>})", "max({List<Int>})",
            "sum({List<Int>})", "(-{Int})", "year({Time})", "round({Int} / {Int})"],
    "Size": ["({Size} + {Size})", "({Size} - {Size})", "({Int} * {Size})"],
    "Duration": ["({Duration} + {Duration})", "({Time} - {Time})", "({Duration} * {Int})"],
    "Time": ["({Time} + {Duration})", "({Time} - {Duration})", "({Time} + 2 months)", "({Time} - 1 year)"],
    "Text": ["({Text} + {Text})", "lower({Text})", "size_text({Size})", 'join({List<Text>}, "-")', '"n {{object.id}} m"',
             '"{{now}}{{twelve}}"'],
    "Bool": ["({Int} = {Int})", "({Int} != {Int})", "({Int} < {Int})", "({Int} >= {Int})", "({Text} = {Text})",
             "({Text} < {Text})", "({Size} < {Size})", "({Time} > {Time})", "({Duration} <= {Duration})",
             "({Bool} and {Bool})", "({Bool} or {Bool} or {Bool})", "(not {Bool})", "({Int} in {List<Int>})",
             "({Int} not in {List<Int>})", "({Text} in {List<Text>})", '({Text} like "*b?")', '({Text} matches "[a-c]+x?")',
             "(all n in {List<Int>} satisfy (n > 3 or {Bool}))", "(any m in {List<Int>} satisfy (m = {Int}))",
             "larger({Int}, {Int})", "(object is at raw)", "(actor = {Text})"],
    "List<Int>": ["[{Int}]", "[{Int}, {Int}, {Int}]"],
    "List<Text>": ["[{Text}]", "[{Text}, {Text}]", 'split({Text}, "b")'],
}  # fmt: skip
PLAIN = ["require {Bool} else {Text} code NO", "if {Bool} {{ fail {Text} code LATER }}", "note {Text}", "let v# = {Int}",
         "let v# = {Text}", "let v# = {Size}"]  # fmt: skip
DECIDING = [
    "if {Bool} {{ refuse {Text} code NO }}",
    "if {Bool} {{ allow }}",
    'set replica.resource to "disk"',
]
ACTING = ['set metadata "m" of object to {Text}', 'set metadata "n" of object to {Int} unit "mm"',
          'remove metadata "m" of object', 'do grant("anna", {Text}, object) undo revoke("anna", path: object)',
          'do create_collection("/z/raw/v1/x") giving c#', "emit steward_alert(text: {Text})",
          'schedule "later" key {Int} after {Duration} {{ note "x" }}', "set object.owner to actor"]  # fmt: skip
NESTED = ["if {Bool} {{ {BLOCK} }} else {{ {BLOCK} }}", "for each i# in {List<Int>} up to 3 {{ {BLOCK} }}",
          "try {{ {BLOCK} }} recover f# {{ {BLOCK} }}", "try {{ {BLOCK} }} recover f# {{ note f#.code }}"]  # fmt: skip
HEAD = """policy random.program version 1
code NO kind refused "no"
code LATER kind retryable "later"
location raw = "/z/raw/{visit}/**"
let twelve = 12
define larger(a: Int, b: Int) -> Bool = a > b
"""


class Generator:
    """Writes programs from one source of randomness."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._names = 0

    def program(self) -> str:
        """A policy with one rule."""
        deciding = self._chance.random() < 0.5
        head = "before object create" if deciding else "after object close"
        words = [self._chance.choice(["when", "unless"]) for _ in range(self._chance.randrange(4))]
        guards = "".join(f"  {word} {self.expression('Bool', 3)}\n" for word in words)
        rule = f'rule "random" id r\n  {head} at raw\n{guards}  {{\n{self.block(2, deciding)}\n}}'
        return (
            HEAD
            + rule
            + (f" otherwise {{ {self.block(1, deciding)} }}\n" if self._chance.random() < 0.3 else "\n")
        )

    def expression(self, kind: str, depth: int) -> str:
        plain = LEAVES.get(kind)
        if plain is not None and (depth == 0 or self._chance.random() < 0.3):
            return self._chance.choice(plain)
        return self._filled(self._chance.choice(MADE[kind]), max(depth - 1, 0), 0, False)

    def block(self, depth: int, deciding: bool) -> str:
        return "\n".join(self.statement(depth, deciding) for _ in range(self._chance.randint(1, 4)))

    def statement(self, depth: int, deciding: bool) -> str:
        patterns = PLAIN + (DECIDING if deciding else ACTING) + (NESTED if depth else [])
        self._names += 1
        pattern = self._chance.choice(patterns).replace("#", str(self._names))
        return self._filled(pattern, 2, depth, deciding)

    def _filled(self, pattern: str, depth: int, blocks: int, deciding: bool) -> str:
        out, rest = "", pattern.replace("{{", "\0").replace("}}", "\1")
        while "{" in rest:
            before, _, rest = rest.partition("{")
            name, _, rest = rest.partition("}")
            out += before + (
                self.block(blocks - 1, deciding) if name == "BLOCK" else self.expression(name, depth)
            )
        return (out + rest).replace("\0", "{").replace("\1", "}")
