"""What the command lines of this project have in common."""

import os
import sys
from collections.abc import Callable


def ran(main: Callable[[], int]) -> int:
    """Run the whole of a command, whose reader may close the pipe before its end (`| head`); returns its exit code."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What waits to be written has nowhere to go
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        return 1
    return code
