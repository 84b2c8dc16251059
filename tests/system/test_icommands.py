"""The i-commands as a user types them, against a real server; layouts are those of icommands 5.0.2."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grid.cli.icmd.program import UserError
from provenance.blocks import tree_of
from tests.conftest import Served, make_zone, new_database, serve

BIN = Path(sys.executable).parent


def soon(happened: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it did not come about within 30 s"
        time.sleep(0.05)


class Shell:
    def __init__(self, folder: Path, served: Served, *, user: str = "rods", password: str = "rods") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.env = {
            **os.environ, "IRODS_ENVIRONMENT_FILE": str(folder / "env.json"), "IRODS_AUTHENTICATION_FILE": str(folder / "A"),
        }  # fmt: skip
        done = self.run(
            "iinit", "--host", "127.0.0.1", "--port", str(served.port), "--user", user, "--zone", served.zone,
            given=f"{password}\n",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def run(self, *command: str, given: str | bytes = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]], env=self.env, cwd=self.folder,
            input=given if isinstance(given, bytes) else given.encode(), capture_output=True, check=False,
        )  # fmt: skip

    def ok(self, *command: str, given: str | bytes = "") -> str:
        done = self.run(*command, given=given)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.decode()

    def refused(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 3, (command, done)
        assert b"Traceback" not in done.stderr
        return done.stderr.decode()


@pytest.fixture
def shell(served: Served, home: str, tmp_path: Path) -> Shell:
    made = Shell(tmp_path / "shell", served)
    made.ok("icd", home)
    (made.folder / "a").write_bytes(b"x" * 100)
    return made


def test_listing_and_checksums_are_laid_out_as_in_icommands(shell: Shell, home: str) -> None:
    shell.ok("iput", "-K", "a", "a")
    shell.ok("imkdir", "-p", "d/s")
    assert shell.ok("ils") == f"{home}:\n  a\n  C- {home}/d\n"
    assert re.fullmatch(
        rf"{home}:\n  rods {{14}}0 demoResc {{10}}100 \d{{4}}-\d\d-\d\d\.\d\d:\d\d & a\n  C- {home}/d\n",
        shell.ok("ils", "-l"),
    )
    very_long = shell.ok("ils", "-L", "a").splitlines()
    assert re.fullmatch(r"    sha2:\S{44}    generic    \S+/vault/home/rods/\w+/a", very_long[1]), very_long[
        1
    ]
    assert shell.ok("ils", "-A", "a") == f"  {home}/a\n        ACL - rods#tempZone:own   \n"
    assert re.fullmatch(r"    a    sha2:\S{44}\n", shell.ok("ichksum", "a"))
    assert shell.ok("ils", "-r").splitlines()[-1] == f"  C- {home}/d/s" or f"{home}/d/s:" in shell.ok(
        "ils", "-r"
    )
    found = json.loads(shell.ok("ils", "--json"))
    assert found[0]["data_objects"][0]["replicas"][0]["size_bytes"] == 100


def test_metadata_and_queries(shell: Shell, home: str) -> None:
    shell.ok("iput", "a")
    shell.ok("imeta", "add", "-d", "a", "k", "v", "u")
    assert shell.ok("imeta", "ls", "-d", "a") == (
        f"AVUs defined for dataObj {home}/a:\nattribute: k\nvalue: v\nunits: u\n"
    )
    shell.ok("imeta", "set", "-d", "a", "energy", "12.4", "keV")
    found = shell.ok(
        "iquest", f"select COLL_NAME, DATA_NAME where COLL_NAME = '{home}' and META_DATA_ATTR_NAME = 'energy'"
        " and META_DATA_ATTR_VALUE n> '9'",
    )  # fmt: skip
    assert found == f"COLL_NAME = {home}\nDATA_NAME = a\n{'-' * 60}\n"
    assert (
        shell.ok("iquest", "%s has %s", f"select DATA_NAME, DATA_SIZE where COLL_NAME = '{home}'")
        == "a has 100\n"
    )
    nothing = shell.run("iquest", "select DATA_NAME where DATA_NAME = 'none'")
    assert (nothing.returncode, nothing.stdout) == (
        1,
        b"CAT_NO_ROWS_FOUND: Nothing was found matching your query\n",
    )
    assert "there is no column `NOSUCH`" in shell.refused("iquest", "select NOSUCH")
    shell.ok("imeta", "rm", "-d", "a", "k", "v", "u")
    assert "CAT_SUCCESS_BUT_WITH_NO_INFO" in shell.refused("imeta", "rm", "-d", "a", "k", "v", "u")


def test_trees_go_in_and_come_out(shell: Shell, home: str) -> None:
    tree = shell.folder / "tree/sub"
    tree.mkdir(parents=True)
    (tree / "f").write_bytes(b"1")
    (tree.parent / "g").write_bytes(b"22")
    shell.ok("iput", "-r", "tree", "copy")
    shell.ok("iget", "-r", "-K", "copy", "back")
    assert (shell.folder / "back/sub/f").read_bytes() == b"1"
    assert (shell.folder / "back/g").read_bytes() == b"22"
    shell.ok("icp", "-r", "copy", "second")
    shell.ok("imv", "second", "third")
    assert shell.ok("ils", "third") == f"{home}/third:\n  g\n  C- {home}/third/sub\n"
    shell.ok("iput", "-", "piped", given=b"from a pipe")
    assert shell.ok("iget", "piped", "-") == "from a pipe"
    assert "use -r" in shell.refused("irm", "third")
    shell.ok("irm", "-rf", "third")
    assert "does not exist" in shell.refused("ils", "third")


def test_refusals_say_what_and_why(shell: Shell, home: str) -> None:
    shell.ok("iput", "a")
    assert "OVERWRITE_WITHOUT_FORCE_FLAG" in shell.refused("iput", "a")
    shell.ok("iput", "-f", "a")
    assert "-814000 CAT_UNKNOWN_COLLECTION" in shell.refused("iput", "a", "none/a")
    assert "-809000 CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME" in shell.refused("imkdir", home)
    assert "-827000" in shell.refused("ichmod", "read", "nobody", "a")
    assert "-78000" in shell.refused("irepl", "-R", "none", "a")
    assert "usage: iadmin mkuser" in shell.refused("iadmin", "mkuser", "x")
    assert "there is no microservice `none`" in shell.refused("irule", "none", "{}")


def test_administration(shell: Shell, home: str) -> None:
    shell.ok("iadmin", "mkuser", "visitor", "rodsuser")
    shell.ok("iadmin", "moduser", "visitor", "password", given="visitor-pw\n")
    shell.ok("iadmin", "mkgroup", "team")
    shell.ok("iadmin", "atg", "team", "visitor")
    assert "visitor#tempZone" in shell.ok("iadmin", "lu")
    shell.ok("iadmin", "mkresc", "second", "unixfilesystem", f"localhost:{shell.folder}/second")
    shell.ok("iput", "a")
    shell.ok("irepl", "-R", "second", "a")
    assert shell.ok("ils", "-l", "a").count("& a") == 2
    assert shell.ok("itrim", "-N", "1", "-S", "second", "a").endswith("Number of data objects trimmed = 1.\n")
    assert json.loads(shell.ok("irule", "checksum", '{"path": "a"}')).startswith("sha2:")
    shell.ok("iadmin", "rmresc", "second")
    shell.ok("iadmin", "rmgroup", "team")
    shell.ok("iadmin", "rmuser", "visitor")


def test_a_wrong_password_ends_with_seven(served: Served, tmp_path: Path) -> None:
    shell = Shell(tmp_path / "s", served)
    done = shell.run("iinit", given="wrong\n")
    assert done.returncode == 7
    assert b"CAT_INVALID_AUTHENTICATION" in done.stderr
    assert b"wrong" not in done.stderr


def test_a_zone_on_postgresql_is_served_the_same(postgres: str, tmp_path: Path) -> None:
    make_zone(tmp_path / "zone", new_database(postgres))
    running = serve(tmp_path / "zone", workers=2)
    try:
        shell = Shell(tmp_path / "s", running)
        (shell.folder / "a").write_bytes(b"y" * 5000)
        shell.ok("imkdir", "-p", "x/y")
        shell.ok("iput", "-K", "a", "x/y/a")
        shell.ok("imv", "x", "z")
        assert shell.ok("iget", "z/y/a", "-") == "y" * 5000
        assert shell.ok("iquest", "--sql", "findQueryByAlias", "ls").startswith("SELECT alias")
        with running.session() as session:
            for index in range(20):
                with session.data_objects.open(f"/tempZone/home/rods/f{index}", "w") as file:
                    file.write(b"1")
            assert len(session.collections.get("/tempZone/home/rods").data_objects) == 20
    finally:
        assert running.stop() == 0


def test_status_and_a_second_serve(served: Served) -> None:
    done = subprocess.run(
        [str(BIN / "beamgrid"), "status", str(served.folder), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    facts = json.loads(done.stdout)
    assert facts["zone"] == "tempZone"
    assert facts["served"]
    assert [r["state"] for r in facts["resources"] if r["name"] == "demoResc"] == ["up"]
    assert {p["role"] for p in facts["processes"] if p["alive"]} == {"server", "jobs", "streams"}


def test_unknown_settings_are_refused_with_a_suggestion(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    path = tmp_path / "zone/zone.toml"
    path.write_text(path.read_text() + 'timezon = "UTC"\n')
    done = subprocess.run(
        [str(BIN / "beamgrid"), "status", str(tmp_path / "zone")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "unknown key `timezon`; did you mean `timezone`?" in done.stderr


def test_a_zone_does_not_start_with_a_policy_that_does_not_check(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone", policy="p.policy")
    (tmp_path / "zone/p.policy").write_text(
        'policy a.b version 1\nrule "x" before object create at nowhere { }\n'
    )
    done = subprocess.run(
        [str(BIN / "beamgrid"), "serve", str(tmp_path / "zone"), "--allow-root"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "p.policy:2:1: E102: there is no location called `nowhere`" in done.stderr


def test_the_demo_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grid.cli.demo"], capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "can only be written by the nanomax service", "NOT_BEAMLINE_SERVICE", "the same bytes as the original file",
        "archiveResc", "left nothing running",
    ):  # fmt: skip
        assert expected in done.stdout, expected


def test_a_hangup_reads_settings_and_policy_again(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone", policy="p.policy")
    policy = tmp_path / "zone/p.policy"
    policy.write_text("policy my.first version 1\n")
    running = serve(tmp_path / "zone")
    try:
        shell = Shell(tmp_path / "s", running)
        (shell.folder / "a.tmp").write_bytes(b"1")
        shell.ok("iput", "a.tmp", "first.tmp")
        policy.write_text(
            'policy my.first version 2\ncode NO_TMP kind refused "no"\nlocation home = "/tempZone/home/{user}/**"\n'
            'rule "no temporary files" id no_tmp before object create at home\n'
            '  when ends_with(object.path, ".tmp") { refuse "no temporary files, {at.user}" code NO_TMP }\n'
        )
        running.process.send_signal(signal.SIGHUP)
        soon(lambda: "settings and policy were read again" in running.log)
        # every process looks again when its own signal arrives
        names = (f"later{number}.tmp" for number in itertools.count())
        soon(lambda: all(shell.run("iput", "a.tmp", next(names)).returncode == 3 for _ in range(3)))
        assert "no temporary files, rods" in shell.refused("iput", "a.tmp", "third.tmp")
        policy.write_text("policy broken\n")
        running.process.send_signal(signal.SIGHUP)
        soon(lambda: "the policy was not changed: the policy `p.policy` does not check" in running.log)
        assert "no temporary files" in shell.refused("iput", "a.tmp", "fourth.tmp")
    finally:
        assert running.stop() == 0


def test_stewards_push_their_policy_from_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "zone"
    make_zone(folder)
    place = "/tempZone/home/rods/nanomax"
    with (folder / "zone.toml").open("a") as settings:
        settings.write(f'\nstewards = {{ guides = ["{place}/**"] }}\n')
    running = serve(folder, workers=2)
    try:
        admin = Shell(tmp_path / "admin", running)
        admin.ok("iadmin", "mkuser", "anna", "rodsuser")
        admin.ok("iadmin", "moduser", "anna", "password", "anna-pw")
        admin.ok("iadmin", "mkgroup", "guides")
        admin.ok("iadmin", "atg", "guides", "anna")
        admin.ok("imkdir", "-p", place)
        anna = Shell(tmp_path / "anna", running, user="anna", password="anna-pw")
        assert "no files yet" in anna.ok("ipolicy", "show", "guides")
        rules = "".join(
            f'rule "not {n}" id n{n} before object create at here when object.name = "{n}" {{ refuse "no {n}" code NO }}\n'
            for n in range(300)
        )
        text = (
            f'policy nanomax.own version 1\ncode NO kind refused "no"\nlocation here = "{place}/**"\n{rules}'
        )
        (anna.folder / "own.policy").write_text(text)
        assert "is active" in anna.ok("ipolicy", "push", "guides", "own.policy")
        (admin.folder / "299").write_bytes(b"x")
        assert "no 299" in admin.refused("iput", "299", f"{place}/299")
        anna.ok("ipolicy", "get", "guides", "got")
        assert (anna.folder / "got/own.policy").read_text() == text
        (anna.folder / "own.policy").write_text(text.replace("/nanomax/", "/balder/"))
        assert "`nanomax.own` was granted `/tempZone/home/rods/nanomax/**`" in anna.refused(
            "ipolicy", "push", "guides", "own.policy"
        )
        assert "only the stewards of `others`" in anna.refused("ipolicy", "push", "others", "own.policy")
        anna.ok("ipolicy", "rollback", "guides")
        admin.ok("iput", "299", f"{place}/299")
    finally:
        assert running.stop() == 0


def test_what_is_on_tape_is_listed_asked_for_and_arrives(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    running = serve(tmp_path / "zone", workers=2)
    try:
        shell = Shell(tmp_path / "shell", running)
        context = "drives=1;cartridges=2;capacity=10 MB;clock_factor=100;batch=1;batch_age=0;pin=1000 d"
        shell.ok("iadmin", "mkresc", "tape1", "tape", f"localhost:{tmp_path}/tape", context)
        for name in ("a", "b"):
            (shell.folder / name).write_bytes(name.encode() * 5000)
        shell.ok("imkdir", "raw")
        shell.ok("iput", "-K", "-R", "tape1", "a", "b", "raw")
        soon(lambda: shell.ok("ils", "-l", "raw").count("[tape]") == 2)
        assert re.search(r"rods {14}0 tape1 {9}5000 \S+ & a  \[tape\]\n", shell.ok("ils", "-l", "raw/a"))
        assert "is on tape, on cartridge T00001" in shell.refused("iget", "raw/a", "back")
        asked = json.loads(shell.ok("istage", "request", "-r", "raw", "--json"))
        assert sorted(one["path"].rpartition("/")[2] for one in asked) == ["a", "b"]
        numbers = [str(one["request"]) for one in asked]
        shown = shell.ok("istage", "status", *numbers, "--wait")
        assert shown.count(" done ") == 2
        assert "off the estimate" in shown
        assert shell.ok("ils", "-l", "raw").count("[tape+disk]") == 2
        shell.ok("iget", "raw/a", "back")
        assert (shell.folder / "back").read_bytes() == b"a" * 5000
        page = shell.ok("itape")
        assert "tape1: " in page
        assert "2 cartridges, 1 empty" in page
        assert "T00001" in page
        assert "half were within" in page
        assert "drive1: stuck" in shell.ok("itape", "fault", "drive1", "stuck")
        assert "drive1: in order" in shell.ok("itape", "mend", "drive1")
        assert "which nobody" not in shell.ok("istage", "pin", *numbers, "100")
        shell.ok("istage", "release", *numbers)
        (shell.folder / "list").write_text("raw/a\nraw/nothing\n")
        found = shell.run(
            "istage", "request", "--from", "list", "--where", "COLL_NAME like '%/raw' and DATA_NAME = 'b'"
        )
        assert (found.returncode, found.stdout.count(b"rejected"), found.stdout.count(b" done ")) == (3, 1, 2)
        assert "found `x` where the number of a request was expected" in shell.refused(
            "istage", "cancel", "x"
        )
    finally:
        assert running.stop() == 0


def test_files_are_registered_where_they_lie(shell: Shell, home: str, tmp_path: Path) -> None:
    folder = tmp_path / "gpfs/raw"
    (folder / "run1").mkdir(parents=True)
    for name in ("a", "run1/b", "run1/c"):
        (folder / name).write_text(name)
    (folder / "link").symlink_to("/etc/passwd")
    assert shell.ok("ireg", "-r", "-K", str(folder), "reg") == "3 files registered, 0 were there already\n"
    (folder / "run1/d").write_text("new")
    assert json.loads(shell.ok("ireg", "-r", "--json", str(folder), "reg")) == {"registered": 1, "known": 3}
    assert shell.ok("ils", "-r", "reg").split() == [
        f"{home}/reg:", "a", "C-", f"{home}/reg/run1", f"{home}/reg/run1:", "b", "c", "d",
    ]  # fmt: skip
    assert str(folder / "run1/b") in shell.ok("ils", "-L", "reg/run1/b")
    assert shell.ok("iget", "reg/run1/b", "-") == "run1/b"
    shell.ok("irm", "-rf", "reg")
    assert (folder / "a").read_text() == "a"
    assert "is a folder; use -r" in shell.refused("ireg", str(folder), "reg")
    assert "an absolute path was expected" in shell.refused("ireg", "a", "reg")


@pytest.mark.parametrize("size", [60_000, 40_000_000])
def test_room_is_reserved_for_a_user_and_used(tmp_path: Path, size: int) -> None:
    make_zone(tmp_path / "zone")
    served = serve(tmp_path / "zone")
    try:
        rods = Shell(tmp_path / "rods", served)
        rods.ok("iadmin", "mkuser", "anna", "rodsuser")
        rods.ok("iadmin", "moduser", "anna", "password", "anna")
        rods.ok("iadmin", "mkresc", "fast", "buffer", f"localhost:{tmp_path}/fast", f"capacity={2 * size}B")
        made = rods.ok(
            "ispace", "reserve", "fast", f"{1.5 * size:.0f} B", "--for", "anna", "--time", "90 min"
        )
        key = made.partition(":")[0]
        assert f"{1.5 * size:,.0f} bytes for anna#tempZone until " in made
        anna = Shell(tmp_path / "anna", served, user="anna", password="anna")
        (anna.folder / "large").write_bytes(b"x" * size)
        refused = anna.run("iput", "-R", "fast", "large")
        assert refused.returncode == 3
        assert b"are wanted; a reservation ends at" in refused.stderr
        anna.ok("iput", "-K", "-R", "fast", "--reservation", key, "large")
        (left,) = json.loads(rods.ok("ispace", "show", "fast", "--json"))["reservations"]
        assert left["bytes"] == size // 2
        assert f"{size // 2:,} bytes are left for anna#tempZone" in rods.ok("ispace", "show", "fast")
        assert rods.ok("ispace", "release", key) == f"{key} is released\n"
        assert "there is no buffer" in rods.refused("ispace", "show", "demoResc")
        assert (
            "such as `500 GB` was expected" in rods.run("ispace", "reserve", "fast", "much").stderr.decode()
        )
    finally:
        assert served.stop() == 0


@pytest.mark.parametrize("options", [(), ("-K",), ("-N", "3"), ("-N", "3", "-K"), ("-N", "1")])
def test_large_files_arrive_over_one_connection_or_several(
    shell: Shell, home: str, options: tuple[str, ...]
) -> None:
    data = os.urandom(150_000_001)
    (shell.folder / "large").write_bytes(data)
    shell.ok("iput", *options, "large", "large")
    shell.ok("iget", "-K", "large", "back")
    assert (shell.folder / "back").read_bytes() == data
    shell.ok("irm", "-f", "large")


def test_an_upload_that_fails_in_one_stream_ends_and_leaves_nothing(
    served: Served, home: str, tmp_path: Path, monkeypatch
) -> None:
    from grid.cli.icmd import upload

    (tmp_path / "large").write_bytes(bytes(20_000_000))
    request = upload._request

    def broken(raw, file, offset: int, count: int, told) -> None:
        if offset:
            raise UserError("this stream breaks")
        request(raw, file, offset, count, told)

    monkeypatch.setattr(upload, "_request", broken)
    with served.session() as session:
        with pytest.raises(UserError, match="this stream breaks"):
            upload.send_file(
                session, tmp_path / "large", f"{home}/half", {}, streams=4, told=lambda count: None
            )
        soon(lambda: not session.data_objects.exists(f"{home}/half"))


def test_block_trees_are_the_same_however_a_file_came(tmp_path: Path) -> None:
    make_zone(tmp_path / "zone")
    with (tmp_path / "zone/zone.toml").open("a") as settings:
        settings.write('block_trees = "on"\nworkers = 2\n')
    served = serve(tmp_path / "zone")
    try:
        shell = Shell(tmp_path / "shell", served)
        data = os.urandom(70_000_000)
        (shell.folder / "a").write_bytes(data)
        expected = f"blocks:{tree_of([data]).root.hex()}"
        for name, options in (("one", ("-N", "1")), ("four", ("-N", "4")), ("checked", ("-K",))):
            shell.ok("iput", *options, "a", name)
            assert json.loads(shell.ok("ichksum", "--tree", "--json", name)) == {
                f"/tempZone/home/rods/{name}": expected
            }
        with served.session() as session:
            session.data_objects.put(str(shell.folder / "a"), "/tempZone/home/rods/parallel")
        assert expected in shell.ok("ichksum", "--tree", "parallel")
        shell.ok("icp", "one", "copied")
        assert expected in shell.ok("ichksum", "--tree", "copied")
    finally:
        assert served.stop() == 0


def test_a_zone_without_block_trees_says_so(shell: Shell, home: str) -> None:
    shell.ok("iput", "a", "a")
    assert "has no block tree; the setting `block_trees` has one made" in shell.refused(
        "ichksum", "--tree", "a"
    )


def test_evidence_is_attached_shown_and_exported(shell: Shell, served: Served, home: str) -> None:
    folder, name = shell.folder, f"{home}/run7"
    program = lambda *command: shell.run("beamgrid", *command)  # noqa: E731
    (folder / "run7").write_bytes(b"frames" * 100_000)
    assert program("keys", "init", "keys", "--zone", served.zone).returncode == 0
    assert program("keys", "issue", "keys", "eiger", "--role", "instrument", "--scope", home).returncode == 0
    signed = (
        "sign",
        "acquisition",
        "run7",
        "--as",
        name,
        "--key",
        "keys/private/eiger.key",
        "--beamline",
        "b",
        "--instrument",
        "i",
    )
    assert program(*signed, "--stream", "run7", "--authority", "keys").returncode == 0
    shell.ok("iput", "run7", name)
    assert "the zone believes no root of keys" in shell.refused("iprov", "attach", name, "run7.evidence.json")
    authority = served.folder / "authority"
    shutil.copytree(folder / "keys", authority, ignore=shutil.ignore_patterns("private"))
    try:
        assert f"{name}: not_logged: it is signed and unchanged" in shell.ok(
            "iprov", "attach", name, "run7.evidence.json"
        )
        shown = json.loads(shell.ok("iprov", "show", name, "--json"))
        assert [step["signer"] for step in shown["steps"]] == ["eiger"]
        shell.ok("iprov", "export", name, "out.json")
        assert (
            program("verify", "run7", "--evidence", "out.json", "--root", "keys/root.json").returncode == 20
        )
        shell.ok("iput", "a", f"{home}/other")
        assert "unsigned: no statement is about this content" in shell.refused(
            "iprov", "attach", f"{home}/other", "run7.evidence.json"
        )
        assert "cannot be read" in shell.run("iprov", "attach", name, "none").stderr.decode()
    finally:
        shutil.rmtree(authority)


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[Served]:
    """A zone as `beamgrid init` makes it: its services sign."""
    folder = tmp_path / "zone"
    made = subprocess.run(
        [sys.executable, "-m", "grid.cli.main", "init", str(folder), "--zone", "tempZone", "--admin", "rods", "--port", "0"],
        input="rods\n", text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert "its services sign what they do" in made.stdout
    zone = serve(folder)
    yield zone
    zone.stop()


def test_a_new_zone_signs_and_what_it_signed_is_verified_drawn_and_exported(
    signing: Served, tmp_path: Path
) -> None:
    import h5py
    import numpy

    shell = Shell(tmp_path / "shell", signing)
    folder, home = shell.folder, f"/{signing.zone}/home/rods"
    with h5py.File(folder / "scan.h5", "w") as file:
        file.create_dataset(
            "entry/data", data=numpy.arange(4096, dtype="u2").reshape(16, 16, 16), chunks=(1, 16, 16)
        )
    authority = signing.folder / "authority"
    program = lambda *command: shell.run("beamgrid", *command)  # noqa: E731
    assert (
        program("keys", "issue", authority, "eiger#1", "--role", "instrument", "--scope", home).returncode
        == 0
    )
    signed = (
        "sign",
        "acquisition",
        "scan.h5",
        "--as",
        f"{home}/scan.h5",
        "--key",
        authority / "private/eiger_1.key",
    )
    assert (
        program(
            *signed, "--beamline", "b", "--instrument", "i", "--stream", "s1", "--authority", authority
        ).returncode
        == 0
    )
    shell.ok("iput", "scan.h5", f"{home}/scan.h5")
    shell.ok("iprov", "attach", f"{home}/scan.h5", "scan.h5.evidence.json")
    deadline = time.monotonic() + 60
    while shell.ok("iprov", "log", f"{home}/scan.h5").count(" logged ") < 4:
        assert time.monotonic() < deadline, shell.ok("iprov", "log", f"{home}/scan.h5")
        time.sleep(0.3)
    shown = json.loads(shell.ok("iprov", "show", f"{home}/scan.h5", "--json", "--svg", "chain.svg"))
    assert {(step["kind"], step["state"]) for step in shown["steps"]} == {
        ("acquisition", "verified"), ("digest-link", "verified"), ("ingest", "verified"),
    }  # fmt: skip
    assert "<svg" in (folder / "chain.svg").read_text()
    verified = shell.ok("iprov", "verify", f"{home}/scan.h5", "--root", authority / "root.json")
    assert f"{home}/scan.h5: verified" in verified
    by_path = program("verify", f"{home}/scan.h5", "--root", authority / "root.json")
    assert (by_path.returncode, f"{home}/scan.h5: verified" in by_path.stdout.decode()) == (0, True)
    shell.ok("imkdir", f"{home}/published")
    shell.ok("icp", f"{home}/scan.h5", f"{home}/published/scan.h5")
    shell.ok("imeta", "add", "-C", f"{home}/published", "doi", "10.16907/maxiv.1")
    while (
        "2 data objects" not in (found := shell.run("iprov", "verify", home).stdout.decode())
        or "promised" in found
    ):
        assert time.monotonic() < deadline, found
    doi = program("verify", "https://doi.org/10.16907/maxiv.1", "--json")
    assert json.loads(doi.stdout)["path"] == f"{home}/published"
    assert "no collection and no data object" in program("verify", "10.16907/none").stderr.decode()
    shell.ok("iprov", "export", f"{home}/scan.h5", "--frame", "7")
    judged = program("verify", "scan.h5", "--frame", "7", "--root", authority / "root.json", "--json")
    assert json.loads(judged.stdout)["state"] == "verified", judged.stderr
    missing = program("verify", "scan.h5", "--frame", "8", "--root", authority / "root.json")
    assert (missing.returncode, b"missing_evidence" in missing.stdout) == (20, True)
    place = json.loads((folder / "scan.h5.evidence.json").read_text())["chunks"][0]["offset"]
    data = bytearray((folder / "scan.h5").read_bytes())
    data[place] ^= 1
    (folder / "scan.h5").write_bytes(data)
    judged = program("verify", "scan.h5", "--frame", "7", "--root", authority / "root.json")
    assert (judged.returncode, b"tampered: chunk 7 of `/entry/data`" in judged.stdout) == (40, True)
    shell.ok("iprov", "export", f"{home}/scan.h5", "crate", "--as", "ro-crate")
    assert {file.name for file in (folder / "crate").iterdir()} == {
        "scan.h5",
        "ro-crate-metadata.json",
        "chain.md",
        "evidence.json",
    }
    shell.ok("iprov", "export", f"{home}/scan.h5", "bag", "--as", "bag")
    assert "data/scan.h5" in (folder / "bag/manifest-sha256.txt").read_text()
    shell.ok("iprov", "export", f"{home}/scan.h5", "--as", "prov")
    assert "wasGeneratedBy" in (folder / "scan.h5.prov.json").read_text()
    assert "holds something already" in shell.refused(
        "iprov", "export", f"{home}/scan.h5", "crate", "--as", "ro-crate"
    )
