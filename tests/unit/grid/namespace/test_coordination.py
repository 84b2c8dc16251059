"""Coordinating resources in a zone: data spread, copied and staged as their trees say."""

from pathlib import Path

import pytest

from grid.app import Zone
from grid.errors import InvalidArgument, QuotaExceeded, ResourceUnavailable
from grid.model import ReplicaStatus
from grid.namespace import TrimRequest, WriteRequest
from grid.namespace.found import find
from grid.policy.keeping import Keeper

HOME = "/tempZone/home/rods"


class Tree:
    def __init__(self, zone: Zone, folder: Path) -> None:
        self.zone, self.space, self.folder = zone, zone.namespace, folder
        self.rods = zone.namespace.users.caller("rods", "tempZone")

    def add(
        self, name: str, kind: str = "unixfilesystem", parent: str = "", place: str = "", context: str = ""
    ) -> None:
        location = "" if kind not in ("unixfilesystem", "tape") else f"localhost:{self.folder}/{name}"
        self.space.administration.add_resource(self.rods, name, kind, location, context)
        if parent:
            self.space.administration.add_child(self.rods, parent, name, place)

    def modify(self, name: str, option: str, value: str = "") -> None:
        self.space.administration.modify_resource(self.rods, name, option, value)

    def put(self, name: str, resource: str, data: bytes = b"data") -> str:
        self.space.objects.put(
            self.rods, f"{HOME}/{name}", data, WriteRequest(size_bytes=len(data), resource_name=resource)
        )
        return f"{HOME}/{name}"

    def stream(self, name: str, resource: str, data: bytes) -> str:
        opened = self.space.objects.open_for_writing(
            self.rods, f"{HOME}/{name}", WriteRequest(resource_name=resource)
        )
        opened.write(data)
        opened.commit()
        return f"{HOME}/{name}"

    def on(self, path: str) -> dict[str, ReplicaStatus]:
        with self.zone.database.read() as tx:
            tree = self.space.context.storage.tree(tx)
            found = find(tx, path)
        return {tree.by_id[r.resource_id].name: r.status for r in found.replicas}

    def keep(self) -> None:
        keeper = Keeper(self.zone.database, self.space, self.zone.policy)
        while keeper.run_some(self.zone.policy.bundle.current):
            pass


@pytest.fixture
def tree(zone: Zone, tmp_path: Path) -> Tree:
    return Tree(zone, tmp_path)


GOOD, STALE = ReplicaStatus.GOOD, ReplicaStatus.STALE


def test_a_replication_resource_copies_what_is_put_streamed_and_overwritten(tree: Tree) -> None:
    tree.add("both", "replication")
    tree.add("one", parent="both")
    tree.add("two", parent="both")
    for path in (tree.put("a", "both"), tree.stream("b", "both", b"streamed")):
        assert tree.on(path) == {"one": GOOD, "two": GOOD}
    tree.stream("a", "both", b"new content")
    assert tree.on(f"{HOME}/a") == {"one": GOOD, "two": GOOD}
    tree.space.finisher.finish()
    assert (tree.folder / "two/home/rods/a").read_bytes() == b"new content"


def test_a_sibling_that_was_down_gets_its_copy_later(tree: Tree) -> None:
    tree.add("both", "replication")
    tree.add("one", parent="both")
    tree.add("two", parent="both")
    tree.modify("two", "status", "down")
    path = tree.put("a", "both")
    assert tree.on(path) == {"one": GOOD}
    tree.keep()
    tree.modify("two", "status", "up")
    tree.modify("both", "rebalance")
    tree.keep()
    assert tree.on(path) == {"one": GOOD, "two": GOOD}


def test_a_vault_that_is_gone_leaves_a_reason_and_is_tried_again(tree: Tree) -> None:
    tree.add("both", "replication")
    tree.add("one", parent="both")
    tree.add("two", parent="both")
    (tree.folder / "two").rename(tree.folder / "away")
    path = tree.put("a", "both")
    assert tree.on(path) == {"one": GOOD}
    tree.keep()
    with tree.zone.database.read() as tx:
        (reason,) = [
            row[0] for row in tx.all("SELECT reason FROM promises WHERE keep_id = 'coordinating resources'")
        ]
    assert "no copy on `two` yet: the vault" in reason
    (tree.folder / "away").rename(tree.folder / "two")
    tree.space.context.storage._checked.clear()
    with tree.zone.database.write() as tx:
        tx.run("UPDATE promises SET next_at = 0")
    tree.keep()
    assert tree.on(path) == {"one": GOOD, "two": GOOD}


def test_a_compound_resource_archives_and_stages_back(tree: Tree) -> None:
    tree.add("tiers", "compound")
    with pytest.raises(InvalidArgument, match="`cache` or `archive` was expected"):
        tree.add("lost", parent="tiers")
    tree.add("fast", parent="tiers", place="cache")
    tree.add("slow", parent="tiers", place="archive")
    path = tree.put("a", "tiers")
    assert tree.on(path) == {"fast": GOOD, "slow": GOOD}
    tree.space.replicas.trim(tree.rods, path, TrimRequest(replica_number=0))
    assert tree.on(path) == {"slow": GOOD}
    tree.space.finisher.finish()
    opened = tree.space.objects.open_for_reading(tree.rods, path)
    assert opened.hierarchy == "tiers;fast"
    opened.close()
    assert tree.on(path) == {"slow": GOOD, "fast": GOOD}
    tree.stream("a", "tiers", b"newer")
    assert tree.on(path) == {"slow": GOOD, "fast": GOOD}
    assert tree.space.objects.open_for_reading(tree.rods, path).size() == 5


def test_a_round_of_children_and_one_that_is_down(tree: Tree) -> None:
    tree.add("round", "round_robin")
    for name in ("one", "two", "three"):
        tree.add(name, parent="round")
    tree.modify("two", "status", "down")
    used = [next(iter(tree.on(tree.put(f"f{n}", "round")))) for n in range(6)]
    assert {used.count("one"), used.count("three")} <= {2, 3, 4}
    assert "two" not in used


def test_reads_go_where_the_weights_say(tree: Tree) -> None:
    tree.add("root", "deferred")
    for name, weight in (("left", "0.5"), ("right", "2")):
        tree.add(f"p{name}", "passthru", parent="root", context=f"read={weight}")
        tree.add(name, parent=f"p{name}")
    path = tree.put("a", "root;pleft;left")
    tree.space.replicas.replicate(tree.rods, path, "root;pright;right")
    opened = tree.space.objects.open_for_reading(tree.rods, path)
    assert opened.hierarchy == "root;pright;right"
    opened.close()


def test_who_takes_nothing_says_why(tree: Tree) -> None:
    tree.add("root", "deferred")
    with pytest.raises(InvalidArgument, match="has no storage resource below it"):
        tree.put("a", "root")
    tree.add("small", parent="root", context="maximum_file_size=2")
    with pytest.raises(QuotaExceeded, match="takes no file of 4 bytes"):
        tree.put("a", "root")
    tree.put("b", "root", b"ok")
    tree.modify("small", "status", "down")
    with pytest.raises(ResourceUnavailable, match="`root` is marked down"):
        tree.put("c", "root")


@pytest.mark.parametrize(("kind", "context", "message"), [
    ("passthru", "write=-1", "a number above 0 was expected"), ("compound", "auto_repl=maybe", "on, off were expected"),
    ("replication", "reed=random", "did you mean `read`?"), ("unixfilesystem", "maximum_file_size=big", "a size such as"),
])  # fmt: skip
def test_nonsense_in_a_context_is_refused(tree: Tree, kind: str, context: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message.replace("?", r"\?")):
        tree.add("r", kind, context=context)


def test_a_resource_in_use_is_not_removed(tree: Tree) -> None:
    tree.add("both", "replication")
    tree.add("one", parent="both")
    tree.put("a", "both")
    for name, message in (("one", "replicas lie on `one`"), ("both", "`both` has children")):
        with pytest.raises(Exception, match=message):
            tree.space.administration.remove_resource(tree.rods, name)
