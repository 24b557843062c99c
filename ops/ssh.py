"""Runs commands on hosts with OpenSSH, using the connections in a stack's state."""

import os
import subprocess
import tempfile
from pathlib import Path

from components import openssh
from components.openssh import Login

TOOL = "/usr/local/lib/flink/flink-host"
"""The host tool."""
UNREACHED = 255
"""The exit status of ssh itself: the host is unreachable, or the connection was lost."""


def run(name: str, login: Login, command: str, stdin: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a command on the host `name`, for at most `seconds`. Its secrets are in temporary files that only this user
    can read. After that time: status UNREACHED, with what it has printed until then.
    """
    with tempfile.TemporaryDirectory(prefix="flink-ops-") as folder:
        for file, text in openssh.files({name: login}).items():
            descriptor = os.open(Path(folder) / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as opened:
                opened.write(text)
        argv = ["ssh", "-F", openssh.CONFIG, name, command]
        try:
            return subprocess.run(
                argv, cwd=folder, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            # In bytes, also of a process whose output is text
            said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
            return subprocess.CompletedProcess(
                argv, UNREACHED, said, f"the command did not complete within {seconds:.0f} s"
            )
        except FileNotFoundError:
            return subprocess.CompletedProcess(argv, UNREACHED, "", "ssh is not installed on this machine")
