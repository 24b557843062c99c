"""`python -m host_tool --help`, in this repository."""

import sys

from .commands import main

sys.exit(main(sys.argv[1:]))
