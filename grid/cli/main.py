"""`beamgrid`: making, serving and looking after a zone."""

import argparse
import sys
from pathlib import Path

from grid import app, config


def main() -> int:
    parser = argparse.ArgumentParser(prog="beamgrid")
    sub = parser.add_subparsers(dest="command", required=True)
    p = sub.add_parser("init")
    p.add_argument("dir", type=Path)
    p.add_argument("--zone", required=True)
    p.add_argument("--admin", required=True)
    p.add_argument("--password", default="")
    p.add_argument("--port", type=int, default=1247)
    p.add_argument("--catalog", default="")
    p.add_argument("--policy", default="")
    p = sub.add_parser("serve")
    p.add_argument("dir", type=Path)
    a = parser.parse_args()
    if a.command == "init":
        app.initialise(
            a.dir,
            zone=a.zone,
            admin=a.admin,
            password=a.password,
            host="127.0.0.1",
            port=a.port,
            catalog=a.catalog,
            policy=a.policy,
        )
        return 0
    return app.serve(a.dir, config.load(a.dir))


if __name__ == "__main__":
    sys.exit(main())
