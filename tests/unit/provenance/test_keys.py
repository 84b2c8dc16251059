"""Keys beside the usual ones: second signatures by ML-DSA, and keys that never leave a token."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from provenance import commands, dsse, evidence, tokens
from provenance.authority import Authority, Root
from provenance.blocks import tree_of
from provenance.errors import Malformed
from provenance.keyfiles import ML_DSA_65, FileKey, KeyRefused, PublicKey
from provenance.signing import sign_files
from provenance.tokens import load_key
from provenance.verdict import judge
from tests.unit.provenance.test_verdict import AT, DATA, PATH, SAID, World, logged


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_second_signature_that_is_to_last(world: World, tmp_path: Path) -> None:
    name = "maxiv/nanomax/eiger-late#2026a"
    folder = tmp_path / "keys"
    assert (
        commands.main(
            [
                "keys",
                "issue",
                str(folder),
                name,
                "--role",
                "instrument",
                "--scope",
                "/maxiv",
                "--algorithm",
                ML_DSA_65,
            ]
        )
        == 0
    )
    late = FileKey.load(folder / "private/maxiv_nanomax_eiger-late_2026a.key")
    assert late.public.algorithm == ML_DSA_65
    made = sign_files([(PATH, world.file)], SAID, world.key, at=AT, also=[late])
    (envelope,) = made.statements
    assert [len(one.sig) for one in envelope.signatures] == [64, 3309]
    given = logged(world, replace(made, root=world.ring.root_envelope()))
    assert world.judge(given).state == "verified"
    wrong = replace(envelope.signatures[1], sig=bytes(3309))
    forged = replace(given, statements=(replace(envelope, signatures=(envelope.signatures[0], wrong)),))
    assert world.judge(forged).state == "bad_signature"


def test_without_ml_dsa_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *arguments: object, **more: object):
        if name.endswith("asymmetric") and "mldsa" in (arguments[2] or ()):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(KeyRefused, match="has no ML-DSA, so such signatures are neither made nor checked"):
        FileKey.make(tmp_path / "k.key", "a", ML_DSA_65)
    assert not (tmp_path / "k.key").exists()


@pytest.mark.parametrize(
    ("raw", "algorithm"), [(b"x", "ed25519"), (bytes(32), "rsa"), (bytes(32), ML_DSA_65)]
)
def test_what_is_no_key(raw: bytes, algorithm: str) -> None:
    with pytest.raises(Malformed):
        PublicKey(raw, algorithm)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A token of SoftHSM with an Ed25519 key on it, and the file that describes it."""
    module = next((one for one in Path("/usr/lib").glob("**/libsofthsm2.so")), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: sudo apt-get install softhsm2")
    pkcs11 = pytest.importorskip("pkcs11")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(
        f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "beamgrid", "--pin", "1234", "--so-pin", "5678"], check=True, capture_output=True
    )  # fmt: skip
    library = pkcs11.lib(str(module))
    tokens._OPEN.clear()
    library.reinitialize()
    with library.get_token(token_label="beamgrid").open(rw=True, user_pin="1234") as session:
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06032b6570")}, local=True
        )  # fmt: skip; the curve is its object identifier, 1.3.101.112
        parameters.generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label="gateway"
        )
    described = tmp_path / "gateway.token"
    described.write_text(
        f"beamgrid-token-1\nname maxiv/gateway#1\nmodule {module}\ntoken beamgrid\nlabel gateway\npin 1234\n"
    )
    described.chmod(0o600)
    return described


def test_a_key_on_a_token_signs_like_any_other(world: World, token: Path, capsys) -> None:
    key = load_key(token)
    folder = world.folder / "keys"
    said = [
        "keys",
        "issue",
        str(folder),
        key.name,
        "--role",
        "instrument",
        "--scope",
        "/maxiv",
        "--public",
        key.public.raw.hex(),
    ]
    assert commands.main(said) == 0
    assert f"{key.keyid}) may sign as instrument, on the token that holds it" in capsys.readouterr().out
    out = world.folder / "run7.evidence.json"
    sign = [
        "sign",
        "acquisition",
        str(world.file),
        "--as",
        PATH,
        "--key",
        str(token),
        "--beamline",
        "nanomax",
        "--instrument",
        "eiger",
        "--stream",
        "s1",
    ]
    assert commands.main([*sign, "--authority", str(folder), "--out", str(out)]) == 0
    given = logged(world, evidence.decoded(out.read_bytes()))
    verdict = judge(tree_of([DATA]), PATH, given, Authority.of(Root.read(given.root), given.keys))
    assert (verdict.state, verdict.steps[0].signer) == ("verified", "maxiv/gateway#1")
    assert commands.main(["keys", "list", str(folder), "--json"]) == 0
    assert '"storage": "hsm"' in capsys.readouterr().out


def test_a_token_that_does_not_answer(token: Path) -> None:
    token.write_text(token.read_text().replace("pin 1234", "pin 9999"))
    with pytest.raises(KeyRefused, match="on the token `beamgrid` cannot be used"):
        load_key(token)
    token.write_text("nonsense")
    with pytest.raises(KeyRefused, match="describes no token"):
        load_key(token)
    token.chmod(0o644)
    with pytest.raises(KeyRefused, match="so others can use the token"):
        load_key(token)
    assert os.path.exists(token)


def test_an_envelope_of_ours_is_that_of_in_toto(world: World) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement as Other

    (envelope,) = world.sign().statements
    found = json_format.Parse(dsse.decoded(envelope.encoded()).payload, statement_pb2.Statement())
    Other.copy_from_pb(found).validate()
