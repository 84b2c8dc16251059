"""The entry points of the i-commands. Each loads its own module alone: a command that is typed is to begin at once."""

import importlib
import sys
from collections.abc import Callable


def _command(name: str, module: str) -> Callable[[], None]:
    """What runs a command that speaks to a server, out of a module of `grid.cli.icmd`."""

    def entry() -> None:
        from grid.cli.icmd import program

        own = importlib.import_module(f"grid.cli.icmd.{module}")
        sys.exit(program.main(name, getattr(own, f"{name}_parser"), getattr(own, name)))

    return entry


def iinit() -> None:
    from grid.cli.icmd import account

    sys.exit(account.iinit())


def ipwd() -> None:
    from grid.cli.icmd import account

    sys.exit(account.ipwd())


icd = _command("icd", "account")
ils = _command("ils", "listing")
ichksum = _command("ichksum", "listing")
iput = _command("iput", "transfer")
iget = _command("iget", "transfer")
imkdir = _command("imkdir", "tree")
irm = _command("irm", "tree")
imv = _command("imv", "tree")
icp = _command("icp", "tree")
ichmod = _command("ichmod", "tree")
irepl = _command("irepl", "tree")
itrim = _command("itrim", "tree")
imeta = _command("imeta", "catalog")
iquest = _command("iquest", "catalog")
iadmin = _command("iadmin", "administer")
irule = _command("irule", "administer")
iexplain = _command("iexplain", "policy")
iqstat = _command("iqstat", "policy")
iqdel = _command("iqdel", "policy")
iqmod = _command("iqmod", "policy")
ipolicy = _command("ipolicy", "policy")
istage = _command("istage", "tape")
itape = _command("itape", "tape")
iscrub = _command("iscrub", "tape")
ispace = _command("ispace", "space")
iprov = _command("iprov", "provenance")
ireduce = _command("ireduce", "reduction")
ireg = _command("ireg", "tree")
