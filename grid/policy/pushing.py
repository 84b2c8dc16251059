"""Pushing policies, and going back: administrators for the whole zone, groups of stewards for their own files.

A bundle is made of files, each of which belongs to the administrators or to one group of stewards. Who pushes
replaces the files of one owner and leaves those of the others; the whole is checked before any of it counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grid.catalog import bundles as rows
from grid.catalog.database import Database
from grid.errors import ConfigurationError
from grid.policy import bundles
from grid.policy.grants import SHIPPED, BundleError, Reach
from grid.policy.signatures import PolicyTrust
from rules.testing import TestReport, run_tests


class TestsFail(ConfigurationError):
    """The tests that stand in a policy fail; the message names each."""

    __test__ = False


@dataclass(frozen=True, slots=True)
class Composed:
    """What would be the zone's policy after a push; `instead_of` is the generation it was put together from."""

    sources: dict[str, str]
    reaches: dict[str, Reach]
    instead_of: int


def composed(
    database: Database, files: Mapping[str, str], reach: Reach, *, without_shipped: bool = False
) -> Composed:
    """The active bundle with one owner's files replaced, and what a new zone comes with as it was, or left out.

    Raises:
        BundleError: a file has the name of one that belongs to somebody else.
    """
    with database.read() as tx:
        generation = rows.active_generation(tx)
        active = rows.bundle(tx, generation)
    sources: dict[str, str] = {}
    reaches: dict[str, Reach] = {}
    known = bundles.reaches_of(active) if active is not None else {}
    for name, its in known.items():
        if its.stewards != reach.stewards and not (without_shipped and its == SHIPPED):
            assert active is not None
            sources[name], reaches[name] = active.sources[name], its
    for name, text in files.items():
        if name in sources and reaches[name] == SHIPPED and not reach.stewards:
            reach_of_file = SHIPPED  # an administrator's own version of it
        elif name in sources:
            owner = reaches[name].stewards or "the administrators"
            raise BundleError(f"there is a file `{name}` of {owner} in the bundle; give yours another name")
        else:
            reach_of_file = reach
        sources[name], reaches[name] = text, reach_of_file
    return Composed(sources, reaches, generation)


def test_reports(sources: Mapping[str, str]) -> dict[str, TestReport]:
    """Run the tests that stand in policies, by file.

    Raises:
        BundleError: the policies do not check.
    """
    parsed, _, found = bundles.examined(sources, "")
    wrong = [finding.render(source) for source, finding in found if not finding.is_warning]
    if wrong:
        raise BundleError("\n".join(wrong))
    library = {policy.name: policy for policy in [bundles.base_policy(), *parsed]}
    return {policy.source.name: run_tests(policy, library) for policy in parsed}


def report_data(report: TestReport) -> dict[str, Any]:
    """A test report as plain data."""
    coverage = report.coverage
    return {
        "tests": [
            {"title": r.title, "line": r.line, "passed": r.passed, "failures": list(r.failures)}
            for r in report.results
        ],
        "coverage": {name: {"reached": a, "of": b} for name, (a, b) in coverage.summary().items()},
        "rules_not_reached": sorted(rule for rule, reached in coverage.rules.items() if not reached),
    }


def push(
    database: Database,
    zone: str,
    files: Mapping[str, str],
    reach: Reach,
    *,
    pusher: str,
    trust: PolicyTrust | None = None,
    without_shipped: bool = False,
) -> int:
    """Replace one owner's files of the zone's policy, and make the whole active.

    Args:
        database: the zone's catalog.
        zone: its name.
        files: file name to text; none takes the owner's files away.
        reach: where their rules may act, and whose they are.
        pusher: who does this.
        trust: whose signatures the files need; None for nobody's.
        without_shipped: leave out what a new zone comes with.

    Returns:
        The generation that is active now.

    Raises:
        BundleError: it does not check, reaches too far, or another bundle was activated meanwhile.
        TestsFail: a test of the files fails; nothing was changed.
    """
    return _activate(
        database, zone, composed(database, files, reach, without_shipped=without_shipped), pusher, trust
    )


def _activate(database: Database, zone: str, whole: Composed, pusher: str, trust: PolicyTrust | None) -> int:
    reports = test_reports(whole.sources)
    failed = [
        f"{name}:{result.line}: test `{result.title}`: {'; '.join(result.failures)}"
        for name, report in reports.items()
        for result in report.results
        if not result.passed
    ]
    if failed:
        raise TestsFail("the policy's own tests fail; nothing was changed\n" + "\n".join(failed))
    return bundles.activate(
        database, zone, whole.sources, origin="pushed", reaches=whole.reaches, pusher=pusher,
        tests={name: report_data(report) for name, report in reports.items()}, instead_of=whole.instead_of, trust=trust,
    )  # fmt: skip


def roll_back(
    database: Database,
    zone: str,
    *,
    pusher: str,
    to: int | None = None,
    reach: Reach | None = None,
    trust: PolicyTrust | None = None,
) -> tuple[int, int]:
    """Make an earlier bundle active again; of stewards, only what their own files were in it.

    Args:
        database: the zone's catalog.
        zone: its name.
        pusher: who does this.
        to: a generation; the latest one that differs without.
        reach: of the stewards who go back; None for the whole bundle.
        trust: whose signatures the files need; None for nobody's.

    Returns:
        The generation that is active now, and the one that it is again.

    Raises:
        BundleError: there is no such generation, or it does not check any more.
    """
    with database.read() as tx:
        current = rows.active_generation(tx)
        active = rows.bundle(tx, current)
        earlier = [b for b in rows.bundles(tx, limit=1000) if b.generation < current]
    now = _files_of(active, reach)
    differing = [b for b in earlier if _files_of(b, reach) != now]
    if to is None:
        target = differing[0] if differing else None
    else:
        target = next((b for b in earlier if b.generation == to), None)
    if target is None:
        wanted = f"generation {to}" if to is not None else "earlier generation that differs"
        raise BundleError(f"there is no {wanted} to go back to")
    if reach is None:
        whole = Composed(target.sources, bundles.reaches_of(target), current)
    else:
        files = {name: target.sources[name] for name in _files_of(target, reach)}
        whole = composed(database, files, reach)
    return _activate(database, zone, whole, pusher, trust), target.generation


def _files_of(bundle: rows.Bundle | None, reach: Reach | None) -> dict[str, tuple[str, Any]]:
    """The files of a bundle, or of one owner in it, with what tells whether they changed."""
    if bundle is None:
        return {}
    return {
        name: (entry.digest, entry.granted)
        for name, entry in bundle.manifest.items()
        if reach is None or entry.stewards == reach.stewards
    }
