"""The entry points of the i-commands."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable

from grid.cli.icmd import (
    account,
    administer,
    catalog,
    listing,
    policy,
    program,
    provenance,
    reduction,
    space,
    tape,
    transfer,
    tree,
)


def _command(name: str, build: Callable[[], ArgumentParser], run: program.Run) -> Callable[[], None]:
    def entry() -> None:
        sys.exit(program.main(name, build, run))

    return entry


def iinit() -> None:
    sys.exit(account.iinit())


def ipwd() -> None:
    sys.exit(account.ipwd())


icd = _command("icd", account.icd_parser, account.icd)
ils = _command("ils", listing.ils_parser, listing.ils)
ichksum = _command("ichksum", listing.ichksum_parser, listing.ichksum)
iput = _command("iput", transfer.iput_parser, transfer.iput)
iget = _command("iget", transfer.iget_parser, transfer.iget)
imkdir = _command("imkdir", tree.imkdir_parser, tree.imkdir)
irm = _command("irm", tree.irm_parser, tree.irm)
imv = _command("imv", tree.imv_parser, tree.imv)
icp = _command("icp", tree.icp_parser, tree.icp)
ichmod = _command("ichmod", tree.ichmod_parser, tree.ichmod)
irepl = _command("irepl", tree.irepl_parser, tree.irepl)
itrim = _command("itrim", tree.itrim_parser, tree.itrim)
imeta = _command("imeta", catalog.imeta_parser, catalog.imeta)
iquest = _command("iquest", catalog.iquest_parser, catalog.iquest)
iadmin = _command("iadmin", administer.iadmin_parser, administer.iadmin)
irule = _command("irule", administer.irule_parser, administer.irule)
iexplain = _command("iexplain", policy.iexplain_parser, policy.iexplain)
iqstat = _command("iqstat", policy.iqstat_parser, policy.iqstat)
iqdel = _command("iqdel", policy.iqdel_parser, policy.iqdel)
iqmod = _command("iqmod", policy.iqmod_parser, policy.iqmod)
ipolicy = _command("ipolicy", policy.ipolicy_parser, policy.ipolicy)
istage = _command("istage", tape.istage_parser, tape.istage)
itape = _command("itape", tape.itape_parser, tape.itape)
iscrub = _command("iscrub", tape.iscrub_parser, tape.iscrub)
ispace = _command("ispace", space.ispace_parser, space.ispace)
iprov = _command("iprov", provenance.iprov_parser, provenance.iprov)
ireduce = _command("ireduce", reduction.ireduce_parser, reduction.ireduce)
ireg = _command("ireg", tree.ireg_parser, tree.ireg)
