"""Operations on metadata: AVUs of data objects, collections, resources and users."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grid import paths
from grid.catalog import avus
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog import resources as resource_rows
from grid.catalog import users as user_rows
from grid.catalog.database import Transaction
from grid.codes import Status
from grid.errors import AlreadyExists, InvalidArgument, NotFound, NotPrivileged
from grid.model import Access, Avu, Caller
from grid.namespace.context import NamespaceContext
from grid.namespace.ports import Event

MAX_ATTRIBUTE_BYTES = 2700
MAX_VALUE_BYTES = 2700
MAX_UNIT_BYTES = 250


@dataclass(frozen=True, slots=True)
class Subject:
    """What metadata describes: a path for objects and collections, a name for resources and users."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class MetadataOperation:
    """One change: `add`, `remove` or `set` (replace every value of the attribute)."""

    verb: str
    avu: Avu


class Metadata:
    """The operations on AVUs."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def _entity(self, tx: Transaction, subject: Subject) -> tuple[int, int, str]:
        """Id, access set (0 where rights are the administrators') and path of a subject."""
        if subject.kind == "object":
            path = self._context.path(subject.name).text
            found = object_rows.by_path_or_none(tx, path)
            if found is None:
                raise NotFound(
                    f"there is no data object `{paths.printable(path)}`", status=Status.CAT_UNKNOWN_FILE
                )
            return found.id, found.acl_id, path
        if subject.kind == "collection":
            path = self._context.path(subject.name).text
            collection = collection_rows.by_path_or_none(tx, path)
            if collection is None:
                raise NotFound(
                    f"there is no collection `{paths.printable(path)}`", status=Status.CAT_UNKNOWN_COLLECTION
                )
            return collection.id, collection.acl_id, path
        if subject.kind == "resource":
            resource = resource_rows.by_name_or_none(tx, subject.name)
            if resource is None:
                raise NotFound(f"there is no resource `{subject.name}`", status=Status.CAT_INVALID_RESOURCE)
            return resource.id, 0, ""
        name, _, zone = subject.name.partition("#")
        user = user_rows.by_name_or_none(tx, name, zone or self._context.zone)
        if user is None:
            raise NotFound(f"there is no user `{subject.name}`", status=Status.CAT_INVALID_USER)
        return user.id, 0, ""

    def _check(
        self, tx: Transaction, caller: Caller, subject: Subject, wanted: Access, admin: bool
    ) -> tuple[int, str]:
        entity_id, acl_id, path = self._entity(tx, subject)
        if acl_id:
            self._context.require(tx, acl_id, caller, wanted, path, admin)
        elif not caller.is_admin and not caller.rights_of_rules:
            raise NotPrivileged("metadata of resources and users is for administrators")
        return entity_id, path

    def of(self, caller: Caller, subject: Subject, *, admin: bool = False) -> list[Avu]:
        """Everything attached to a subject that the caller may see."""
        with self._context.database.read() as tx:
            entity_id, acl_id, path = self._entity(tx, subject)
            if acl_id and not caller.is_admin:
                self._context.require(tx, acl_id, caller, Access.READ_METADATA, path, admin)
            return [avu for _, avu in avus.of_entity(tx, entity_id)]

    def apply(
        self,
        caller: Caller,
        subject: Subject,
        operations: Sequence[MetadataOperation],
        *,
        admin: bool = False,
        strict: bool = True,
    ) -> None:
        """Change metadata: all of the operations or none.

        Args:
            caller: who asks.
            subject: what is described.
            operations: in their order.
            admin: use an administrator's privilege.
            strict: adding what is there, or removing what is not, is an error.

        Raises:
            InvalidArgument: an empty or overlong attribute or value; `operation_index` says which.
            AlreadyExists: the AVU is attached (-809000).
            NotFound: the AVU is not attached (-819000), or the subject is not there.
        """
        wanted = Access.CREATE_METADATA
        for index, operation in enumerate(operations):
            _validate(operation.avu, index)
            if operation.verb == "remove":
                wanted = Access.DELETE_METADATA
            else:
                self._context.policy.check_metadata(
                    subject.kind, operation.avu.attribute, operation.avu.value
                )
        with self._context.database.read() as tx:
            entity_id, path = self._check(tx, caller, subject, wanted, admin)
            held: list[Avu] = []
            if self._context.policy.concerns("metadata change", path):
                held = [avu for _, avu in avus.of_entity(tx, entity_id)]
        for operation in operations:
            self._context.policy.before(self._event(caller, subject, entity_id, path, operation, held))
        with self._context.database.write() as tx:
            entity_id, path = self._check(tx, caller, subject, wanted, admin)
            for index, operation in enumerate(operations):
                self._apply_one(tx, entity_id, operation, index, strict)
            for operation in operations:
                event = self._event(caller, subject, entity_id, path, operation, held)
                self._context.happened(
                    tx, event, verb=operation.verb, attribute=operation.avu.attribute,
                    value=operation.avu.value, unit=operation.avu.unit,
                )  # fmt: skip

    def _event(
        self,
        caller: Caller,
        subject: Subject,
        entity_id: int,
        path: str,
        operation: MetadataOperation,
        held: Sequence[Avu],
    ) -> Event:
        old = next((avu.value for avu in held if avu.attribute == operation.avu.attribute), None)
        change = {
            "name": operation.avu.attribute,
            "old": old,
            "new": None if operation.verb == "remove" else operation.avu.value,
            "unit": operation.avu.unit,
            "op": operation.verb,
        }
        facts: dict[str, dict[str, Any]] = {
            "change": change,
            subject.kind: {"id": entity_id, "path": path or subject.name},
        }
        return Event("metadata", "change", caller, path, entity_id, facts)

    def _apply_one(
        self, tx: Transaction, entity_id: int, operation: MetadataOperation, index: int, strict: bool
    ) -> None:
        if operation.verb == "add":
            if not avus.link(tx, entity_id, avus.find_or_make(tx, operation.avu)) and strict:
                raise _at(AlreadyExists("this attribute, value and unit is attached already"), index)
        elif operation.verb == "remove":
            held = {avu: avu_id for avu_id, avu in avus.of_entity(tx, entity_id)}
            avu_id = held.get(operation.avu)
            if (avu_id is None or not avus.unlink(tx, entity_id, avu_id)) and strict:
                raise _at(
                    NotFound(
                        "no such attribute, value and unit is attached",
                        status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO,
                    ),
                    index,
                )
        else:
            wanted = avus.find_or_make(tx, operation.avu)
            made = ""
            for avu_id, avu in avus.of_entity(tx, entity_id):
                if avu.attribute == operation.avu.attribute and avu_id != wanted:
                    made = avus.made_at(tx, entity_id, avu_id)
                    avus.unlink(tx, entity_id, avu_id)
            avus.link(tx, entity_id, wanted, made_at=made)

    def modify(self, caller: Caller, subject: Subject, old: Avu, new: Avu, *, admin: bool = False) -> None:
        """Replace one AVU by another.

        Raises:
            NotFound: the old one is not attached (-819000).
            AlreadyExists: the new one is.
        """
        self.apply(
            caller,
            subject,
            [MetadataOperation("remove", old), MetadataOperation("add", new)],
            admin=admin,
        )

    def remove_by_id(self, caller: Caller, subject: Subject, avu_id: int, *, admin: bool = False) -> None:
        """Remove the AVU with a catalog id."""
        with self._context.database.read() as tx:
            entity_id, _ = self._check(tx, caller, subject, Access.DELETE_METADATA, admin)
            held = dict(avus.of_entity(tx, entity_id))
        if avu_id not in held:
            raise NotFound(f"no AVU {avu_id} is attached", status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO)
        self.apply(caller, subject, [MetadataOperation("remove", held[avu_id])], admin=admin)

    def remove_like(self, caller: Caller, subject: Subject, pattern: Avu, *, admin: bool = False) -> None:
        """Remove what matches SQL patterns (`%`, `_`); an empty unit pattern matches every unit."""
        with self._context.database.read() as tx:
            entity_id, _ = self._check(tx, caller, subject, Access.DELETE_METADATA, admin)
            rows = tx.all(
                "SELECT a.attribute, a.value, a.unit FROM avu_links l JOIN avus a ON a.id = l.avu_id"
                " WHERE l.entity_id = :e AND a.attribute LIKE :a ESCAPE '\\' AND a.value LIKE :v ESCAPE '\\'"
                " AND a.unit LIKE :u ESCAPE '\\'",
                {"e": entity_id, "a": pattern.attribute, "v": pattern.value, "u": pattern.unit or "%"},
            )
        if not rows:
            raise NotFound("nothing that matches is attached", status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO)
        self.apply(caller, subject, [MetadataOperation("remove", Avu(*row)) for row in rows], admin=admin)

    def copy(self, caller: Caller, source: Subject, target: Subject, *, admin: bool = False) -> None:
        """Attach to the target what is attached to the source; what is there already stays."""
        found = self.of(caller, source, admin=admin)
        if not found:
            raise NotFound(f"`{source.name}` has no metadata", status=Status.CAT_SUCCESS_BUT_WITH_NO_INFO)
        operations = [MetadataOperation("add", avu) for avu in found]
        self.apply(caller, target, operations, admin=admin, strict=False)


def _at(error: Exception, index: int) -> Exception:
    """Note which of several operations failed."""
    error.operation_index = index  # type: ignore[attr-defined]  # read by the atomic endpoint alone
    return error


def _validate(avu: Avu, index: int) -> None:
    for what, text, limit in (
        ("attribute", avu.attribute, MAX_ATTRIBUTE_BYTES),
        ("value", avu.value, MAX_VALUE_BYTES),
        ("unit", avu.unit, MAX_UNIT_BYTES),
    ):
        if what != "unit" and not text:
            raise _at(InvalidArgument(f"metadata needs a non-empty {what}"), index)
        if "\0" in text:
            raise _at(InvalidArgument(f"the {what} holds a NUL"), index)
        try:
            size = len(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise _at(InvalidArgument(f"the {what} is not valid UTF-8"), index) from None
        if size > limit:
            raise _at(
                InvalidArgument(f"the {what} is {size} bytes long; at most {limit} are possible"), index
            )
