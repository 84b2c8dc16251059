"""Runs the validator of RO-Crate on a folder, where nothing can be fetched: the two contexts are those of the terms that crates of ours use.

It runs in the environment of `requirements-checkers.lock`, as a program: `python rocrate_check.py FOLDER PROFILE`. It prints what is wrong, and ends with 1.

Source of the terms: RO-Crate 1.1 and the namespace workflow-run, which map nearly every term to schema.org's.
"""

import sys
from pathlib import Path

from rocrate_validator import models, services
from rocrate_validator.utils import document_loader
from rocrate_validator.utils.http import HttpRequester

SCHEMA = "http://schema.org/"
NAMES = """about agent ComputerLanguage contentSize ControlAction CreateAction CreativeWork Dataset datePublished description encodingFormat endTime
hasPart HowTo HowToStep identifier instrument license mainEntity mentions name object OrganizeAction Organization position programmingLanguage result
SoftwareApplication SoftwareSourceCode step subjectOf url version workExample"""
TERMS = {
    **{name: f"{SCHEMA}{name}" for name in NAMES.split()},
    "File": f"{SCHEMA}MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
}
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": {"@context": TERMS},
    "https://w3id.org/ro/terms/workflow-run/context": {"@context": {}},
}


def local(url: str) -> object:
    """What the validator would fetch; anything else is an error."""
    return CONTEXTS[url]


class Fetched:
    """An answer that holds a context."""

    status_code = 200
    headers = {"Content-Type": "application/ld+json"}  # noqa: RUF012

    def __init__(self, url: str) -> None:
        self._url = url

    def json(self) -> object:
        return CONTEXTS[self._url]


document_loader._fetch_json_ld = local
HttpRequester.get = lambda self, url, **_: Fetched(url)
settings = services.ValidationSettings(
    rocrate_uri=Path(sys.argv[1]),
    profile_identifier=sys.argv[2],
    requirement_severity=models.Severity.REQUIRED,
)
found = services.validate(settings)
for issue in found.get_issues():
    print(f"{issue.check.identifier}: {issue.message}")
if not found.has_issues():
    print(f"{sys.argv[1]}: passes {sys.argv[2]}, REQUIRED")
sys.exit(1 if found.has_issues() else 0)
