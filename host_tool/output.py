"""The tool's output: for people on stderr, for `ops doctor` on stdout."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Failure(Exception):
    """The command failed; the message states what was found and what to do."""


def say(host: str, text: str) -> None:
    """Tell people what happens on `host`."""
    print(f"{host}: {text}", file=sys.stderr, flush=True)


def differs(what: str, message: str) -> None:
    """Report drift, in the form that `ops` reads (as lib.sh does)."""
    print(f"! {what}\t{message}", flush=True)


def show_log(title: str, argv: Sequence[str], seconds: float) -> bool:
    """Show the output of a command on stderr, for at most the given seconds; returns whether it succeeded."""
    import subprocess

    print(f"--- {title}", file=sys.stderr, flush=True)
    try:
        # Its stdout, too: ours is the step's result
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
