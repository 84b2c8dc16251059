"""What clients may ask of the policy through the protocol's own rule-execution call, with their own rights.

`explain_object`, `explain_event`, `jobs_list`, `job_change`, `decisions`. Others' jobs, decisions about others, and
judging as somebody else are for the stewards of a location and administrators.
"""

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from grid.catalog import jobs, journal
from grid.errors import InvalidArgument, NotFound, NotPrivileged
from grid.model import Caller
from grid.namespace import Namespace
from grid.policy import explain
from grid.policy.engine import PolicyEngine
from grid.policy.finding import path_of
from grid.policy.stewards import Stewards

_OPEN = ("waiting", "running", "paused", "dead")
_LISTED = 200
_SEARCHED = 20_000  # decisions and jobs looked through for those of a steward's locations


class PolicyDesk:
    """Answers clients' questions about the policy and their scheduled work."""

    def __init__(self, namespace: Namespace, policy: PolicyEngine, stewards: Stewards) -> None:
        self._namespace = namespace
        self._stewards = stewards
        self._policy = policy
        self._answers: dict[str, tuple[Callable[..., Any], dict[str, type]]] = {
            "explain_object": (self._explain_object, {"path": str}),
            "explain_event": (self._explain_event, {"event": str, "path": str, "user": str, "at": str}),
            "jobs_list": (self._jobs_list, {"all": bool}),
            "job_change": (self._job_change, {"job": int, "what": str, "priority": int}),
            "decisions": (self._decisions, {"limit": int, "refused": bool, "path": str}),
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._answers)

    def call(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Answer one question.

        Raises:
            InvalidArgument: an argument is unknown, missing or of the wrong kind.
            NotPrivileged: it is about somebody else.
            NotFound: what it is about is not there.
        """
        answer, known = self._answers[name]
        for key, value in arguments.items():
            if key not in known:
                raise InvalidArgument(f"`{name}` has no argument `{key}`; it has {', '.join(known)}")
            if type(value) is not known[key]:
                raise InvalidArgument(
                    f"`{key}` of `{name}` is `{value}`; a {known[key].__name__} was expected"
                )
        try:
            inspect.signature(answer).bind(caller, **arguments)
        except TypeError as error:
            raise InvalidArgument(f"`{name}`: {error}") from None
        return answer(caller, **arguments)

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
