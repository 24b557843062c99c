"""`python -m bench.scale`: many hosts. Root; an hour. `make scale` does it.

It creates a lab of 60 hosts, by real SSH, of which one refuses connections, one is slow and one is dead
(bench/many_hosts.py), and removes it.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

from automation.command_line import ran
from bench import figures, many_hosts, many_restarts
from bench.many_hosts import ManyHosts
from bench.many_restarts import Rollout
from lab import prepare
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError

NAME = "scale"


@dataclass
class Scale:
    """All measurements."""

    rollouts: list[Rollout] = field(default_factory=list)
    many: ManyHosts | None = None


def main() -> int:
    """Measure, and write the figures; the exit status is 1 on failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=("hosts", "rollout"), help="measure only that")
    parser.add_argument("--workers", type=int, default=55, metavar="N", help="of the lab (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written")
    chosen = parser.parse_args()
    lab = Lab(NAME)
    try:
        prepare.everything()
        found = Scale()
        if chosen.only != "hosts":
            found.rollouts = many_restarts.measure(lab)
        if chosen.only != "rollout":
            found.many = many_hosts.measure(lab, archives.ensure(), chosen.workers)
        if chosen.json:
            figures.write(found, chosen.json)
    except ToolError as error:
        console.fail("scale", str(error))
        return 1
    finally:
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(ran(main))
