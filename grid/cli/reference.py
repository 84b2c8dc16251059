"""Reference pages that are made from the code: `python -m grid.cli.reference` writes them, a test compares them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy

from accel.geometry import Poni
from accel.kernel import Parameter, Product
from accel.shipped import SHIPPED
from grid.policy import bundles
from grid.policy.lookups import ANSWERS
from microservices import declarations
from provenance.predicates import PREDICATES, Predicate, json_schema
from provenance.statements import PREDICATE, STATEMENT
from provenance.states import EXIT, MEANING
from rules.declarations import Signature, in_scope
from rules.events import AFTER_SETTABLE, ALWAYS, EMITTED, EVENTS, SIGNALS, SURROUNDINGS
from rules.findings import FINDINGS
from rules.functions import FUNCTIONS

FOLDER: Final = Path(__file__).parents[2] / "docs/reference"
_MADE: Final = "<!-- made from the code by `python -m grid.cli.reference` -->"


def findings_page() -> str:
    """What `beamgrid policy check` finds."""
    lines = [
        _MADE,
        "# Findings",
        "",
        "What `beamgrid policy check` says, by its id. W are warnings; the others keep a policy from being served.",
        "",
    ]
    for number, text in sorted(FINDINGS.items()):
        lines += [f"### {number}", "", text, ""]
    return "\n".join(lines).rstrip() + "\n"


def events_page() -> str:
    """Every event with what rules find in scope."""
    lines = [_MADE, "# Events", ""]
    lines += [
        "Every event offers "
        + ", ".join(f"`{n}` ({k})" for n, k in ALWAYS.items())
        + ", `now`, and `at` with the captures",
        "of the rule's location. Events at a path also offer what their subject lies in: "
        + ", ".join(f"`{n}`" for n in SURROUNDINGS)
        + ".",
        "",
    ]
    lines += ["| event | when | rules | besides | may be set before |", "|---|---|---|---|---|"]
    for name, event in EVENTS.items():
        besides = ", ".join(f"`{n}` ({k})" for n, k in event.context.items() if SURROUNDINGS.get(n) != k)
        settable = ", ".join(f"`{n}` ({t})" for n, t in event.settable.items())
        where = "" if event.placed else " (no location)"
        lines.append(
            f"| `{name}` | {event.summary}{where} | {', '.join(sorted(event.phases))} | {besides} | {settable} |"
        )
    lines += ["", "## Signals", "", "| signal | carries |", "|---|---|"]
    lines += [
        f"| `{name}` | {', '.join(f'`{n}` ({k})' for n, k in carried.items())} |"
        for name, carried in SIGNALS.items()
    ]
    lines += ["", "## What rules may emit", "", "| event | may carry |", "|---|---|"]
    lines += [
        f"| `{name}` | {', '.join(f'`{n}` ({k})' for n, k in carried.items())} |"
        for name, carried in EMITTED.items()
    ]
    lines += ["", "## What `after` rules and jobs may set", ""]
    lines += [f"* `{name}` ({kind})" for name, kind in AFTER_SETTABLE.items()]
    return "\n".join(lines) + "\n"


def microservices_page() -> str:
    """Functions, look-ups and microservices, and which of them this zone can do."""
    declared, _ = in_scope(bundles.base_policy(), {})
    lines = [
        _MADE,
        "# Functions, look-ups and microservices",
        "",
        "## Functions",
        "",
        "| function | gives | |",
        "|---|---|---|",
    ]
    for name, function in FUNCTIONS.items():
        parameters = ", ".join(f"{n}: {t}" for n, t in function.parameters)
        lines.append(f"| `{name}` | `({parameters}) -> {function.result}` | {function.summary} |")
    lines.append(
        "| `path_of` | `(location, thing) -> Path` | the path of a location, its captures from the thing's attributes |"
    )
    lines += [
        "",
        "## Look-ups",
        "",
        "They read the catalog and may stand in expressions.",
        "",
        "| look-up | signature | this zone |",
        "|---|---|---|",
    ]
    for name, signature in declared.microservices.items():
        if signature.is_look_up:
            lines.append(
                f"| `{name}` | {_signature(signature)} | {'yes' if name in ANSWERS else 'not yet'} |"
            )
    lines += [
        "",
        "## Microservices",
        "",
        "Called with `do`. What this zone cannot do yet can be checked and tested, not served.",
        "",
    ]
    lines += [
        "| microservice | signature | effects | undo | clients may call it | |",
        "|---|---|---|---|---|---|",
    ]
    known = declarations()
    for name, signature in declared.microservices.items():
        if signature.is_look_up:
            continue
        entry = known.get(name)
        clients = "yes" if entry is not None and entry.for_clients else "no"
        summary = entry.summary if entry is not None else "not yet"
        undo = f"`{signature.undo}`" if signature.undo else ""
        lines.append(
            f"| `{name}` | {_signature(signature)} | {', '.join(sorted(signature.effects))} | {undo} | {clients} | {summary} |"
        )
    return "\n".join(lines) + "\n"


def _signature(signature: Signature) -> str:
    parameters = ", ".join(
        f"{p.name}: {p.type}" + (" = ..." if p.default is not None else "") for p in signature.parameters
    )
    result = f" -> {signature.result}" if signature.result is not None else ""
    return f"`({parameters}){result}`"


def predicates_page() -> str:
    """Every predicate of signed statements, with who signs it."""
    lines = [
        _MADE, "# Predicates", "",
        "What a signed statement may say. Its type is `https://w3id.org/beamgrid/prov/NAME/v1`, an identifier that is never fetched.",
        "A statement of another kind is the boundary of what can be judged, not an error.", "",
        "| predicate | says | signed by |", "|---|---|---|",
    ]  # fmt: skip
    for one in PREDICATES.values():
        lines.append(f"| [`{one.name}`]({one.name}.md) | {one.meaning} | {_roles(one)} |")
    lines += ["", "## What is found of a step", "", "| state | exit status | means |", "|---|---|---|"]
    lines += [f"| `{state}` | {EXIT[state]} | {meaning} |" for state, meaning in MEANING.items()]
    return "\n".join(lines) + "\n"


def _roles(one: Predicate) -> str:
    return " or ".join(f"`{role}`" for role in one.roles) or "the root"


def predicate_page(one: Predicate) -> str:
    """One predicate: its fields, its schema, and an example."""
    lines = [
        _MADE,
        f"# `{one.name}`",
        "",
        one.meaning,
        "",
        f"Signed by: {_roles(one)}.",
        "",
        "| field | kind | says |",
        "|---|---|---|",
    ]
    for field in one.fields:
        kind = field.kind.replace("|", " or ")
        lines.append(
            f"| `{field.name}` | {kind}{'' if field.required else ', may be left out'} | {field.meaning} |"
        )
    example = {
        "_type": STATEMENT, "predicateType": PREDICATE.format(one.name), "predicate": dict(one.example),
        "subject": [{"name": "/maxiv/data/nanomax/scan101.h5", "digest": {"merkle_sha256": "9f86d081" * 8}}],
    }  # fmt: skip
    lines += ["", "## Example", "", "```json", json.dumps(example, indent=2), "```"]
    lines += [
        "",
        "## Schema of the predicate",
        "",
        "```json",
        json.dumps(json_schema(one.name), indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"


def kernels_page() -> str:
    """The kernels that come with the grid."""
    lines = [
        _MADE, "# Kernels", "",
        "Frames are of `uint8`, `uint16`, `uint32`, `int32` or `float32`. A pixel is invalid where the mask says so, where an unsigned one has its type's largest",
        "value, where an `int32` is below zero, and where a `float32` is not finite. `beamgrid kernel show NAME` prints the source; [how to write one](../../how-to/write-a-kernel.md).", "",
        "| kernel | version | computes |", "|---|---|---|",
        *(f"| [`{name}`]({name}.md) | {module.KERNEL.version} | {module.KERNEL.summary} |" for name, module in SHIPPED.items()), "",
    ]  # fmt: skip
    return "\n".join(lines)


def kernel_page(name: str) -> str:
    """One of them: formula, parameters, results, error, traffic."""
    module = SHIPPED[name]
    kernel = module.KERNEL
    needed: dict[str, dict[str, Any]] = {
        "azimuthal": {"geometry": Poni(0.1, 0, 0, 0, 0, 0, 1e-4, 1e-4)},
        "lossy": {"error": 1},
    }
    made = module.bind((16, 16), numpy.dtype("uint16"), **needed.get(name, {}))
    lines = [
        _MADE, f"# {kernel.name} {kernel.version}", "", kernel.summary, "", f"Formula: {kernel.formula}", "",
        f"A device differs from the reference by: {kernel.tolerance or 'nothing'}.", "", f"Traffic: {kernel.traffic} (bytes, a pixel of b bytes).", "",
        f"Reference: `accel.shipped.{name}.reference`, in NumPy. Source: `accel/shipped/kernels/{name}.cl`.", "", "## Parameters", "",
        "| parameter | kind | without | what it is |", "|---|---|---|---|", *(_parameter_row(one) for one in module.PARAMETERS), "",
        "## Results", "", "For frames of 16 x 16 `uint16`:", "", "| result | shape | type | unit | what it is |", "|---|---|---|---|---|",
        *(_product_row(one) for one in made.products), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _parameter_row(one: Parameter) -> str:
    kind = f"one of {', '.join(f'`{choice}`' for choice in one.choices)}" if one.choices else one.kind
    bounds = f", {one.least:g} to {one.most:g}" if abs(one.least) < 1e30 and abs(one.most) < 1e30 else ""
    without = (
        "must be given"
        if one.default is None and not one.optional
        else ""
        if one.default is None
        else f"`{one.default}`"
    )
    return f"| `{one.name}` | {kind}{bounds} | {without} | {one.summary} |".replace("|t|", "\\|t\\|")


def _product_row(one: Product) -> str:
    shape = (
        "a list for all frames"
        if one.listed
        else " x ".join(("frames", *map(str, one.shape)))
        if not one.of_all
        else " x ".join(map(str, one.shape))
    )
    return f"| `{one.name}` | {shape} | `{one.dtype}` | {one.unit} | {one.summary} |"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "findings.md": findings_page,
    "events.md": events_page,
    "kernels/index.md": kernels_page,
    **{f"kernels/{name}.md": partial(kernel_page, name) for name in SHIPPED},
    "microservices.md": microservices_page,
    "provenance/predicates.md": predicates_page,
    **{f"provenance/{name}.md": partial(predicate_page, one) for name, one in PREDICATES.items()},
}


def main() -> None:
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
