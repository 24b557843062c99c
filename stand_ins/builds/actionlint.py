"""Checks .github/workflows with actionlint, including the steps' shell: `python -m stand_ins.builds.actionlint`.

Part of `make check`.
"""

import subprocess
import sys
from pathlib import Path

from stand_ins.builds import programs
from toolbox import console
from toolbox.errors import ToolError
from toolbox.paths import REPO


def main() -> int:
    """Check all workflows; the exit status is 0 if there are no findings."""
    try:
        program = programs.actionlint()
    except ToolError as error:
        console.fail("actionlint", str(error))
        return 1
    shellcheck = Path(sys.executable).with_name("shellcheck")
    return subprocess.run([program, "-shellcheck", shellcheck, "-pyflakes", ""], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
