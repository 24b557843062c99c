"""The options that the commands have wherever they are offered."""

import argparse


def add_options(command: argparse.ArgumentParser, kind: str) -> None:
    """The options of `doctor` or `gc`, but for those that say which stack."""
    if kind == "doctor":
        command.add_argument("--host", action="append", metavar="HOST", help="only this one; may be given again")
    else:
        command.add_argument("--dry-run", action="store_true", help="delete nothing")
        command.add_argument("--yes", action="store_true", help="delete without a question")
    command.add_argument("--json", action="store_true", help="for programs")
