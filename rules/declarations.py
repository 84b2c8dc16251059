"""What a policy has in scope: its own declarations, those it uses, and `facility.base`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rules import ast, locations
from rules.diagnostics import Finding, suggestion
from rules.locations import Pattern, PatternError
from rules.source import Span
from rules.types import BASE, GENERIC, Type

_QUICK = frozenset({"none", "catalog.read"})
SLOW = frozenset({"data.read", "data.write", "data.delete", "compute.kernel", "net.call", "exec", "mail"})
EFFECTS = (
    SLOW
    | _QUICK
    | {
        "catalog.write",
        "acl.write",
        "meta.write",
        "job.schedule",
        "sign",
        "time",
        "note",
        "instrument.feedback",
    }
)


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    default: ast.Constant | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A microservice as the checker knows it."""

    name: str
    parameters: tuple[Parameter, ...]
    result: Type | None
    effects: frozenset[str]
    undo: str = ""

    @property
    def is_look_up(self) -> bool:
        """It changes nothing and gives a value, so expressions may call it."""
        return self.result is not None and self.effects <= _QUICK

    @property
    def is_slow(self) -> bool:
        return any(effect.partition("(")[0] in SLOW for effect in self.effects)


@dataclass(slots=True)
class Declarations:
    """Names to what they stand for."""

    vocabularies: dict[str, Type] = field(default_factory=dict)
    entities: dict[str, dict[str, Type]] = field(default_factory=dict)
    metadata: dict[tuple[str, str], Type] = field(default_factory=dict)
    codes: dict[str, ast.FailureCode] = field(default_factory=dict)
    locations: dict[str, Pattern] = field(default_factory=dict)
    constants: dict[str, ast.NamedConstant] = field(default_factory=dict)
    functions: dict[str, ast.Function] = field(default_factory=dict)
    microservices: dict[str, Signature] = field(default_factory=dict)
    captures: dict[str, dict[str, Type]] = field(default_factory=dict)

    @property
    def words(self) -> frozenset[str]:
        """Every word of every vocabulary."""
        return frozenset(word for t in self.vocabularies.values() for word in t.words or ())

    def type(self, written: ast.TypeName) -> Type | None:
        """The type that a name in the text means; None when there is none."""
        name = written.name
        arguments = [self.type(argument) for argument in written.arguments]
        if None in arguments or len(arguments) != GENERIC.get(name, 0):
            return None
        found: Type | None = None
        if name in GENERIC:
            found = Type(name, tuple(a for a in arguments if a is not None))
        elif name in self.vocabularies:
            found = self.vocabularies[name]
        elif name in BASE:
            found = BASE[name]
        elif name in self.entities or name == "Principal":
            found = Type(name)
        return found.optional if found is not None and written.option else found

    def metadata_type(self, attribute: str, entity: str) -> Type | None:
        return self.metadata.get((attribute, entity))


class Collector:
    """Reads declarations of several policies, in order, and says what is wrong with those of the last."""

    def __init__(self) -> None:
        self.found = Declarations()
        self.findings: list[Finding] = []
        self._own: dict[tuple[str, str], Span] = {}

    def library(self, policies: Iterable[ast.Policy]) -> None:
        """Take in what other policies declare; they were checked on their own."""
        for policy in policies:
            self._read(policy)
            self._own.clear()
            self.findings.clear()

    def own(self, policy: ast.Policy) -> None:
        self._read(policy)

    def report(self, id: str, message: str, span: Span, help_text: str = "") -> None:
        self.findings.append(Finding(id, message, span, help_text))

    def _once(self, kind: str, name: str, span: Span) -> bool:
        if (kind, name) in self._own:
            self.report(
                "E110", f"there is a {kind} `{name}` already", span, f"see line {self._own[kind, name].line}"
            )
            return False
        self._own[kind, name] = span
        return True

    def _read(self, policy: ast.Policy) -> None:
        found = self.found
        for vocabulary in policy.of(ast.Vocabulary):
            if self._once("vocabulary", vocabulary.name, vocabulary.span):
                found.vocabularies[vocabulary.name] = Type(vocabulary.name, words=frozenset(vocabulary.words))
        for entity in policy.of(ast.EntityDeclaration):
            if self._once("entity", entity.name, entity.span):
                found.entities.setdefault(entity.name, {})
        for entity in policy.of(ast.EntityDeclaration):
            found.entities[entity.name].update({n: self._type(t) for n, t in entity.fields})
        for schema in policy.of(ast.MetadataType):
            if schema.entity not in found.entities:
                self.unknown("entity", schema.entity, schema.span, found.entities)
            found.metadata[schema.attribute, schema.entity] = self._type(schema.type)
        for code in policy.of(ast.FailureCode):
            if code.kind not in ("refused", "retryable", "final", "bug"):
                self.unknown(
                    "kind of failure", code.kind, code.span, ("refused", "retryable", "final", "bug")
                )
            if self._once("code", code.name, code.span):
                found.codes[code.name] = code
        for location in policy.of(ast.Location):
            if self._once("location", location.name, location.span):
                self._location(location)
        for constant in policy.of(ast.NamedConstant):
            if self._once("constant", constant.name, constant.span):
                found.constants[constant.name] = constant
        for function in policy.of(ast.Function):
            if self._once("function", function.name, function.span):
                found.functions[function.name] = function
        for microservice in policy.of(ast.Microservice):
            if self._once("microservice", microservice.name, microservice.span):
                self._microservice(microservice)

    def unknown(self, what: str, name: str, span: Span, known: Iterable[str], id: str = "E101") -> None:
        known = list(known)
        listed = suggestion(name, known)
        if not listed and 0 < len(known) <= 12:
            listed = "there are " + ", ".join(f"`{n}`" for n in sorted(known))
        self.report(id, f"there is no {what} called `{name}`", span, listed)

    def _type(self, written: ast.TypeName) -> Type:
        found = self.found.type(written)
        if found is None:
            known = [*BASE, *GENERIC, *self.found.entities, *self.found.vocabularies]
            self.unknown("type", written.name, written.span, known)
            return BASE["Any"]
        return found

    def _location(self, location: ast.Location) -> None:
        allowed: dict[str, tuple[str, ...]] = {}
        types: dict[str, Type] = {}
        forms = {clause.capture: clause.form for clause in location.captures if clause.form}
        for clause in location.captures:
            if clause.form:
                continue
            words = clause.words
            if isinstance(words, str):
                vocabulary = self.found.vocabularies.get(words)
                if vocabulary is None:
                    self.unknown("vocabulary", words, clause.span, self.found.vocabularies)
                    continue
                types[clause.capture] = vocabulary
                words = tuple(sorted(vocabulary.words or ()))
            allowed[clause.capture] = words
        try:
            pattern = locations.compile_pattern(location.name, location.pattern, allowed, forms)
        except PatternError as error:
            self.report("E111", str(error), location.span)
            pattern = locations.compile_pattern(location.name, "/-", {}, {})
        self.found.locations[location.name] = pattern
        self.found.captures[location.name] = {c: types.get(c, BASE["Text"]) for c in pattern.captures}

    def _microservice(self, declared: ast.Microservice) -> None:
        defaults = dict(declared.defaults)
        for effect in declared.effects:
            if effect.partition("(")[0] not in EFFECTS:
                self.unknown("effect", effect, declared.span, EFFECTS)
        if "data.delete" in declared.effects and declared.undo:
            self.report("E112", "what is deleted cannot be undone", declared.span)
        parameters = tuple(Parameter(n, self._type(t), defaults.get(n)) for n, t in declared.parameters)
        result = self._type(declared.result) if declared.result is not None else None
        signature = Signature(declared.name, parameters, result, frozenset(declared.effects), declared.undo)
        known = self.found.microservices.get(declared.name)
        if known is not None and not _is_known_as(known, signature):
            self.report(
                "E113", f"`{declared.name}` is declared elsewhere with another signature", declared.span
            )
        self.found.microservices.setdefault(declared.name, signature)


def in_scope(policy: ast.Policy, library: Mapping[str, ast.Policy]) -> tuple[Declarations, list[Finding]]:
    """Everything the policy may name, and what is wrong with its own declarations."""
    collector = Collector()
    base = library.get("facility.base")
    used = [base] if base is not None and policy.name != "facility.base" else []
    for use in policy.of(ast.Use):
        found = library.get(use.name)
        if found is None:
            collector.unknown("policy to use", use.name, use.span, library, "E114")
        elif use.version is not None and found.version != use.version:
            collector.report(
                "E115", f"`{use.name}` is there in version {found.version}, not {use.version}", use.span
            )
        elif found not in used and use.name != policy.name:
            used.append(found)
    wrong = list(collector.findings)
    collector.library(used)
    collector.own(policy)
    return collector.found, wrong + collector.findings


def _is_known_as(known: Signature, said: Signature) -> bool:
    """Whether a signature says of a microservice what is so: the same, or without the last parameters, all of which have defaults."""
    if (known.result, known.effects) != (said.result, said.effects) or len(said.parameters) > len(
        known.parameters
    ):
        return False
    if known.parameters == said.parameters:
        return True
    first, rest = known.parameters[: len(said.parameters)], known.parameters[len(said.parameters) :]
    return all(one.default is not None for one in rest) and all(
        (one.name, one.type.required) == (other.name, other.type.required)
        for one, other in zip(first, said.parameters, strict=True)
    )
