"""`python -m provenance.commands`."""

import sys

from provenance.commands import main

sys.exit(main(sys.argv[1:]))
