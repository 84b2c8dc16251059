"""A policy as prose, for the committee that decides about it and does not read programs."""

from rules import ast
from rules.formatter import expression_text, place_text

_PHASES = {"before": "Before", "after": "After", "during": "During"}


def prose(policy: ast.Policy) -> str:
    """The policy in sentences, as Markdown."""
    lines = [f"# {policy.name}, version {policy.version}", ""]
    if policy.zone:
        lines += [f"For the zone {policy.zone}.", ""]
    locations = {location.name: location.pattern for location in policy.of(ast.Location)}
    for location in policy.of(ast.Location):
        lines.append(f"* **{location.name}** is everything at `{location.pattern}`.")
    lines.append("")
    for rule in policy.of(ast.Rule):
        lines += [f"## {_sentence(rule.title)}", "", _rule(rule, locations), ""]
        lines += [f"Because {rule.because}.", ""] if rule.because else []
    for keep in policy.of(ast.Keep):
        lines += [
            f"## {_sentence(keep.title)}",
            "",
            f"Of every object at {keep.location}{_guards(keep.guards)}, there are always:",
            "",
        ]
        lines += [f"* {_promise(promise)}" for promise in keep.promises]
        lines.append("")
    for sweep in policy.of(ast.Sweep):
        lines += [f"## {_sentence(sweep.title)}", "", _sweep(sweep), ""]
    return "\n".join(lines).rstrip() + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rule(rule: ast.Rule, locations: dict[str, str]) -> str:
    if rule.phase == "on":
        head = f"When the signal {rule.verb} comes"
    else:
        where = f" at {rule.location}" if rule.location else ""
        head = f"{_PHASES[rule.phase]} {_article(rule.noun)} {rule.noun} {_verb(rule.verb)}{where}"
    text = f"{head}{_guards(rule.guards)}: {_statements(rule.body)}."
    return text + (f" Otherwise: {_statements(rule.otherwise)}." if rule.otherwise else "")


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _verb(verb: str) -> str:
    return f"is {verb}d" if verb.endswith("e") else f"{verb}"


def _guards(guards: tuple[ast.Guard, ...]) -> str:
    return "".join(f", {'when' if g.wanted else 'unless'} {expression_text(g.condition)}" for g in guards)


def _statements(block: ast.Block) -> str:
    return "; ".join(_statement(statement) for statement in block) or "nothing happens"


def _statement(node: ast.Statement) -> str:
    if isinstance(node, ast.Refuse):
        return f"it is refused with {expression_text(node.message)}"
    if isinstance(node, ast.Require):
        return f"it is refused with {expression_text(node.message)} unless {expression_text(node.condition)}"
    if isinstance(node, ast.SetMetadata):
        return f"{node.attribute} of the {expression_text(node.of)} becomes {expression_text(node.value)}"
    if isinstance(node, ast.SetAttribute):
        return f"{node.attribute} of the {expression_text(node.of)} becomes {expression_text(node.value)}"
    if isinstance(node, ast.RemoveMetadata):
        return f"{node.attribute} of the {expression_text(node.of)} is removed"
    if isinstance(node, ast.If):
        text = f"if {expression_text(node.condition)}, {_statements(node.then)}"
        return text + (f", else {_statements(node.otherwise)}" if node.otherwise else "")
    if isinstance(node, ast.Schedule):
        when = f" on {expression_text(node.date)}" if node.date is not None else ""
        when += f" after {expression_text(node.after)}" if node.after is not None else ""
        return f'work "{node.name}" is done later{when} ({_statements(node.body)})'
    if isinstance(node, ast.Do):
        return f"{expression_text(node.call)} is done"
    if isinstance(node, ast.Emit):
        return f"{node.name} is sent"
    if isinstance(node, ast.Fail):
        return f"it fails with {expression_text(node.message)}"
    if isinstance(node, ast.ForEach):
        return f"for each {node.name} of {expression_text(node.source)} (at most {node.limit}), {_statements(node.body)}"
    if isinstance(node, ast.Try):
        return f"{_statements(node.body)}, and if that fails {_statements(node.recover)}"
    if isinstance(node, ast.Let):
        return f"{node.name} is {expression_text(node.value)}"
    return (
        "it is allowed" if isinstance(node, ast.Allow) else f"a note is made: {expression_text(node.message)}"
    )


def _promise(promise: ast.Promise) -> str:
    amount = "no copy" if not promise.count else f"{promise.count} cop{'y' if promise.count == 1 else 'ies'}"
    text = f"{amount} where {place_text(promise.place)}"
    if promise.lasts is not None:
        text += f", for {expression_text(promise.lasts)}"
        text += f" after {expression_text(promise.after)}" if promise.after is not None else ""
    return text + (f", until {expression_text(promise.ends)}" if promise.ends is not None else "")


def _sweep(sweep: ast.Sweep) -> str:
    text = f"Every {expression_text(sweep.every)}, every {sweep.over}"
    text += f" at {sweep.location}" if sweep.location else ""
    text += _guards(sweep.guards)
    if sweep.order is not None:
        text += f", by {expression_text(sweep.order)}"
    if sweep.until is not None:
        text += f", up to {expression_text(sweep.until)}"
    return f"{text}: {_statements(sweep.body)}."
