"""The drill's command: `python -m drill --help`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from automation.command_line import ran
from drill import faults, report, runner
from lab import prepare, stack
from lab.cluster import Cluster
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError

NAME = "drill"


def _parser() -> argparse.ArgumentParser:
    description = (
        "Cause faults on a separate lab, one after the other, while an exactly-once job writes numbered records "
        "to S3. Prints for each fault how long the job did not run, and lost and duplicated records."
    )
    epilog = (
        "exit codes: 0 nothing lost or duplicated, and the job always ran again in time; 1 otherwise; 2 wrong usage"
    )
    parser = argparse.ArgumentParser(prog="python -m drill", description=description, epilog=epilog)
    parser.add_argument(
        "--faults", metavar="A,B", help="only these (--list shows all); `changes` selects the last group"
    )
    parser.add_argument("--quick", action="store_true", help="only the four quickest")
    parser.add_argument("--list", action="store_true", help="list the faults and exit")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results to FILE, which keeps those of other faults"
    )
    parser.add_argument("--tls", action="store_true", help="the cluster encrypts its connections (`tls: true`)")
    parser.add_argument("--keep", action="store_true", help="keep the lab, for the next drill or for inspection")
    parser.add_argument("--name", default=NAME, metavar="LAB", help="the lab (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the drill; returns its exit code."""
    args = _parser().parse_args(argv)
    if args.list:
        for title, group in (("faults:", faults.ALL), ("\nchanges, which are not part of the drill:", faults.CHANGES)):
            print("\n".join([title, *(f"  {fault.name:<22} {fault.what}" for fault in group)]))
        return 0
    try:
        chosen = faults.chosen(args.faults, args.quick)
    except ToolError as error:
        console.fail("drill", str(error))
        return 2
    # SIGTERM also undoes faults; and SIGINT must not be ignored when a script runs the drill in the background
    for word in (signal.SIGINT, signal.SIGTERM):
        signal.signal(word, signal.default_int_handler)
    rows: list[runner.Row] = []
    lab, flink = Lab(args.name), ""
    try:
        prepare.everything()
        lab.up(workers=2, jobmanagers=2, zookeepers=3)
        cluster = Cluster(lab, archives.ensure(), {"flink:tls": True} if args.tls else {})
        flink = cluster.archives.flink.version
        cluster.stack.up()
        for number, fault in enumerate(chosen, 1):
            console.say("drill", f"{number} of {len(chosen)}, {fault.name}: {fault.what}")
            row = runner.run(cluster, fault)
            console.say("drill", f"{row.title}: {report.summary(row)}")
            rows.append(row)
            if args.json:
                report.write(args.json, rows, flink, stack.failover_seconds())
    except ToolError as error:
        console.fail("drill", str(error))
    except KeyboardInterrupt:
        console.fail("drill", "interrupted")
    finally:
        if not args.keep:
            with console.step("drill", f"removing lab {lab.name!r}"):
                lab.down()
    console.say("drill", "\n".join(["", *report.table(rows)]))
    return 0 if len(rows) == len(chosen) and not any(row.problem for row in rows) else 1


if __name__ == "__main__":
    sys.exit(ran(main))
