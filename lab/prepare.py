"""Creates everything that labs use from the cache, in parallel, if missing: `python -m lab.prepare`.

`make test` runs this before the tests, whose set-up would otherwise seem to hang while the engine is built.
"""

import sys

from lab import image, preflight
from stand_ins.builds import archives, programs
from toolbox import console
from toolbox.errors import ToolError
from toolbox.parallel import Task, run


def everything() -> None:
    """Check this machine, then fill the cache. `LabError` names what is missing."""
    preflight.check()
    run(
        [
            Task("pulumi", programs.pulumi),
            Task("versitygw", programs.versitygw),
            Task("archives", archives.ensure),
            Task("monitoring", archives.monitoring),
            Task("image", image.ensure),
        ]
    )


def main() -> int:
    """Run it; the exit status is 0 if nothing is missing."""
    try:
        everything()
    except ToolError as error:
        console.fail("prepare", str(error))
        return 1
    except KeyboardInterrupt:
        console.fail("prepare", "interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
