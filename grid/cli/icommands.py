"""The entry points of the i-commands. Each loads its own module alone: a command that is typed is to begin at once."""

import importlib
import sys
from collections.abc import Callable
from typing import Final

ALL: Final = {
    "icd": "account",
    "ils": "listing",
    "ichksum": "listing",
    "iput": "transfer",
    "iget": "transfer",
    "imkdir": "tree",
    "irm": "tree",
    "imv": "tree",
    "icp": "tree",
    "ichmod": "tree",
    "irepl": "tree",
    "itrim": "tree",
    "imeta": "catalog",
    "iquest": "catalog",
    "iadmin": "administer",
    "irule": "administer",
    "iexplain": "policy",
    "iqstat": "policy",
    "iqdel": "policy",
    "iqmod": "policy",
    "ipolicy": "policy",
    "istage": "tape",
    "itape": "tape",
    "iscrub": "tape",
    "ispace": "space",
    "iprov": "provenance",
    "ireduce": "reduction",
    "ireg": "tree",
}
"""Each command that speaks to a server, and its module in `grid.cli.icmd`."""


def _command(name: str) -> Callable[[], None]:
    def entry() -> None:
        from grid.cli.icmd import program

        module = importlib.import_module(f"grid.cli.icmd.{ALL[name]}")
        sys.exit(program.main(name, getattr(module, f"{name}_parser"), getattr(module, name)))

    return entry


def iinit() -> None:
    from grid.cli.icmd import account

    sys.exit(account.iinit())


def ipwd() -> None:
    from grid.cli.icmd import account

    sys.exit(account.ipwd())


icd = _command("icd")
ils = _command("ils")
ichksum = _command("ichksum")
iput = _command("iput")
iget = _command("iget")
imkdir = _command("imkdir")
irm = _command("irm")
imv = _command("imv")
icp = _command("icp")
ichmod = _command("ichmod")
irepl = _command("irepl")
itrim = _command("itrim")
imeta = _command("imeta")
iquest = _command("iquest")
iadmin = _command("iadmin")
irule = _command("irule")
iexplain = _command("iexplain")
iqstat = _command("iqstat")
iqdel = _command("iqdel")
iqmod = _command("iqmod")
ipolicy = _command("ipolicy")
istage = _command("istage")
itape = _command("itape")
iscrub = _command("iscrub")
ispace = _command("ispace")
iprov = _command("iprov")
ireduce = _command("ireduce")
ireg = _command("ireg")
