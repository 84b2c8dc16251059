"""`python -m provenance`, and what a verifier in one file runs."""

import sys

from provenance.commands import main

sys.exit(main(sys.argv[1:]))
