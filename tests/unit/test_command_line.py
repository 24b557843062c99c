"""Command lines whose reader has seen enough."""

import subprocess
import sys

import pytest

from toolbox.paths import REPO

LONG = "import sys; from automation.command_line import ran; sys.exit(ran(lambda: print('x\\n' * 100_000) or 0))"


@pytest.mark.parametrize(("reader", "code"), [("head -n 1", 1), ("cat", 0)])
def test_a_reader_that_has_seen_enough_is_no_error_to_show(reader: str, code: int) -> None:
    words = ["bash", "-c", f'"$0" -c "$1" | {reader} >/dev/null; exit "${{PIPESTATUS[0]}}"', sys.executable, LONG]
    done = subprocess.run(words, cwd=REPO, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
