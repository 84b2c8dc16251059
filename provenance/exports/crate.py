"""An RO-Crate with the chain behind its files: steps as actions, instruments and services as tools, evidence beside the data.

Source: RO-Crate 1.1; Provenance Run Crate 0.5, which rests on Workflow Run Crate, Process Run Crate and Workflow RO-Crate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from provenance import jcs
from provenance.evidence import Evidence
from provenance.graph import Link
from provenance.showing import as_text
from provenance.verdict import Verdict

METADATA: Final = "ro-crate-metadata.json"
CHAIN: Final = "chain.md"
EVIDENCE: Final = "evidence.json"
PROFILES: Final = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
_CONTEXT: Final = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_LANGUAGE: Final = "#chain-of-statements"
_ENGINE: Final = "#beamgrid"
_RUN: Final = "#run"

Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CrateFile:
    """A file of a crate: its name there, its logical path in the grid, its size in bytes, its SHA-256 and the root of its tree."""

    name: str
    path: str
    size: int
    sha256: str
    root: str


@dataclass(frozen=True, slots=True)
class About:
    """What a crate says of itself; `licence` is an address or a short name."""

    name: str
    description: str
    published: str
    licence: str = "https://creativecommons.org/licenses/by/4.0/"
    identifier: str = ""


def crate(
    files: Sequence[CrateFile], verdicts: Mapping[str, Verdict], evidence: Evidence, about: About
) -> dict[str, bytes]:
    """The small files of a crate: metadata, chain, evidence; the data files are put beside them by who has them.

    Args:
        files: the data files.
        verdicts: by logical path, what was found of each.
        evidence: about all of them.
        about: the crate.

    Returns:
        Name in the crate to content.
    """
    chain = "\n".join(
        line
        for file in files
        for line in [f"# {file.path}", "", *as_text(file.path, verdicts[file.path]), ""]
    )
    graph = _graph(files, verdicts, about)
    return {
        METADATA: jcs.encode({"@context": _CONTEXT, "@graph": graph}), CHAIN: chain.encode(), EVIDENCE: evidence.encoded(),
    }  # fmt: skip


def _graph(files: Sequence[CrateFile], verdicts: Mapping[str, Verdict], about: About) -> list[Entity]:
    links = _links(verdicts[file.path] for file in files)
    known = {file.root: file for file in files}
    tools, steps, actions, controls, things = (
        {},
        list[Entity](),
        list[Entity](),
        list[Entity](),
        dict[str, Entity](),
    )
    for number, link in enumerate(links, 1):
        tool = _tool(link)
        tools[tool["@id"]] = tool
        steps.append(
            {
                "@id": f"#step-{number}",
                "@type": "HowToStep",
                "position": str(number),
                "workExample": _ref(tool["@id"]),
                "name": link.step.kind,
            }
        )
        action, agent = _action(number, link, tool, known, things)
        actions.append(action)
        things[agent["@id"]] = agent
        controls.append({
            "@id": f"#control-{number}", "@type": "ControlAction", "name": f"step {number}", "instrument": _ref(f"#step-{number}"),
            "object": _ref(action["@id"]),
        })  # fmt: skip
    data = [_file(file) for file in files]
    run = {
        "@id": _RUN, "@type": "CreateAction", "name": "everything behind these files", "instrument": _ref(CHAIN),
        "object": [_ref(one) for one in sorted({ref["@id"] for action in actions for ref in action["object"]} - {file.name for file in files})],
        "result": [_ref(file.name) for file in files], "agent": _ref(_ENGINE), "endTime": about.published,
    }  # fmt: skip
    organize = {
        "@id": "#organize", "@type": "OrganizeAction", "name": "the grid's record", "instrument": _ref(_ENGINE), "result": _ref(_RUN),
        "object": [_ref(one["@id"]) for one in controls],
    }  # fmt: skip
    return [
        *_heads(files, about, actions),
        _workflow(tools, steps),
        *data,
        *things.values(),
        *tools.values(),
        *steps,
        *actions,
        *controls,
        run,
        organize,
    ]


def _links(verdicts: Iterable[Verdict]) -> list[Link]:
    """The steps behind all files, each once; what is only missing or unsaid is no step."""
    found: dict[tuple[int, str], Link] = {}
    for verdict in verdicts:
        for link in verdict.links:
            if link.place >= 0:
                found.setdefault((link.place, link.root), link)
    return list(found.values())


def _ref(name: str) -> Entity:
    return {"@id": name}


def _heads(files: Sequence[CrateFile], about: About, actions: Sequence[Entity]) -> list[Entity]:
    parts = [*(file.name for file in files), CHAIN, EVIDENCE]
    root: Entity = {
        "@id": "./", "@type": "Dataset", "name": about.name, "description": about.description, "datePublished": about.published,
        "license": _ref(about.licence) if about.licence.startswith("http") else about.licence,
        "conformsTo": [_ref(profile) for profile in PROFILES], "hasPart": [_ref(part) for part in parts], "mainEntity": _ref(CHAIN),
        "mentions": [_ref(_RUN), _ref("#organize"), *(_ref(action["@id"]) for action in actions)],
    }  # fmt: skip
    if about.identifier:
        root["identifier"] = about.identifier
    heads = [
        {
            "@id": METADATA, "@type": "CreativeWork", "about": _ref("./"),
            "conformsTo": [_ref("https://w3id.org/ro/crate/1.1"), _ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0")],
        },
        root,
        *({"@id": profile, "@type": "CreativeWork", "name": name, "version": profile.rpartition("/")[2]} for profile, name in PROFILES.items()),
        {
            "@id": EVIDENCE, "@type": "File", "name": "signed statements, receipts of the log and keys", "encodingFormat": "application/json",
            "description": "judge it with: beamgrid verify FILE --evidence evidence.json --root ROOT",
        },
        {"@id": _ENGINE, "@type": "SoftwareApplication", "name": "Beamgrid", "url": "https://w3id.org/beamgrid"},
        {"@id": _LANGUAGE, "@type": "ComputerLanguage", "name": "chain of signed statements", "url": "https://in-toto.io/Statement/v1"},
    ]  # fmt: skip
    if about.licence.startswith("http"):
        heads.append(
            {
                "@id": about.licence,
                "@type": "CreativeWork",
                "name": about.licence.rstrip("/").rpartition("/")[2],
            }
        )
    return heads


def _workflow(tools: Mapping[str, Entity], steps: Sequence[Entity]) -> Entity:
    parts = list(tools) or [_ENGINE]
    made: Entity = {
        "@id": CHAIN, "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"], "name": "the chain of statements, in words",
        "programmingLanguage": _ref(_LANGUAGE), "hasPart": [_ref(part) for part in parts], "encodingFormat": "text/markdown",
        "input": [], "output": [],
    }  # fmt: skip
    if steps:
        made["step"] = [_ref(step["@id"]) for step in steps]
    return made


def _tool(link: Link) -> Entity:
    """What carried a step out: an instrument, a kernel, or a service."""
    said = link.step.said
    if isinstance(said.get("kernel"), dict):
        kernel = said["kernel"]
        made: Entity = {
            "@id": f"#kernel-{kernel.get('name', '')}-{kernel.get('version', '')}",
            "name": str(kernel.get("name", "kernel")),
        }
        made |= {"version": str(kernel.get("version", "")), "sha256": str(kernel.get("source", ""))}
    elif "instrument" in said:
        made = {
            "@id": f"#instrument-{said.get('beamline', '')}-{said['instrument']}",
            "name": f"{said.get('beamline', '')} {said['instrument']}",
        }
    else:
        made = {"@id": f"#service-{link.step.kind}", "name": f"{link.step.kind} service"}
    return {**made, "@type": "SoftwareApplication"}


def _action(
    number: int, link: Link, tool: Entity, known: Mapping[str, CrateFile], things: dict[str, Entity]
) -> tuple[Entity, Entity]:
    """A step as an action, and who answers for it."""
    step = link.step
    agent = {
        "@id": f"#key-{step.signer or 'unknown'}".replace(" ", "_"),
        "@type": "Organization",
        "name": step.signer or "somebody without a key that is known",
    }
    about = known.get(link.root)
    result = (
        about.name if about is not None else _thing(link.root, step.names[0] if step.names else "", things)
    )
    read = {one["digest"].get("merkle_sha256", ""): str(one["name"]) for one in step.said.get("inputs", [])}
    objects = [
        known[root].name if root in known else _thing(root, read.get(root, ""), things)
        for root in link.inputs
        if root
    ]
    action: Entity = {
        "@id": f"#action-{number}", "@type": "CreateAction", "name": f"{step.kind}: {step.state}", "instrument": _ref(tool["@id"]),
        "object": [_ref(one) for one in (objects or ([] if "instrument" in step.said else [result]))], "result": [_ref(result)], "agent": _ref(agent["@id"]),
        "description": step.reason or "signed by who may, logged and unchanged", "subjectOf": _ref(EVIDENCE),
    }  # fmt: skip
    if step.time:
        action["endTime"] = step.time
    return action, agent


def _thing(root: str, name: str, things: dict[str, Entity]) -> str:
    """A content that is not in the crate, by its digest."""
    made = f"#content-{root}"
    things.setdefault(
        made,
        {"@id": made, "@type": "CreativeWork", "name": name or root, "identifier": f"merkle_sha256:{root}"},
    )
    return made


def _file(file: CrateFile) -> Entity:
    return {
        "@id": file.name, "@type": "File", "name": file.path, "contentSize": str(file.size), "sha256": file.sha256,
        "identifier": f"merkle_sha256:{file.root}", "encodingFormat": _format(file.name), "subjectOf": _ref(EVIDENCE),
    }  # fmt: skip


def _format(name: str) -> str:
    known = {
        "h5": "application/x-hdf5",
        "hdf5": "application/x-hdf5",
        "nxs": "application/x-hdf5",
        "cbf": "application/x-cbf",
        "tif": "image/tiff",
        "json": "application/json",
    }
    return known.get(name.rpartition(".")[2].lower(), "application/octet-stream")
