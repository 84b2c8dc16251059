"""What clients may ask of the tape libraries through the protocol's own rule-execution call, with their own rights.

For everybody: `stage_request`, `stage_status`, `stage_cancel`, `stage_pin`. For operators, who are administrators:
`tape_show`, `tape_fault`, `tape_condition`, `tape_repack`; `scrub_start`, `scrub_show`, `scrub_stop`;
`space_reserve`, `space_release`, `space_show`.
"""

import secrets
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from grid.catalog import resources as resource_rows
from grid.catalog import scrubs, space, tape
from grid.catalog.scrubs import Scrub
from grid.errors import GridError, InvalidArgument, NotFound
from grid.model import STORAGE_TYPES, Caller, Resource
from grid.namespace import Namespace
from grid.namespace.context import require_admin
from grid.namespace.storage import storage_errors
from grid.tiers.buffers import buffer_settings
from grid.tiers.libraries import Libraries, library_settings

_CONDITIONS: Final = ("good", "full", "protected", "lost")

Answer = tuple[Callable[..., Any], dict[str, type]]


class TapeDesk:
    """Answers clients' questions about recalls and libraries."""

    def __init__(self, namespace: Namespace, libraries: Libraries) -> None:
        self._namespace = namespace
        self._libraries = libraries
        self._database = namespace.context.database
        self.answers: dict[str, Answer] = {
            "stage_request": (self._request, {"paths": list, "priority": int, "pin_s": int, "admin": bool}),
            "stage_status": (self._status, {"requests": list, "all": bool, "ended": bool}),
            "stage_cancel": (self._cancel, {"requests": list}),
            "stage_pin": (self._pin, {"requests": list, "seconds": int}),
            "tape_show": (self._show, {"resource": str}),
            "tape_fault": (self._fault, {"resource": str, "part": str, "fault": str}),
            "tape_condition": (
                self._condition,
                {"resource": str, "label": str, "condition": str, "bad_block": int},
            ),
            "tape_repack": (self._repack, {"resource": str, "label": str}),
            "scrub_start": (self._scrub_start, {"resource": str, "rate": int, "repair": bool}),
            "scrub_show": (self._scrub_show, {"scrub": int}),
            "scrub_stop": (self._scrub_stop, {"scrub": int}),
            "attestation_add": (self._attach, {"path": str, "evidence": str}),
            "attestation_show": (self._namespace.attestations.show, {"text": str}),
            "attestation_export": (
                self._namespace.attestations.export,
                {"text": str, "dataset": str, "chunk": int},
            ),
            "attestation_verify": (self._verify, {"path": str}),
            "statements": (self._statements, {"path": str, "state": str, "limit": int}),
            "block_tree": (self._block_tree, {"path": str}),
            "space_reserve": (
                self._space_reserve,
                {"resource": str, "bytes": int, "seconds": int, "user": str},
            ),
            "space_release": (self._space_release, {"key": str}),
            "space_show": (self._space_show, {"resource": str}),
        }

    # -- recalls ---------------------------------------------------------------------------------------------

    def _request(
        self, caller: Caller, paths: list[Any], priority: int = 5, pin_s: int = -1, admin: bool = False
    ) -> list[dict[str, Any]]:
        """Ask for several; one that cannot be asked for is rejected with the reason, the others are asked for."""
        found = []
        for path in paths:
            try:
                found.append(
                    self._namespace.recalls.ask(
                        caller,
                        str(path),
                        priority=priority,
                        pin_s=None if pin_s < 0 else float(pin_s),
                        admin=admin,
                    )
                )
            except GridError as error:
                found.append({"request": 0, "path": str(path), "state": "rejected", "reason": str(error)})
        return found

    def _status(
        self, caller: Caller, requests: list[Any] | None = None, all: bool = False, ended: bool = False
    ) -> list[dict[str, Any]]:
        if requests:
            return [self._namespace.recalls.status(caller, _number(one)) for one in requests]
        return self._namespace.recalls.listed(caller, everybodys=all, ended=ended, limit=1000)

    def _cancel(self, caller: Caller, requests: list[Any]) -> list[dict[str, Any]]:
        return [self._namespace.recalls.cancel(caller, _number(one)) for one in requests]

    def _pin(self, caller: Caller, requests: list[Any], seconds: int) -> list[dict[str, Any]]:
        return [self._namespace.recalls.pin(caller, _number(one), seconds) for one in requests]

    # -- operators -------------------------------------------------------------------------------------------

    def _resource(self, caller: Caller, name: str) -> Resource:
        require_admin(caller)
        with self._database.read() as tx:
            tapes = [r for r in resource_rows.all_by_id(tx).values() if r.type == "tape"]
        chosen = [r for r in tapes if r.name == name] if name else tapes[:1]
        if not chosen:
            known = ", ".join(r.name for r in tapes) or "none"
            raise NotFound(f"there is no tape resource `{name}` ({known})")
        return chosen[0]

    def _show(self, caller: Caller, resource: str = "") -> dict[str, Any]:
        """The library map: drives, robot, cartridges, queue, how far off the estimates were."""
        chosen = self._resource(caller, resource)
        state = self._libraries.state(chosen)
        with self._database.read() as tx:
            moment, faults = tape.moment(tx, chosen.id), tape.faults(tx, chosen.id)
            landed = tx.one(
                "SELECT count(*), min(since) FROM tape_landing WHERE resource_id = :id", {"id": chosen.id}
            )
            errors = tape.estimate_errors(tx, chosen.id)
        factor = library_settings(chosen).clock_factor
        return {
            "resource": chosen.name,
            "clock_factor": factor,
            "robot": faults.get("robot") or moment.get("robot", "not started yet"),
            "mounts": moment.get("mounts", 0),
            "drives": moment.get("drives", []),
            "cartridges": [asdict(cartridge) for cartridge in state.cartridges()],
            "queue": [asdict(one) for one in state.waiting()],
            "to_be_written": int(landed[0]) if landed is not None else 0,
            "estimates": {
                "arrived": len(errors),
                "median_off_by_s": round(statistics.median(map(abs, errors)) / factor, 1) if errors else None,
            },
        }

    def _fault(self, caller: Caller, part: str, fault: str = "", resource: str = "") -> dict[str, Any]:
        """Say that a drive or the robot does not work, or with an empty fault that it does again."""
        chosen = self._resource(caller, resource)
        parts = ["robot", *(f"drive{n + 1}" for n in range(library_settings(chosen).settings.drives))]
        if part not in parts:
            raise InvalidArgument(f"`{chosen.name}` has no `{part}`; it has {', '.join(parts)}")
        with self._database.write() as tx:
            tape.set_fault(tx, chosen.id, part, fault)
        return {"part": part, "fault": fault}

    def _condition(
        self, caller: Caller, label: str, condition: str = "", bad_block: int = -1, resource: str = ""
    ) -> dict[str, Any]:
        """Say how a cartridge is; of a lost one, the files are named and their promises made anew."""
        chosen = self._resource(caller, resource)
        state = self._libraries.state(chosen)
        known = next((c for c in state.cartridges() if c.label == label), None)
        if known is None:
            raise NotFound(f"`{chosen.name}` has no cartridge `{label}`")
        if condition and condition not in _CONDITIONS:
            raise InvalidArgument(f"`{condition}` is no condition; {', '.join(_CONDITIONS)} are")
        changes: dict[str, Any] = {"condition": condition} if condition else {}
        if bad_block >= 0:
            changes["bad_blocks"] = (*known.bad_blocks, bad_block)
        if changes:
            state.change_cartridge(label, changes)
        changed = replace(known, **changes)
        lost = []
        if changed.condition == "lost":
            entries = state.entries(label)
            state.damaged([entry.file_id for entry in entries], f"the cartridge `{label}` is lost")
            lost = [entry.name for entry in entries]
        return {"cartridge": asdict(changed), "lost": lost}

    def _repack(self, caller: Caller, label: str, resource: str = "") -> dict[str, Any]:
        """Have what is wanted of a cartridge written to others, and the cartridge emptied, by the next idle drive."""
        chosen = self._resource(caller, resource)
        state = self._libraries.state(chosen)
        known = next((c for c in state.cartridges() if c.label == label), None)
        if known is None or known.condition == "lost":
            raise NotFound(f"`{chosen.name}` has no cartridge `{label}` that can be read")
        state.change_cartridge(label, {"condition": "repacking"})
        return {"cartridge": label, "bytes": sum(entry.size for entry in state.entries(label))}

    # -- scrubs ----------------------------------------------------------------------------------------------

    def _scrub_start(
        self, caller: Caller, resource: str, rate: int = 100_000_000, repair: bool = False
    ) -> dict[str, Any]:
        """Have everything on a resource read, at so many bytes/s at the most."""
        require_admin(caller)
        if rate < 1:
            raise InvalidArgument(f"found a rate of {rate} bytes/s; one above 0 was expected")
        with self._database.write() as tx:
            found = resource_rows.by_name_or_none(tx, resource)
            if found is None or found.type not in STORAGE_TYPES:
                raise NotFound(f"there is no storage resource `{resource}`")
            number = scrubs.start(tx, found.id, rate=float(rate), repair=repair)
        return self._scrub_show(caller, number)[0]

    def _scrub_show(self, caller: Caller, scrub: int = 0) -> list[dict[str, Any]]:
        """How the latest passes stand, or one with what it found."""
        require_admin(caller)
        with self._database.read() as tx:
            known = resource_rows.all_by_id(tx)
            if not scrub:
                return [_scrub_data(one, known, []) for one in scrubs.listed(tx, limit=20)]
            found = scrubs.by_id_or_none(tx, scrub)
            if found is None:
                raise NotFound(f"there is no scrub {scrub}")
            return [_scrub_data(found, known, scrubs.findings(tx, scrub))]

    def _scrub_stop(self, caller: Caller, scrub: int) -> dict[str, Any]:
        require_admin(caller)
        with self._database.write() as tx:
            scrubs.end(tx, scrub, "stopped")
        return self._scrub_show(caller, scrub)[0]

    def _attach(self, caller: Caller, path: str, evidence: str) -> dict[str, Any]:
        return self._namespace.attestations.attach(caller, path, evidence).as_json()

    def _verify(self, caller: Caller, path: str) -> dict[str, Any]:
        """Every object of a collection judged by what is recorded of it."""
        found = self._namespace.attestations.verify_below(caller, path)
        return {
            "path": path, "state": found.state, "trusted_until": found.trusted_until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "objects": found.objects, "failures": [dict(zip(("path", "state", "reason"), one, strict=True)) for one in found.failures],
        }  # fmt: skip

    def _statements(
        self, caller: Caller, path: str = "", state: str = "", limit: int = 50
    ) -> list[dict[str, Any]]:
        return self._namespace.attestations.listed(caller, path, state=state, limit=limit)

    def _block_tree(self, caller: Caller, path: str) -> dict[str, Any]:
        """The root of the tree over an object's blocks, and what of it is kept."""
        tree = self._namespace.fixity.tree(caller, path)
        return {
            "path": path,
            "root": tree.root.hex(),
            "bytes": tree.size_bytes,
            "run_bytes": tree.run_bytes,
            "digests": [digest.hex() for digest in tree.digests],
        }

    # -- buffers ---------------------------------------------------------------------------------------------

    def _buffer(self, caller: Caller, name: str) -> Resource:
        require_admin(caller)
        with self._database.read() as tx:
            found = resource_rows.by_name_or_none(tx, name)
        if found is None or found.type != "buffer":
            raise NotFound(f"there is no buffer `{name}`")
        return found

    def _space_reserve(
        self, caller: Caller, resource: str, bytes: int, seconds: int = 3600, user: str = ""
    ) -> dict[str, Any]:
        """Keep room on a buffer for a while, for a user who writes there."""
        found = self._buffer(caller, resource)
        if bytes < 1 or not 1 <= seconds <= 366 * 86_400:
            raise InvalidArgument(
                f"found {bytes} bytes for {seconds} s; at least one byte, for a second to a year, was expected"
            )
        owner = self._namespace.users.caller(*_name_and_zone(user, caller)).user if user else caller.user
        key = secrets.token_hex(8)
        with storage_errors(), self._database.write() as tx:
            until = tx.now + seconds
            capacity = buffer_settings(found).capacity_bytes
            space.reserve(tx, key, found.id, owner.full_name, bytes, until, capacity)
        return {"key": key, "bytes": bytes, "until": until, "user": owner.full_name}

    def _space_release(self, caller: Caller, key: str) -> dict[str, Any]:
        require_admin(caller)
        with self._database.write() as tx:
            if not space.release(tx, key):
                raise NotFound(f"there is no reservation `{key}`")
        return {"key": key}

    def _space_show(self, caller: Caller, resource: str) -> dict[str, Any]:
        """What of a buffer is free, and what is reserved until when."""
        found = self._buffer(caller, resource)
        capacity = buffer_settings(found).capacity_bytes
        with self._database.read() as tx:
            free, kept = space.free_bytes(tx, found.id, capacity), space.reservations(tx, found.id)
        return {"resource": resource, "capacity_bytes": capacity, "free_bytes": free, "reservations": kept}


def _scrub_data(scrub: Scrub, known: Mapping[int, Resource], found: list[dict[str, Any]]) -> dict[str, Any]:
    resource = known.get(scrub.resource_id)
    return {**asdict(scrub), "resource": resource.name if resource else "removed", "findings": found}


def _name_and_zone(user: str, caller: Caller) -> tuple[str, str]:
    name, _, zone = user.partition("#")
    return name, zone or caller.user.zone


def _number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidArgument(f"found `{value}` where the number of a staging request was expected")
