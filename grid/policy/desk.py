"""What clients may ask of the policy through the protocol's own rule-execution call, with their own rights.

`explain_object`, `explain_event`, `jobs_list`, `job_change`, `decisions`; `policy_files`, `policy_push`,
`policy_rollback`. Others' jobs, decisions about others, judging as somebody else, and policies are for the stewards
of a location and administrators.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from grid.catalog import bundles as rows
from grid.catalog import jobs, journal
from grid.errors import ConfigurationError, InvalidArgument, NotFound, NotPrivileged
from grid.model import Caller
from grid.namespace import Namespace
from grid.policy import explain, pushing
from grid.policy.engine import PolicyEngine
from grid.policy.finding import path_of
from grid.policy.grants import Reach
from grid.policy.stewards import Stewards

_OPEN = ("waiting", "running", "paused", "dead")
_LISTED = 200
_LARGEST_PUSH: Final = 1 << 20
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}\.policy")
_SEARCHED = 20_000  # decisions and jobs looked through for those of a steward's locations


Answer = tuple[Callable[..., Any], dict[str, type]]


class PolicyDesk:
    """Answers clients' questions about the policy and their scheduled work."""

    def __init__(self, namespace: Namespace, policy: PolicyEngine, stewards: Stewards) -> None:
        self._namespace = namespace
        self._stewards = stewards
        self._policy = policy
        self.answers: dict[str, Answer] = {
            "explain_object": (self._explain_object, {"path": str}),
            "explain_event": (self._explain_event, {"event": str, "path": str, "user": str, "at": str}),
            "jobs_list": (self._jobs_list, {"all": bool}),
            "job_change": (self._job_change, {"job": int, "what": str, "priority": int}),
            "decisions": (self._decisions, {"limit": int, "refused": bool, "path": str}),
            "policy_files": (self._policy_files, {"stewards": str}),
            "policy_push": (self._policy_push, {"stewards": str, "files": dict}),
            "policy_signatures": (self._policy_signatures, {"signatures": str}),
            "policy_rollback": (self._policy_rollback, {"stewards": str, "to": int}),
        }

    def _explain_object(self, caller: Caller, path: str) -> dict[str, Any]:
        found = explain.explain_object(self._namespace, self._policy, caller, path)
        if not self._stewards.look_after(caller, path):
            own = caller.user.full_name
            found["touched_by"] = [
                d for d in found["touched_by"] if d["decision"] == "allowed" or d["actor"] == own
            ]
            for decision in found["touched_by"]:
                if decision["actor"] != own:
                    decision["actor"] = "another user"
        return found

    def _explain_event(
        self, caller: Caller, event: str, path: str, user: str = "", at: str = ""
    ) -> dict[str, Any]:
        judged = caller
        if user and user != caller.user.name:
            if not self._stewards.look_after(caller, path):
                raise NotPrivileged("only stewards of the location and administrators judge as somebody else")
            judged = self._namespace.users.caller(user, self._policy.zone, request_id=caller.request_id)
        try:
            now = datetime.fromisoformat(at) if at else datetime.now(UTC)
        except ValueError:
            raise InvalidArgument(f"`at` is `{at}`; a time such as 2026-03-02T10:00Z was expected") from None
        now = now if now.tzinfo is not None else now.replace(tzinfo=self._policy.timezone)
        return explain.explain(self._namespace, self._policy, judged, event, path, now=now).as_data()

    def _jobs_list(
        self, caller: Caller, all: bool = False
    ) -> list[dict[str, Any]]:  # the word of the client's option
        if all and not self._stewards.are_any(caller):
            raise NotPrivileged("only stewards and administrators see the jobs of others")
        with self._namespace.context.database.read() as tx:
            of_others = all and not caller.is_admin  # most of which may be about other locations
            found = jobs.listed(
                tx,
                states=_OPEN,
                user_name="" if all else caller.user.name,
                limit=_SEARCHED if of_others else _LISTED,
            )
        return [
            {
                "id": j.id, "name": j.name, "rule": j.rule_id, "state": j.state, "priority": j.priority,
                "user": j.user_name, "next": datetime.fromtimestamp(j.not_before, UTC).isoformat(timespec="seconds"),
                "attempts": j.attempts, "max_attempts": j.max_attempts, "last_failure": j.last_failure,
            }
            for j in found
            if j.user_name == caller.user.name or self._looks_after(caller, j)
        ][:_LISTED]  # fmt: skip

    def _looks_after(self, caller: Caller, job: jobs.Job) -> bool:
        """Whether a job is about something that the caller looks after."""
        things = job.captured.get("slots", {}).values()
        paths = (
            path_of(thing["entity"][0], thing["entity"][2])
            for thing in things
            if isinstance(thing, dict) and "entity" in thing
        )
        return caller.is_admin or any(self._stewards.look_after(caller, path) for path in paths)

    def _job_change(self, caller: Caller, job: int, what: str, priority: int = 0) -> dict[str, Any]:
        with self._namespace.context.database.write() as tx:
            found = jobs.by_id_or_none(tx, job)
            if found is None or not (caller.is_admin or found.user_name == caller.user.name):
                raise NotFound(f"there is no job {job} of yours")
            if what == "priority":
                if not 1 <= priority <= 9 or not jobs.modify(tx, job, priority=priority):
                    raise InvalidArgument(
                        f"a waiting job takes a priority from 1 to 9; job {job} is {found.state}"
                    )
                return {"job": job, "priority": priority}
            if what not in ("retry", "pause", "cancel", "drop"):
                raise InvalidArgument(f"`{what}` is none of retry, pause, cancel, drop, priority")
            became = jobs.change_state(tx, job, what)
        if became is None:
            raise InvalidArgument(f"job {job} is {found.state}; `{what}` is not possible then")
        return {"job": job, "state": became}

    def _decisions(
        self, caller: Caller, limit: int = 50, refused: bool = False, path: str = ""
    ) -> list[dict[str, Any]]:
        if not self._stewards.are_any(caller):
            raise NotPrivileged("the decision log is for stewards and administrators")
        limit = min(max(limit, 1), 1000)
        with self._namespace.context.database.read() as tx:
            recent = journal.recent_decisions(
                tx, limit=limit if caller.is_admin else _SEARCHED, refused_only=refused, path=path
            )
        found = [one for one in recent if self._stewards.look_after(caller, one.subject)][:limit]
        return [{name: getattr(one, name) for name in one.__slots__} for one in found]

    def _reach(self, caller: Caller, stewards: str) -> Reach:
        """Where a caller's policies may act.

        Raises:
            NotPrivileged: the caller speaks for no such group.
        """
        mine = self._stewards.groups_of(caller)
        if stewards not in mine:
            known = f"you are of {', '.join(mine)}" if mine else "you are of none"
            raise NotPrivileged(f"only the stewards of `{stewards}` see and change its policies; {known}")
        return self._stewards.reach(stewards)

    def _policy_files(self, caller: Caller, stewards: str) -> dict[str, Any]:
        reach = self._reach(caller, stewards)
        with self._namespace.context.database.read() as tx:
            generation = rows.active_generation(tx)
            active = rows.bundle(tx, generation)
            tests = rows.test_reports(tx, generation)
        names = [] if active is None else [n for n, e in active.manifest.items() if e.stewards == stewards]
        return {
            "generation": generation,
            "may_act": list(reach.locations or ()),
            "files": {
                name: {"text": active.sources[name], "tests": tests.get(name)}
                for name in names
                if active is not None
            },
        }

    def _policy_push(self, caller: Caller, stewards: str, files: dict[str, Any]) -> dict[str, Any]:
        reach = self._reach(caller, stewards)
        for name, text in files.items():
            if not (isinstance(text, str) and _FILE_NAME.fullmatch(name)):
                raise InvalidArgument(
                    f"found `{name}` where the name of a policy file and its text were expected"
                )
        if sum(len(text) for text in files.values()) > _LARGEST_PUSH:
            raise InvalidArgument(f"a push holds at the most {_LARGEST_PUSH:,} characters")
        database, zone = self._namespace.context.database, self._policy.zone
        with _as_argument():
            generation = pushing.push(
                database, zone, files, reach, pusher=caller.user.full_name, trust=self._policy.trust
            )
        self._policy.forget()
        return {"generation": generation}

    def _policy_signatures(self, caller: Caller, signatures: str) -> dict[str, Any]:
        """Keep stewards' signatures; they count by who made them, whoever hands them in."""
        if not self._stewards.are_any(caller):
            raise NotPrivileged("signatures of policies are handed in by stewards and administrators")
        trust = self._policy.trust
        if trust is None:
            raise InvalidArgument("this zone was opened without its root of keys")
        kept = trust.keep(self._namespace.context.database, signatures.encode())
        return {"kept": [{"file": name, "steward": steward} for name, steward in kept]}

    def _policy_rollback(self, caller: Caller, stewards: str, to: int = 0) -> dict[str, Any]:
        reach = self._reach(caller, stewards)
        database, zone = self._namespace.context.database, self._policy.zone
        with _as_argument():
            generation, again = pushing.roll_back(
                database,
                zone,
                pusher=caller.user.full_name,
                to=to or None,
                reach=reach,
                trust=self._policy.trust,
            )
        self._policy.forget()
        return {"generation": generation, "again": again}


@contextmanager
def _as_argument() -> Iterator[None]:
    """What is wrong with a policy is the fault of who sent it."""
    try:
        yield
    except ConfigurationError as error:
        raise InvalidArgument(str(error)) from error
