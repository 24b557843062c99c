"""Options that `python -m ops` and `python -m lab` share."""

import argparse
from pathlib import Path


def _days(text: str) -> int:
    days = int(text)
    if days < 1:
        raise ValueError
    return days


def _lines(text: str) -> int:
    lines = int(text)
    if not 1 <= lines <= 1_000_000:
        raise ValueError
    return lines


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError
    return seconds


def add_options(command: argparse.ArgumentParser, kind: str) -> None:
    """Add the options of a command of `python -m ops`, except for the stack."""
    if kind == "doctor":
        command.add_argument("--host", action="append", metavar="HOST", help="only this one; may be repeated")
    elif kind == "status":
        command.add_argument(
            "--watch",
            type=_seconds,
            nargs="?",
            const=5.0,
            metavar="SECONDS",
            help="again after so many (5), until Ctrl-C",
        )
    elif kind == "bundle":
        command.add_argument("--output", type=Path, metavar="FILE", help="default: flink-bundle-STACK-TIME.tar.gz here")
        command.add_argument("--host", action="append", metavar="HOST", help="only this one; may be repeated")
        command.add_argument(
            "--lines", type=_lines, default=2000, metavar="N", help="of each log, the last (default: %(default)s)"
        )
        return
    elif kind == "reboot":
        command.add_argument("--host", action="append", metavar="HOST", help="only this one; may be repeated")
        command.add_argument("--all", action="store_true", help="also hosts that do not wait for a reboot")
        command.add_argument("--dry-run", action="store_true", help="reboot nothing")
        command.add_argument("--yes", action="store_true", help="without confirmation")
        return
    elif kind == "savepoints":
        command.add_argument("action", nargs="?", choices=("list", "take", "restore"), default="list")
        command.add_argument("job", nargs="?", default="", metavar="JOB", help="of list: only this one")
        command.add_argument("path", nargs="?", default="", metavar="PATH", help="of restore: the savepoint")
        command.add_argument("--yes", action="store_true", help="restore without confirmation")
    elif kind == "tunnel":
        command.add_argument("--region", required=True, help="of AWS")
        command.add_argument("--port", type=int, default=2222, help="the stack's tunnelPort (default: %(default)s)")
        return
    elif kind == "password":
        command.add_argument("--generate", action="store_true", help="make a password, and show it on stderr")
        return
    elif kind in ("attachments", "orphans"):
        command.add_argument("--region", default="", help="of AWS; expected if the state is empty")
    elif kind == "pending":
        command.add_argument("--account", default="", help="of AWS; expected if neither state nor AWS shows it")
        command.add_argument("--dry-run", action="store_true", help="change nothing")
        command.add_argument("--yes", action="store_true", help="without confirmation")
    else:
        command.add_argument(
            "--at", default="", metavar="URI", help="list what this cluster has where its storage was; delete nothing"
        )
        command.add_argument("--dry-run", action="store_true", help="delete nothing")
        command.add_argument(
            "--yes", action="store_true", help="delete without confirmation: what this stack has left, or --cluster"
        )
        command.add_argument(
            "--cluster",
            action="append",
            metavar="ID",
            help="only this cluster, even if it was not this stack's; may be repeated",
        )
        command.add_argument(
            "--jobs",
            type=_days,
            metavar="DAYS",
            help="instead, the checkpoints of this cluster's own jobs that ended, wrote nothing for so many days, and "
            "that no other job or savepoint refers to",
        )
    command.add_argument("--json", action="store_true", help="for programs")
