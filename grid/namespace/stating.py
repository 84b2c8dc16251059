"""Asking for signed statements, in the transaction of what they are about; another process signs and logs them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from grid import paths
from grid.catalog import chunks, statements, trees
from grid.catalog import collections as collection_rows
from grid.catalog import objects as object_rows
from grid.catalog.database import Transaction
from grid.catalog.statements import Erased, WantedSubject
from grid.errors import AccessDenied, InvalidArgument, Locked, NotFound
from grid.model import Access, Caller, DataObject
from grid.namespace.context import NamespaceContext
from grid.namespace.found import object_facts
from grid.namespace.ports import Event
from provenance.chunks import ChunkTree
from provenance.errors import Malformed
from provenance.predicates import check_predicate
from provenance.statements import TREE

MOST_SUBJECTS: Final = 500
"""So many contents go into one statement; of a larger collection several are made."""

_ANY_TIME: Final = "2000-01-01T00:00:00Z"


class Stating:
    """The operations that ask for statements; for rules, with the rights that their policy was granted."""

    def __init__(self, context: NamespaceContext) -> None:
        self._context = context

    def of_objects(
        self,
        caller: Caller,
        kind: str,
        texts: Sequence[str],
        said: Mapping[str, Any],
        *,
        inputs: Sequence[str] = (),
    ) -> list[int]:
        """Ask for statements about the present content of objects together; `MOST_SUBJECTS` go into one.

        Args:
            caller: a rule.
            kind: the predicate.
            texts: paths of the objects.
            said: its predicate, without what the zone adds: time, actor, zone, policy.
            inputs: paths of the objects that they were made from.

        Returns:
            The statements' ids.

        Raises:
            NotFound: there is no such object.
            AccessDenied: the policy was not granted rights there.
            InvalidArgument: it would be no such statement.
        """
        with self._context.database.write() as tx:
            subjects = [self._object(tx, caller, text) for text in texts]
            read = [self._object(tx, caller, text) for text in inputs]
            return self._want(tx, caller, kind, subjects, said, read)

    def of_frames(
        self, caller: Caller, text: str, root: str, others: Sequence[str], said: Mapping[str, Any]
    ) -> int:
        """Ask for the statement of an instrument about the frames of a stream.

        Args:
            caller: who wrote the stream's files.
            text: of the file that joins its frames.
            root: of the tree over its frames, in hexadecimal digits.
            others: paths of the files that hold them.
            said: the predicate, as in `of_objects`.

        Returns:
            The statement's id.

        Raises:
            NotFound, AccessDenied, InvalidArgument: as `of_objects`, where the caller has to be allowed to write them.
        """
        with self._context.database.write() as tx:
            subjects = [WantedSubject(0, self._context.path(text).text, digest={TREE: root})]
            for path in [self._context.path(one).text for one in (text, *others)]:
                found = self._context.data_object(tx, path)
                self._context.require(tx, found.acl_id, caller, Access.WRITE, path, False)
                subjects.append(WantedSubject(found.id, path, statements.version_of(tx, found.id)))
            return self._want(tx, caller, "acquisition", subjects, said, [])[0]

    def of_place(self, caller: Caller, kind: str, text: str, said: Mapping[str, Any]) -> int:
        """Ask for a statement about a collection as such. Raises as `of_objects`."""
        path = self._allowed(caller, text)
        with self._context.database.write() as tx:
            found = collection_rows.by_path_or_none(tx, path)
            if found is None:
                raise NotFound(f"there is no collection `{paths.printable(path)}` to sign for")
            return self._want(tx, caller, kind, [WantedSubject(found.id, path)], said, [])[0]

    def of_everything_in(self, caller: Caller, kind: str, text: str, said: Mapping[str, Any]) -> list[int]:
        """Ask for statements about a collection and the present content of every object in it. Raises as `of_objects`."""
        path = self._allowed(caller, text)
        made = [self.of_place(caller, kind, path, said)]
        after = ("", "")
        while True:
            with self._context.database.write() as tx:
                page = object_rows.below(tx, path, limit=MOST_SUBJECTS, after=after)
                if not page:
                    return made
                subjects = [self._object(tx, caller, name) for _, name in page]
                made += self._want(tx, caller, kind, subjects, said, [])
            collection, _, name = page[-1][1].rpartition("/")
            after = (collection or "/", name)

    def of_erased(self, caller: Caller, text: str, said: Mapping[str, Any]) -> list[int]:
        """Ask for statements about what was erased below a collection and is in none yet."""
        path, made, after = self._allowed(caller, text), list[int](), 0
        while True:
            with self._context.database.write() as tx:
                page = statements.erased_below(tx, path, after=after, limit=MOST_SUBJECTS)
                if not page:
                    return made
                gone = [one for one in page if not _is_there(tx, one)]
                if gone:
                    made += self._want(tx, caller, "erasure", [_of_erased(one) for one in gone], said, [])
                    statements.erasure_wanted(tx, gone, made[-1])
                after = page[-1].id

    def version(self, caller: Caller, text: str) -> int:
        """The version of an object's present content.

        Raises:
            NotFound, AccessDenied: as reading.
        """
        found, _ = self._context.load(self._context.path(text).text, caller, Access.READ, caller.is_admin)
        with self._context.database.read() as tx:
            version = statements.version_of(tx, found.id)
        if version is None:
            raise NotFound(f"`{paths.printable(found.path)}` was removed meanwhile")
        return version

    def link_chunks(self, caller: Caller, text: str, version: int, tree: ChunkTree) -> int:
        """Keep the tree over a content's stored chunks, and ask for its link to the tree over its blocks to be signed.

        Whoever may write the object may have this done: what is stated is computed here, from the bytes.

        Args:
            caller: who has to be allowed to write it.
            text: its path.
            version: of the content that the tree was made of.
            tree: over its datasets.

        Returns:
            The statement's id.

        Raises:
            NotFound, AccessDenied: as writing.
            Locked: there is another content now.
        """
        found, stored = self._context.load(
            self._context.path(text).text, caller, Access.WRITE, caller.is_admin
        )
        facts: dict[str, dict[str, Any]] = {"object": object_facts(found, stored)}
        event = Event("object", "checksum", caller, found.path, found.id, facts)
        self._context.policy.before(event)
        with self._context.database.write() as tx:
            if not object_rows.lock(tx, found.id) or statements.version_of(tx, found.id) != version:
                raise Locked(f"`{paths.printable(found.path)}` changed while its chunks were read")
            chunks.save(tx, found.id, version, tree)
            subjects = [
                WantedSubject(found.id, found.path, version),
                WantedSubject(0, found.path, digest={TREE: tree.root.hex()}),
            ]
            number = self._want(tx, caller, "digest-link", subjects, {"same": "stored chunks"}, [])[0]
            self._context.happened(tx, event, chunks=tree.root.hex())
        return number

    @contextmanager
    def erasing(self, path: str) -> Iterator[None]:
        """Keep the digests of an object that the block erases; they are kept before, so that no crash loses them."""
        with self._context.database.write() as tx:
            found = object_rows.by_path_or_none(tx, path)
            best = found.best_replica() if found is not None else None
            if found is None or best is None:
                raise NotFound(f"`{paths.printable(path)}` is gone already")
            kept = statements.erasing(tx, path, *_digests(tx, found), best.size_bytes)
        try:
            yield
        except BaseException:
            with self._context.database.write() as tx:
                statements.not_erased(tx, kept)
            raise
        with self._context.database.write() as tx:
            statements.forget_salts(tx, found.id)

    def erased(self, caller: Caller, text: str, count: int) -> None:
        """Tell the rules that the contents of a collection were erased."""
        path = self._context.path(text).text
        with self._context.database.write() as tx:
            found = collection_rows.by_path_or_none(tx, path)
            if found is not None:
                event = Event(
                    "collection",
                    "erase",
                    caller,
                    path,
                    found.id,
                    {"collection": {"id": found.id, "path": path}},
                )
                self._context.happened(tx, event, objects=count)

    def _allowed(self, caller: Caller, text: str) -> str:
        path = self._context.path(text).text
        if not caller.rights_of_rules and not caller.is_admin:
            raise AccessDenied("statements of the facility are asked for by its policy")
        if caller.rights_of_rules and not caller.may_act_at(path):
            raise AccessDenied(f"the policy was not granted rights at `{paths.printable(path)}`")
        return path

    def _object(self, tx: Transaction, caller: Caller, text: str) -> WantedSubject:
        path = self._allowed(caller, text)
        found = object_rows.by_path_or_none(tx, path)
        if found is None:
            raise NotFound(f"there is no data object `{paths.printable(path)}` to sign for")
        return WantedSubject(found.id, path, statements.version_of(tx, found.id))

    def _want(
        self,
        tx: Transaction,
        caller: Caller,
        kind: str,
        subjects: Sequence[WantedSubject],
        said: Mapping[str, Any],
        inputs: Sequence[WantedSubject],
    ) -> list[int]:
        plain = {name: value for name, value in said.items() if value not in (None, "")}
        if self._context.policy.digest:
            plain["policy_bundle"] = self._context.policy.digest
        example = [{"name": one.path, "digest": {TREE: "0" * 64}} for one in inputs]
        try:
            check_predicate(
                kind, {**plain, "time": _ANY_TIME, "actor": "-", **({"inputs": example} if example else {})}
            )
        except Malformed as error:
            raise InvalidArgument(f"this cannot be signed: {error}") from error
        return [
            statements.want(
                tx, kind, subjects[n : n + MOST_SUBJECTS], plain, actor=caller.user.full_name, inputs=inputs
            )
            for n in range(0, len(subjects), MOST_SUBJECTS)
        ]


def _of_erased(one: Erased) -> WantedSubject:
    if one.root:
        return WantedSubject(0, one.path, digest={TREE: one.root})
    digest = hashlib.sha256(one.checksum.encode()).hexdigest()
    return WantedSubject(0, one.path, digest={"checksum_sha256": digest})


def _is_there(tx: Transaction, one: Erased) -> bool:
    """Whether what was to be erased was not: a crash came between keeping its digests and erasing it, or it is under way."""
    found = object_rows.by_path_or_none(tx, one.path)
    return found is not None and _digests(tx, found) == (one.root, one.checksum)


def _digests(tx: Transaction, found: DataObject) -> tuple[str, str]:
    """The tree's root and the checksum of an object's content, each empty where there is none."""
    tree, best = trees.of_object(tx, found.id), found.best_replica()
    return tree.root.hex() if tree is not None else "", best.checksum if best is not None else ""
