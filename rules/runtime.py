"""What running rules share, whether compiled or interpreted: frames, budgets and every operation's meaning.

Each function takes the frame first. None trusts its arguments further than the checker did: numbers keep their 64
bits, texts their budget, and whatever goes wrong becomes a `RuleFailed` with the rule's id.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from rules.core import Body, Call, Op, ScheduledBody
from rules.diagnostics import BudgetExceeded, Refused, RuleFailed
from rules.functions import ERRORS, FUNCTIONS, WITH_ZONE
from rules.host import Effects, Found, JobRequest
from rules.locations import Pattern, PatternError
from rules.regular import matches_wildcards
from rules.values import LARGEST, Entity, NotReadable, Period, Rate, as_text, read

STEPS: Final = 10_000
ROWS: Final = 1_000
TEXT_CHARACTERS: Final = 64 << 10
_CHECKED: Final = frozenset({"Time", "Int", "Decimal", "Fraction", "Bool", "Size", "Duration", "Date"})


@dataclass(slots=True)
class Frame:
    """One event as one rule sees it.

    Attributes:
        slots: values by slot number; entities of the event are put there when the frame is made.
        at: the captures of the rule's location.
        token: what makes calls of this run the same calls when it is repeated.
        event_values: what `before` rules set, by target.
        undos: what was done and can be undone, latest last.
    """

    rule: str
    slots: list[Any]
    at: Mapping[str, str]
    now: datetime
    host: Effects
    timezone: tzinfo = UTC
    token: str = ""
    event_values: dict[str, Any] = field(default_factory=dict)
    undos: list[tuple[Call, dict[str, Any], int]] = field(default_factory=list)
    steps: int = STEPS
    rows: int = ROWS
    text: int = TEXT_CHARACTERS
    calls: int = 0
    watch: Callable[[int], None] | None = None

    def fail(self, message: str) -> RuleFailed:
        return RuleFailed("RULE_ERROR", message, self.rule)


def tick(frame: Frame, steps: int) -> None:
    """Charge steps.

    Raises:
        BudgetExceeded: none are left.
    """
    frame.steps -= steps
    if frame.steps < 0:
        raise BudgetExceeded("steps", frame.rule)


def _charge_text(frame: Frame, characters: int) -> None:
    frame.text -= characters
    frame.steps -= characters >> 6
    if frame.text < 0:
        raise BudgetExceeded("text", frame.rule)
    if frame.steps < 0:
        raise BudgetExceeded("steps", frame.rule)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple, frozenset, dict)) else 1


# -- reading --------------------------------------------------------------------------------------------------


def load(frame: Frame, entity: Any, attribute: str, type_name: str, required: bool) -> Any:
    """An attribute of an entity or record."""
    if isinstance(entity, Entity):
        facts = entity.facts
        if attribute in facts:
            value = facts[attribute]
        else:
            tick(frame, 5)
            value = facts[attribute] = frame.host.attribute(entity, attribute)
    elif isinstance(entity, Mapping):
        value = entity.get(attribute)
    else:
        raise frame.fail(f"there is nothing here that has `{attribute}`")
    if value is None:
        if required:
            raise frame.fail(f"`{attribute}` of `{as_text(entity) or type_name}` is not there")
        return None
    if type_name in _CHECKED and isinstance(value, str):
        return _typed(frame, value, type_name, attribute)
    return value


def meta(frame: Frame, entity: Any, attribute: str, type_name: str) -> Any:
    """The value of a metadata attribute, as its declared type; None when there is none."""
    tick(frame, 5)
    if not isinstance(entity, Entity):
        raise frame.fail(f'there is nothing here that has metadata "{attribute}"')
    value = frame.host.metadata(entity, attribute)
    if value is None or type_name not in _CHECKED:
        return value
    return _typed(frame, value, type_name, attribute)


def _typed(frame: Frame, text: str, type_name: str, what: str) -> Any:
    try:
        return read(text, type_name, frame.timezone)
    except NotReadable as error:
        raise RuleFailed("META_TYPE", f"`{what}`: {error}", frame.rule) from None


def item(frame: Frame, of: Any, index: Any) -> Any:
    """One item of a list or map, or None."""
    if isinstance(of, Mapping):
        return of.get(index)
    return of[index] if 0 <= index < len(of) else None


def look_up(frame: Frame, name: str, names: tuple[str, ...], *values: Any) -> Any:
    """A look-up of the host, with its arguments by name."""
    tick(frame, 20)
    return frame.host.look_up(name, dict(zip(names, values, strict=True)))


def find(
    frame: Frame, kind: str, pattern: Pattern | None, slot: int, limit: int, bound: bool,
    condition: Op | None, holds: Callable[[Frame], bool] | None,
) -> list[Entity]:  # fmt: skip
    """The first entities of a kind that satisfy a condition, in order of their ids."""
    wanted = Found(kind, pattern, frame.at if bound else {}, condition, slot, limit, frame)
    found: list[Entity] = []
    hidden = frame.slots[slot]
    try:
        for entity in frame.host.candidates(wanted, frame.rows):
            frame.rows -= 1
            if frame.rows < 0:
                raise BudgetExceeded("catalog rows", frame.rule)
            tick(frame, 2)
            frame.slots[slot] = entity
            if holds is None or holds(frame):
                found.append(entity)
                if len(found) == limit:
                    break
    finally:
        frame.slots[slot] = hidden
    return found


# -- computing ------------------------------------------------------------------------------------------------


def _bounded(frame: Frame, value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise frame.fail("the number has more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise frame.fail("the number is too large")
    return value


def _joined(frame: Frame, left: Any, right: Any) -> str:
    one, two = as_text(left), as_text(right)
    _charge_text(frame, len(one) + len(two))
    return one + two


def add(frame: Frame, left: Any, right: Any, result: str) -> Any:
    """A sum, or one text after the other."""
    try:
        if result in ("Text", "Path"):
            return _joined(frame, left, right)
        if isinstance(right, Period):
            return right.after(left) if isinstance(left, datetime) else right + left
        if isinstance(left, Rate):
            return Rate(_bounded(frame, left.bytes_per_second + right.bytes_per_second))
        return _bounded(frame, left + right)
    except (OverflowError, TypeError) as error:
        raise frame.fail(f"`+` failed: {error}") from None


def subtract(frame: Frame, left: Any, right: Any, result: str) -> Any:
    try:
        if isinstance(right, Period):
            return right.negated().after(left) if isinstance(left, datetime) else right.negated() + left
        if isinstance(left, Period):
            return left + (-right)
        if isinstance(left, Rate):
            return Rate(left.bytes_per_second - right.bytes_per_second)
        return _bounded(frame, left - right)
    except (OverflowError, TypeError) as error:
        raise frame.fail(f"`-` failed: {error}") from None


def multiply(frame: Frame, left: Any, right: Any, result: str) -> Any:
    try:
        if isinstance(right, (Period, Rate)):
            left, right = right, left
        if isinstance(left, Period):
            return Period(_bounded(frame, left.months * right), left.rest * right)
        if isinstance(left, Rate):
            if isinstance(right, timedelta):
                return _whole(frame, left.bytes_per_second * right.total_seconds())
            return Rate(_bounded(frame, left.bytes_per_second * right))
        value = left * right
        return _whole(frame, value) if result == "Size" else _bounded(frame, value)
    except (OverflowError, TypeError) as error:
        raise frame.fail(f"`*` failed: {error}") from None


def _whole(frame: Frame, value: float) -> int:
    _bounded(frame, value)
    return int(_bounded(frame, int(value)))


def divide(frame: Frame, left: Any, right: Any, result: str) -> Any:
    try:
        if isinstance(right, Rate):
            return timedelta(seconds=left / right.bytes_per_second)
        if result == "Rate":
            return Rate(_bounded(frame, left / right.total_seconds()))
        value = left / right
        return _whole(frame, value) if result == "Size" else _bounded(frame, value)
    except ZeroDivisionError:
        raise frame.fail("division by zero") from None
    except (OverflowError, TypeError) as error:
        raise frame.fail(f"`/` failed: {error}") from None


def negative(frame: Frame, value: Any) -> Any:
    return value.negated() if isinstance(value, Period) else -value


def compare(frame: Frame, left: Any, right: Any, operator: str) -> bool:
    """`lt`, `le`, `gt` or `ge`."""
    try:
        if operator == "lt":
            return bool(left < right)
        if operator == "le":
            return bool(left <= right)
        if operator == "gt":
            return bool(left > right)
        return bool(left >= right)
    except TypeError:
        raise frame.fail("these two cannot be compared") from None


def contains(frame: Frame, value: Any, where: Any) -> bool:
    """Whether a value is in a list or a window of time."""
    tick(frame, _size(where) >> 4)
    if isinstance(value, Entity) and isinstance(where, (list, tuple, frozenset)):
        return any(value == entry for entry in where)
    return value in where


def interpolated(frame: Frame, *parts: Any) -> str:
    """Parts of a text, one after the other."""
    text = "".join([as_text(part) for part in parts])
    _charge_text(frame, len(text))
    return text


def native(frame: Frame, name: str, *values: Any) -> Any:
    """A pure function, charged by the size of what it is given."""
    tick(frame, 1 + (sum(map(_size, values)) >> 4))
    function = FUNCTIONS[name]
    try:
        if name in WITH_ZONE:
            result = function.run(*values, frame.timezone)
        elif name == "sum":
            result = _total(frame, values[0])
        else:
            result = function.run(*values)
    except ERRORS as error:
        raise frame.fail(f"`{name}` failed: {error}") from None
    if isinstance(result, str):
        _charge_text(frame, len(result))
    elif isinstance(result, list):
        _charge_text(frame, sum(map(_size, result)))
    return _bounded(frame, result)


def _total(frame: Frame, values: list[Any]) -> Any:
    total = values[0]  # the type has no zero of its own; of nothing there is no sum
    for value in values[1:]:
        total = add(frame, total, value, "")
    return total


def count(frame: Frame, value: Any) -> int:
    return len(value)


def wildcards(frame: Frame, text: Any, pattern: str) -> bool:
    text = as_text(text)
    tick(frame, 1 + (len(text) * (1 + pattern.count("*")) >> 4))
    return matches_wildcards(text, pattern)


def matches(frame: Frame, text: Any, expression: Any) -> bool:
    text = as_text(text)
    tick(frame, 1 + (len(text) >> 4))
    return expression.fullmatch(text) is not None


def is_at(frame: Frame, value: Any, pattern: Pattern) -> bool:
    return pattern.match(as_text(value)) is not None


def path_of(frame: Frame, source: Any, pattern: Pattern, attributes: tuple[str, ...]) -> str:
    """The path of a location, its captures from attributes of the same names and of the same kinds."""
    values = {}
    for name in pattern.captures:
        if isinstance(source, Mapping):
            found = source.get(name)
        elif name in attributes:
            found = load(frame, source, name, "Text", False)
        elif name == source.kind.lower() and "id" in attributes:
            found = load(frame, source, "id", "Text", False)
        else:
            found = frame.host.attribute(source, name)
        values[name] = as_text(found)
    try:
        path = pattern.build(values)
    except PatternError as error:
        raise frame.fail(f"`path_of` failed: {error}") from None
    _charge_text(frame, len(path))
    return path


def every(frame: Frame, source: Any, slot: int, holds: Callable[[Frame], bool]) -> bool:
    return not _search(frame, source, slot, holds, False)


def some(frame: Frame, source: Any, slot: int, holds: Callable[[Frame], bool]) -> bool:
    return _search(frame, source, slot, holds, True)


def _search(frame: Frame, source: Any, slot: int, holds: Callable[[Frame], bool], wanted: bool) -> bool:
    hidden = frame.slots[slot]
    try:
        for value in source:
            tick(frame, 1)
            frame.slots[slot] = value
            if bool(holds(frame)) is wanted:
                return True
        return False
    finally:
        frame.slots[slot] = hidden


def each(frame: Frame, source: Any, slot: int, limit: int, run: Callable[[Frame], bool]) -> bool:
    """Run statements for the first `limit` values of a list; False when they ended the rule."""
    for value in source[:limit]:
        tick(frame, 1)
        frame.slots[slot] = value
        if not run(frame):
            return False
    return True


# -- doing ----------------------------------------------------------------------------------------------------


def refuse(frame: Frame, message: Any, code: str) -> None:
    raise Refused(code, as_text(message), frame.rule)


def require(frame: Frame, message: Any, code: str, kind: str, deciding: bool) -> None:
    """What a `require` that does not hold ends with."""
    if deciding:
        raise Refused(code, as_text(message), frame.rule)
    raise RuleFailed(code, as_text(message), frame.rule, kind)


def fail(frame: Frame, message: Any, code: str, kind: str) -> None:
    raise RuleFailed(code, as_text(message), frame.rule, kind)


def set_event(frame: Frame, value: Any, target: str) -> None:
    frame.event_values[target] = value


def set_meta(frame: Frame, entity: Any, value: Any, unit: Any, attribute: str) -> None:
    _entity(frame, entity)
    tick(frame, 10)
    frame.host.set_metadata(entity, attribute, as_text(value), as_text(unit))


def remove_meta(frame: Frame, entity: Any, attribute: str) -> None:
    _entity(frame, entity)
    tick(frame, 10)
    frame.host.remove_metadata(entity, attribute)


def set_attribute(frame: Frame, entity: Any, value: Any, name: str) -> None:
    _entity(frame, entity)
    tick(frame, 10)
    entity.facts.pop(name, None)
    frame.host.set_attribute(entity, name, value)


def _entity(frame: Frame, value: Any) -> None:
    if not isinstance(value, Entity):
        raise frame.fail("there is nothing here that could be changed")


def do(
    frame: Frame, call: Call, values: tuple[Any, ...], undo_values: Callable[[Frame], tuple[Any, ...]]
) -> None:
    """Call a microservice, keep its result, and remember how to undo it."""
    tick(frame, 20)
    frame.calls += 1
    number = frame.calls
    arguments = dict(zip(call.names, values, strict=True))
    result = frame.host.call(call.name, arguments, f"{frame.token}.{number}")
    if call.slot is not None:
        frame.slots[call.slot] = result
    if call.undo is not None:
        undo = dict(zip(call.undo.names, undo_values(frame), strict=True))
        frame.undos.append((call.undo, undo, number))


def undone(frame: Frame, run: Callable[[Frame], bool]) -> bool:
    """Run statements and give their answer; when one fails, undo what they did, latest first, and fail as it did.

    Raises:
        RuleFailed: the first failure, or `COMPENSATION_FAILED` that says what is left when undoing failed too.
    """
    mark = len(frame.undos)
    try:
        goes_on = run(frame)
    except RuleFailed as failure:
        left: list[str] = []
        while len(frame.undos) > mark:
            call, arguments, number = frame.undos.pop()
            try:
                frame.host.call(call.name, arguments, f"{frame.token}.{number}.undo")
            except RuleFailed as error:
                left.append(f"`{call.name}` failed: {error}")
        if left:
            raise RuleFailed(
                "COMPENSATION_FAILED",
                f"{failure}; what was begun is not undone: {'; '.join(left)}",
                frame.rule,
                "final",
            ) from failure
        raise
    del frame.undos[mark:]
    return goes_on


def attempt(
    frame: Frame, run: Callable[[Frame], bool], recover: Callable[[Frame], bool], slot: int | None
) -> bool:
    """Run statements, and others instead when they fail; a refusal or a spent budget is not recovered from."""
    try:
        return run(frame)
    except (Refused, BudgetExceeded):
        raise
    except RuleFailed as failure:
        if slot is not None:
            frame.slots[slot] = {"code": failure.code, "kind": failure.kind, "text": str(failure)}
        return recover(frame)


def emit(frame: Frame, name: str, names: tuple[str, ...], *values: Any) -> None:
    tick(frame, 10)
    frame.host.emit(name, dict(zip(names, values, strict=True)))


def note(frame: Frame, message: Any) -> None:
    text = as_text(message)
    _charge_text(frame, len(text))
    frame.host.note(text)


def schedule(frame: Frame, scheduled: ScheduledBody, *values: Any) -> None:
    """Ask for work to be done later."""
    tick(frame, 20)

    def value(index: int | None) -> Any:
        return None if index is None else values[index]

    def seconds(index: int | None) -> float:
        length = value(index)
        return float(length.total_seconds()) if length is not None else 0.0

    date: datetime | None = value(scheduled.date)
    begins = frame.now + timedelta(seconds=seconds(scheduled.after)) if date is None else date
    frame.host.schedule(
        JobRequest(
            name=scheduled.name,
            body_id=scheduled.body.id,
            rule_id=frame.rule,
            key=as_text(value(scheduled.key)),
            captured=capture(frame, scheduled),
            not_before=begins.timestamp(),
            retries=scheduled.retries,
            backoff_s=seconds(scheduled.backoff),
            backoff_limit_s=seconds(scheduled.backoff_limit),
            deadline_s=seconds(scheduled.deadline) if scheduled.deadline is not None else None,
            as_user=as_text(value(scheduled.as_user)),
        )
    )


# -- values that wait -----------------------------------------------------------------------------------------


def capture(frame: Frame, scheduled: ScheduledBody) -> dict[str, Any]:
    """The values that scheduled work takes along, as JSON."""
    names = scheduled.body.names
    kept = {f"{slot}": frozen(frame.slots[slot]) for slot in scheduled.captured}
    return {
        "at": dict(frame.at),
        "slots": kept,
        "names": {f"{slot}": names[slot] for slot in scheduled.captured},
    }


def frozen(value: Any) -> Any:
    """A value as JSON that `thawed` reads back."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, Period):
        return {"months": value.months, "seconds": value.rest.total_seconds()}
    if isinstance(value, Rate):
        return {"rate": value.bytes_per_second}
    if isinstance(value, Entity):
        plain = {k: frozen(v) for k, v in value.facts.items() if not isinstance(v, (Entity, list))}
        return {"entity": [value.kind, value.key, value.name], "facts": plain}
    if isinstance(value, (list, tuple, frozenset)):
        return {"list": [frozen(entry) for entry in value]}
    if isinstance(value, Mapping):
        return {"map": {str(k): frozen(v) for k, v in value.items()}}
    return {"text": as_text(value)}


def thawed(value: Any) -> Any:
    """A value that was `frozen`."""
    if not isinstance(value, dict):
        return value
    if "time" in value:
        return datetime.fromisoformat(value["time"])
    if "months" in value:
        return Period(value["months"], timedelta(seconds=value["seconds"]))
    if "seconds" in value:
        return timedelta(seconds=value["seconds"])
    if "rate" in value:
        return Rate(value["rate"])
    if "entity" in value:
        kind, key, name = value["entity"]
        return Entity(kind, key, name, {k: thawed(v) for k, v in value.get("facts", {}).items()})
    if "list" in value:
        return [thawed(entry) for entry in value["list"]]
    if "map" in value:
        return {key: thawed(entry) for key, entry in value["map"].items()}
    return value["text"]


def frame_slots(body: Body, entities: Mapping[str, Any]) -> list[Any]:
    """The slots of a body, with the event's entities in their places."""
    slots: list[Any] = [None] * len(body.names)
    for slot, _ in body.entities:
        slots[slot] = entities.get(body.names[slot])
    return slots
