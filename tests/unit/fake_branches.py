"""Replaces `python -m branches` in the tests of workflows: records its arguments, writes and exits as configured.

$FAKE_BRANCHES is a JSON file: `codes` (stack → exit code, `*` for any other; CRASH writes nothing), and gets `calls`.
"""

import itertools
import json
import os
import sys
from pathlib import Path

CRASH = 99


def main(argv: list[str]) -> int:
    file = Path(os.environ["FAKE_BRANCHES"])
    told = json.loads(file.read_text())
    options = dict(itertools.pairwise(argv))
    told.setdefault("calls", []).append({"argv": argv, "token": os.environ.get("GH_TOKEN", "")})
    file.write_text(json.dumps(told))
    code: int = told["codes"].get(options.get("--stack"), told["codes"]["*"])
    said = f"{argv[0]} ended with {code}\n"
    if code != CRASH:
        # As in the real one: also the reason of a failure
        for option in ("--summary", "--comment"):
            if option in options:
                Path(options[option]).write_text(said)
    print(said, end="")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
