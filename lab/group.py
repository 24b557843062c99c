"""Programs in a process group of their own, with all that they start."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from toolbox.paths import REPO


@contextmanager
def started(argv: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """A program at the root of the repository, without input; its group gets a SIGKILL at the end of the block, unless
    the program has ended by then. `options` are Popen's.
    """
    process = subprocess.Popen(argv, cwd=REPO, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
