"""Collections in the forms that archives take: RO-Crates and bags, with everything that is signed of what is in them."""

import base64
import time
from typing import Any, Final

from microservices.ports import Grid, MicroserviceError
from microservices.registry import Parameter, microservice
from provenance import evidence
from provenance.exports.bag import encoded_name, tag_files
from provenance.exports.crate import CHAIN, EVIDENCE, METADATA, About, CrateFile, crate

PROFILES: Final = ("provenance-run-crate-0.5",)
_OURS: Final = (METADATA, CHAIN, EVIDENCE)
MOST_FILES: Final = 10_000


@microservice(
    "build_ro_crate", Parameter("subject", "Collection"), Parameter("profile", "Text"),
    result="Crate", effects=("meta.write", "data.write"), for_clients=True,
)  # fmt: skip
def build_ro_crate(grid: Grid, subject: str, profile: str) -> dict[str, Any]:
    """Describe a collection as an RO-Crate: metadata, the chain in words, and the evidence become data objects in it."""
    if profile not in PROFILES:
        raise MicroserviceError(f"found the profile `{profile}`; {' or '.join(PROFILES)} was expected")
    files, verdicts, given = [], {}, []
    for path in _contents(grid, subject):
        name = path[len(subject) + 1 :]
        size, root = grid.content(path)
        one, verdicts[path] = grid.signed(path)
        given.append(one)
        files.append(CrateFile(name, path, size, _sha256(grid, path), root))
    if not files:
        raise MicroserviceError(f"`{subject}` holds nothing that a crate could describe")
    said = grid.metadata(subject)
    about = About(
        said.get("title", subject.rpartition("/")[2]), said.get("abstract", f"The collection {subject}."),
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), _licence(said.get("license", "")), said.get("doi", ""),
    )  # fmt: skip
    for name, data in crate(files, verdicts, evidence.joined(given), about).items():
        grid.write(f"{subject}/{name}", data)
    return {"path": f"{subject}/{METADATA}", "files": len(files)}


@microservice(
    "build_bag", Parameter("subject", "Collection"), result="Collection", effects=("meta.write", "data.write"), for_clients=True
)  # fmt: skip
def build_bag(grid: Grid, subject: str) -> str:
    """Make a bag of a collection beside it, `NAME.bag`: manifests, and where to fetch each file, which is not copied."""
    target, manifest, fetch, size = f"{subject}.bag", [], [], 0
    paths, zone = _contents(grid, subject, ours=True), subject.split("/")[1]
    for path in paths:
        name = encoded_name(f"data/{path[len(subject) + 1 :]}")
        length, _ = grid.content(path)
        size += length
        manifest.append(f"{_sha256(grid, path)}  {name}\n")
        fetch.append(f"irods://{zone}{path} {length} {name}\n")
    if not paths:
        raise MicroserviceError(f"`{subject}` holds nothing to put into a bag")
    grid.create_collection(target, owner="", inherit=False)
    info = {
        "External-Identifier": subject, "Bagging-Date": time.strftime("%Y-%m-%d", time.gmtime()), "Payload-Oxum": f"{size}.{len(paths)}",
    }  # fmt: skip
    for name, data in tag_files("".join(manifest), info, "".join(fetch)).items():
        grid.write(f"{target}/{name}", data)
    return target


def _contents(grid: Grid, subject: str, *, ours: bool = False) -> list[str]:
    found = [
        path for path in grid.below(subject, MOST_FILES + 1) if ours or path[len(subject) + 1 :] not in _OURS
    ]
    if len(found) > MOST_FILES:
        raise MicroserviceError(f"`{subject}` holds more than {MOST_FILES} data objects")
    return found


def _sha256(grid: Grid, path: str) -> str:
    scheme, _, digest = grid.checksum(path, verify=False).partition(":")
    if scheme != "sha2":
        raise MicroserviceError(f"`{path}` has a checksum of another kind than SHA-256")
    return base64.b64decode(digest).hex()


def _licence(text: str) -> str:
    known = {
        "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/", "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    }  # fmt: skip
    return known.get(text, text) or "not given"
