"""`up` of a lab's stack with other settings, as a process that can be killed: `python -m drill.up LAB JSON`."""

import json
import sys

from lab import archives, console
from lab.errors import LabError
from lab.lab import Lab
from lab.stack import LabStack


def main(name: str, overrides: str) -> int:
    """Do it; `overrides` is JSON: settings by key."""
    try:
        LabStack(Lab(name), archives.ensure(), json.loads(overrides)).up()
    except LabError as error:
        console.fail("up", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
