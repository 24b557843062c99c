"""Programs in separate process groups, together with their children."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from toolbox.paths import REPO


@contextmanager
def started(argv: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """Run a program at the root of the repository, without input. The end of the block kills its group (SIGKILL),
    unless the program has ended. `options` are Popen's.
    """
    process = subprocess.Popen(argv, cwd=REPO, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
