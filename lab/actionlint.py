"""actionlint over .github/workflows, the steps' shell included: `python -m lab.actionlint`, a part of `make check`."""

import subprocess
import sys
from pathlib import Path

from lab import console, engine
from lab.errors import LabError
from lab.paths import REPO


def main() -> int:
    """Check all workflows; the exit status is 0 if there is nothing to say."""
    try:
        program = engine.actionlint()
    except LabError as error:
        console.fail("actionlint", str(error))
        return 1
    shellcheck = Path(sys.executable).with_name("shellcheck")
    return subprocess.run([program, "-shellcheck", shellcheck, "-pyflakes", ""], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
