"""`up` of a lab's stack with changed settings, as a process that can be killed: `python -m drill.up LAB JSON`."""

import json
import sys

from lab.lab import Lab
from lab.stack import LabStack
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError


def main(name: str, overrides: str) -> int:
    """Run `up`; `overrides` is JSON: settings by key."""
    try:
        LabStack(Lab(name), archives.ensure(), json.loads(overrides)).up()
    except ToolError as error:
        console.fail("up", str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
