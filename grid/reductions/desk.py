"""What clients may ask of reductions through the protocol's own rule-execution call.

For everybody: `reduce_request`, `reduce_status`, `reduce_cancel`, with their own rights; `kernel_list`. For stewards: `kernel_release`, `kernel_withdraw`.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from grid.catalog import kernels
from grid.catalog import reductions as rows
from grid.catalog.reductions import Reduction
from grid.errors import AlreadyExists, InvalidArgument, NotFound, NotPrivileged
from grid.model import Access, Caller
from grid.namespace import Namespace
from grid.policy.stewards import Stewards

MOST_LISTED: Final = 1000
MOST_PARAMETERS: Final = 64 << 10

Answer = tuple[Callable[..., Any], dict[str, type]]


class ReductionDesk:
    """Answers clients' questions about reductions and released kernels."""

    def __init__(self, namespace: Namespace, stewards: Stewards) -> None:
        self._namespace = namespace
        self._database = namespace.context.database
        self._stewards = stewards
        self.answers: dict[str, Answer] = {
            "reduce_request": (self._request, {"paths": list, "kernel": str, "version": str, "parameters": str, "dataset": str, "target": str}),
            "reduce_status": (self._status, {"reductions": list, "all": bool, "ended": bool}),
            "reduce_cancel": (self._cancel, {"reductions": list}),
            "kernel_list": (self._kernels, {}),
            "kernel_release": (self._release, {"text": str}),
            "kernel_withdraw": (self._withdraw, {"name": str, "version": str}),
        }  # fmt: skip

    # -- reductions ------------------------------------------------------------------------------------------

    def _request(
        self, caller: Caller, paths: list[Any], kernel: str, version: str = "", parameters: str = "", dataset: str = "", target: str = ""
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Queue a reduction of each object that the caller may read."""
        said = self._kernel(kernel, version)
        if len(parameters) > MOST_PARAMETERS:
            raise InvalidArgument(
                f"found {len(parameters)} characters of parameters; {MOST_PARAMETERS} at the most were expected"
            )
        try:
            tomllib.loads(parameters)
        except tomllib.TOMLDecodeError as error:
            raise InvalidArgument(f"the parameters are no TOML: {error}") from None
        context = self._namespace.context
        place = context.path(target).text if target else ""
        wanted = [context.path(str(one)).text for one in paths]
        for path in wanted:
            context.load(path, caller, Access.READ, False)
        user = (caller.user.name, caller.user.zone)
        with self._database.write() as tx:
            asked = [rows.ask(tx, path, dataset, said, parameters, place, user) for path in wanted]
        return self._status(caller, asked)

    def _kernel(self, name: str, version: str) -> str:
        """`NAME VERSION DIGEST` of a kernel that may be used; the latest release without a version."""
        try:
            from accel.shipped import SHIPPED
        except ImportError as error:
            raise InvalidArgument(
                f"this zone cannot reduce frames: the package `{error.name}` is not installed"
            ) from None
        shipped = SHIPPED.get(name)
        if shipped is not None and version in ("", shipped.KERNEL.version):
            return f"{name} {shipped.KERNEL.version} {shipped.KERNEL.digest}"
        with self._database.read() as tx:
            if not version:
                releases = [one for one in kernels.listed(tx) if one.name == name and not one.withdrawn_at]
                if not releases:
                    known = sorted(
                        {*SHIPPED, *(one.name for one in kernels.listed(tx) if not one.withdrawn_at)}
                    )
                    raise NotFound(f"there is no kernel `{name}`; there are {', '.join(known)}")
                version = max(releases, key=lambda one: one.released_at).version
            found = kernels.usable(tx, name, version)
        return f"{name} {found.version} {found.digest}"

    def _status(
        self, caller: Caller, reductions: list[Any] | None = None, all: bool = False, ended: bool = False
    ) -> list[dict[str, Any]]:
        if reductions:
            return [_shown(self._own(caller, one)) for one in reductions]
        if all and not caller.is_admin:
            raise NotPrivileged("only administrators see the reductions of others")
        user = None if all else (caller.user.name, caller.user.zone)
        with self._database.read() as tx:
            return [_shown(one) for one in rows.listed(tx, user=user, open_only=not ended, limit=MOST_LISTED)]

    def _cancel(self, caller: Caller, reductions: list[Any]) -> list[dict[str, Any]]:
        found = [self._own(caller, one) for one in reductions]
        with self._database.write() as tx:
            for one in found:
                rows.end(tx, one.id, "cancelled", f"{caller.user.full_name} cancelled it", "")
        return self._status(caller, reductions)

    def _own(self, caller: Caller, number: Any) -> Reduction:
        if type(number) is not int:
            raise InvalidArgument(f"found the reduction `{number}`; a whole number was expected")
        with self._database.read() as tx:
            found = rows.by_id_or_none(tx, number)
        own = found is not None and (found.user_name, found.user_zone) == (caller.user.name, caller.user.zone)
        if found is None or not (own or caller.is_admin):
            raise NotFound(f"there is no reduction {number} of yours")
        return found

    # -- kernels ---------------------------------------------------------------------------------------------

    def _kernels(self, caller: Caller) -> list[dict[str, Any]]:
        with self._database.read() as tx:
            return [asdict(one) for one in kernels.listed(tx)]

    def _release(self, caller: Caller, text: str) -> dict[str, Any]:
        """Release a kernel: its language, types, bounds and cost are checked, and its name and version are new."""
        self._require_steward(caller)
        try:
            from accel.errors import AccelError
            from accel.shipped import SHIPPED
            from accel.users.binding import user_kernel
        except ImportError as error:
            raise InvalidArgument(
                f"this zone cannot check kernels: the package `{error.name}` is not installed"
            ) from None
        try:
            kernel = user_kernel(text).KERNEL
        except AccelError as error:
            raise InvalidArgument(f"this is no kernel: {error}") from None
        if kernel.name in SHIPPED:
            raise AlreadyExists(f"`{kernel.name}` is a kernel that comes with the grid; choose another name")
        with self._database.write() as tx:
            known = kernels.by_version_or_none(tx, kernel.name, kernel.version)
            if known is not None and (known.digest != kernel.digest or known.withdrawn_at):
                state = "withdrawn" if known.withdrawn_at else f"released with the digest {known.digest}"
                raise AlreadyExists(
                    f"`{kernel.name} {kernel.version}` was {state}; give the new one another version"
                )
            if known is None:
                kernels.release(
                    tx,
                    kernel.name,
                    kernel.version,
                    kernel.digest,
                    kernel.summary,
                    text,
                    caller.user.full_name,
                )
        return {"name": kernel.name, "version": kernel.version, "digest": kernel.digest}

    def _withdraw(self, caller: Caller, name: str, version: str) -> dict[str, Any]:
        self._require_steward(caller)
        with self._database.write() as tx:
            found = kernels.usable(tx, name, version)
            kernels.withdraw(tx, found.id)
        return {"name": name, "version": version, "digest": found.digest}

    def _require_steward(self, caller: Caller) -> None:
        if not self._stewards.are_any(caller):
            raise NotPrivileged("only stewards and administrators release kernels")


def _shown(one: Reduction) -> dict[str, Any]:
    found = {**asdict(one), "reduction": one.id, "result": json.loads(one.result) if one.result else {}}
    del found["id"], found["parameters"]
    return found
