"""Verdicts for people: a chain as lines of text, and as a picture."""

from html import escape
from typing import Final

from provenance.judging import Step
from provenance.states import EXIT, UNSIGNED, VERIFIED
from provenance.verdict import NOT_COVERED, Verdict

_WIDTH: Final = 230
_HEIGHT: Final = 74
_GAP: Final = 46
_COLOURS: Final = {0: "#2e7d32", 10: "#f9a825", 20: "#ef6c00", 30: "#d84315", 40: "#b71c1c"}


def as_text(name: str, verdict: Verdict) -> list[str]:
    """The chain, a step a line, and what it comes to.

    Args:
        name: what was judged.
        verdict: what was found.
    """
    lines = []
    for number, step in enumerate(verdict.steps, 1):
        mark = "  <- trust boundary" if number == verdict.boundary else ""
        lines.append(
            f"{number} {step.kind:<14} {_what(step):<24} {step.time:<21} {_detail(step):<16} {_found(step)}{mark}"
        )
        if step.reason and step.reason != verdict.reason and step.counts:
            lines.append(f"    {step.reason}")
    lines.append(f"{name}: {verdict.state}{': ' if verdict.reason else ''}{verdict.reason}")
    if verdict.boundary and verdict.trusted_until:
        last = verdict.steps[verdict.trusted_until - 1]
        what = f" ({last.names[0]})" if last.names else ""
        lines.append(f"Verified until step {verdict.trusted_until}{what}.")
    if verdict.state == UNSIGNED and verdict.boundary:
        lines.append(
            f"At step {verdict.boundary} the content rests on what this grid does not vouch for; that is no accusation."
        )
    return [*lines, NOT_COVERED]


def _what(step: Step) -> str:
    said = step.said
    if "instrument" in said:
        return f"{said.get('beamline', '')}/{said['instrument']}"
    if isinstance(said.get("kernel"), dict):
        return f"{said['kernel'].get('name', '')} {said['kernel'].get('version', '')}"
    if "target" in said and "source" in said:
        return f"{said['source']} -> {said['target']}"
    for name in ("medium", "command", "doi", "method", "new", "same"):
        if name in said:
            return str(said[name])[:24]
    return step.names[0].rpartition("/")[2] if step.names else ""


def _detail(step: Step) -> str:
    if "frames" in step.said:
        return f"{step.said['frames']:,} frames"
    return f"checked: {step.said['checked']}" if "checked" in step.said else ""


def _found(step: Step) -> str:
    seen = f" ({len(step.witnessed)} witnesses: {', '.join(step.witnessed)})" if step.witnessed else ""
    aside = "" if step.counts else " (does not count)"
    return f"{step.state}{seen}{aside}  {step.signer}"


def as_svg(name: str, verdict: Verdict) -> str:
    """The chain as a picture: a box a step, from left to right as one rests on another, in the colour of what was found."""
    graph = verdict.graph()
    columns: list[int] = []
    for before in graph:
        columns.append(1 + max((columns[number - 1] for number in before), default=-1))
    rows: list[int] = []
    used: dict[int, int] = {}
    for column in columns:
        rows.append(used.get(column, 0))
        used[column] = rows[-1] + 1
    width = (max(columns, default=0) + 1) * (_WIDTH + _GAP) + _GAP
    height = max(used.values(), default=1) * (_HEIGHT + 22) + 120
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f"<title>{escape(name)}: {escape(verdict.state)}</title>",
        '<defs><marker id="a" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto"><path d="M0,0 L9,4 L0,8 z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_GAP}" y="28" font-size="16" font-weight="bold">{escape(name)}: {escape(verdict.state)}</text>',
        f'<text x="{_GAP}" y="48" fill="#444">{escape(verdict.reason or "every step is signed by who may, logged and unchanged")}</text>',
    ]
    places = [
        (_GAP + column * (_WIDTH + _GAP), 70 + row * (_HEIGHT + 22))
        for column, row in zip(columns, rows, strict=True)
    ]
    for (x, y), before in zip(places, graph, strict=True):
        for number in before:
            from_x, from_y = places[number - 1]
            parts.append(
                f'<path d="M{from_x + _WIDTH},{from_y + _HEIGHT // 2} L{x},{y + _HEIGHT // 2}" stroke="#555" fill="none" marker-end="url(#a)"/>'
            )
    for number, (step, (x, y)) in enumerate(zip(verdict.steps, places, strict=True), 1):
        parts += _box(number, step, x, y)
    parts.append(f'<text x="{_GAP}" y="{height - 14}" fill="#444">{escape(NOT_COVERED)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _box(number: int, step: Step, x: int, y: int) -> list[str]:
    colour = _COLOURS[EXIT[step.state]] if step.counts else "#9e9e9e"
    dashed = "" if step.state == VERIFIED else ' stroke-dasharray="5 3"'
    lines = (f"{number} {step.kind}", _what(step) or step.signer, step.time or step.reason, step.state)
    texts = [
        f'<text x="{x + 10}" y="{y + 18 + 16 * line}"{_weight(line)} fill="{colour if line == 3 else "#222"}">{escape(text[:36])}</text>'
        for line, text in enumerate(lines)
    ]
    return [
        f'<g><title>{escape(step.reason or step.state)}</title>',
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="white" stroke="{colour}" stroke-width="2"{dashed}/>',
        *texts, "</g>",
    ]  # fmt: skip


def _weight(line: int) -> str:
    return ' font-weight="bold"' if line in (0, 3) else ""
