"""`python -m branches --help`."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from automation.command_line import ran
from automation.engine import Engine, EngineError
from branches import comment, markdown, stack_tags, stacks, starts
from branches.errors import INTERRUPTED, UNSWEPT, BranchesError
from branches.stacks import Entry, Stacks

_EXAMPLES = """\
examples:
  python -m branches preview --stack prod --summary summary.md   what merging this checkout would change
  python -m branches up feature/login --ttl 3d                   a cluster for the branch, from this checkout's code
  python -m branches up --set workers=2 -- -odd-branch           after --, names that begin with a dash
  python -m branches up feature/login --from-stack prod --job departures
                                                                 its job starts from a savepoint of prod's
  python -m branches list
  python -m branches down feature/login
  python -m branches sweep --dry-run                             lists expired stacks
  python -m branches heal --stack prod                           creates machines that were lost on AWS again

Backend, rights and passphrase come from the environment, as for `pulumi`: PULUMI_BACKEND_URL or `pulumi login`,
PULUMI_CONFIG_PASSPHRASE or _FILE, AWS_…. Progress goes to stderr, results to stdout.

exit codes: 0 success; preview: nothing changes
            10, 20 preview: something changes; a resource that holds data or is protected is replaced or deleted
            1 failed; 2 wrong usage; 3 another run has the stack locked; 4 sweep could not remove every expired stack
            130 interrupted
"""

_NONE = "There are no stacks of branches in this backend."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(value: object) -> None:
    print(json.dumps(value, indent=2))


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise BranchesError(f"{path} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _told(path: str | None, what: str) -> Iterator[None]:
    """On failure write the reason to the result's file: otherwise the comment on an earlier commit would stay, and seem
    to be about this one.
    """
    try:
        yield
    except BranchesError as error:
        if path:
            with contextlib.suppress(BranchesError):  # the reason of the failure matters more than that of the write
                _write(path, markdown.failure(what, str(error)))
        raise


def _now() -> datetime:
    return datetime.now(UTC)


def _stacks() -> Stacks:
    return Stacks(_engine(), _say)


def _engine() -> Engine:
    try:
        return Engine(say=_say)
    except EngineError as error:
        raise BranchesError(f"{error}: docs/branches.md describes how to install it") from None


def _preview(args: argparse.Namespace) -> int:
    # Imported here, because only this command needs it
    from branches import previews

    with _told(args.summary, f"The preview of {markdown.code(args.stack)} failed"):
        result = previews.preview(args.stack, refresh=args.refresh, engine=_engine(), say=_say)
    if args.summary:
        _write(args.summary, result.markdown)
        if result.left_out:
            _say(result.left_out)
    if args.json:
        _print(result.json())
    elif not args.summary:
        print(result.markdown)
    return result.exit_code


def _heal(args: argparse.Namespace) -> int:
    from branches.heal import Healer

    wait = stack_tags.ttl(args.wait)
    found = Healer(engine=_engine(), say=_say).heal(args.stack, wait=wait, dry_run=args.dry_run)
    if args.json:
        _print(found.json())
    elif found.lost:
        print(f"stack {found.stack}: {'would be ' if args.dry_run else ''}created again: {', '.join(found.lost)}")
    else:
        print(f"stack {found.stack}: nothing to do: {found.why}")
    return 0


def _up(args: argparse.Namespace) -> int:
    commit = stacks.head() if args.commit is None else args.commit
    with _told(args.comment, f"The cluster for branch {markdown.code(args.branch)} could not be created or updated"):
        done = _stacks().up(
            args.branch,
            ttl=stack_tags.ttl(args.ttl),
            commit=commit,
            changes=args.set,
            now=_now(),
            start=starts.From(args.from_savepoint, args.from_stack, args.job),
        )
    text = comment.markdown(args.branch, done.stack, done.mark, done.outputs, _now())
    if args.comment:
        _write(args.comment, text)
    if args.json:
        _print(
            {
                "stack": done.stack,
                "branch": done.mark.branch,
                "commit": done.mark.commit,
                "expires": stack_tags.written(done.mark.expires),
                "created": done.created,
                "changes": done.changes,
                "outputs": done.outputs,
            }
        )
    elif not args.comment:
        print(text, end="")
    return 0


def _down(args: argparse.Namespace) -> int:
    name = _stacks().down(args.branch)
    if args.json:
        _print({"stack": name or None, "removed": bool(name)})
    elif name:
        print(f"stack {name} has been removed with all its resources")
    return 0


def _sweep(args: argparse.Namespace) -> int:
    now = _now()
    found = _stacks().sweep(now=now, dry_run=args.dry_run)
    if args.json:
        _print(
            {
                "dryRun": args.dry_run,
                "removed": [entry.json(now) for entry in found.removed],
                "failed": [{**entry.json(now), "error": error} for entry, error in found.failed],
                "kept": [entry.json(now) for entry in found.kept],
                "orphans": [orphans.json() for orphans in found.orphans],
            }
        )
    else:
        done = "would be removed" if args.dry_run else "removed"
        for entry in found.removed:
            print(f"{done}: {_described(entry, now)}")
        for entry, error in found.failed:
            print(f"NOT REMOVED: {_described(entry, now)}: {error}")
        for orphans in found.orphans:
            print(orphans.text())
        print(f"{len(found.removed)} {done}, {len(found.failed)} not, {len(found.kept)} have not expired")
    return UNSWEPT if found.failed else 0


def _described(entry: Entry, now: datetime) -> str:
    if entry.mark is None:
        return entry.stack
    when = comment.within(entry.mark.expires - now)
    return f"{entry.stack} (branch {markdown.printable(entry.mark.branch)}, expires {when})"


def _list(args: argparse.Namespace) -> int:
    now = _now()
    found = _stacks().list()
    if args.json:
        _print([entry.json(now) for entry in found])
    elif not found:
        print(_NONE)
    else:
        heading = ("STACK", "BRANCH", "COMMIT", "EXPIRES", "RESOURCES", "LAST UPDATE", "LOCKED")
        print(comment.table([heading, *(_row(entry, now) for entry in found)]))
        for entry in found:
            if entry.trouble:
                _say(entry.trouble)
    return 0


def _row(entry: Entry, now: datetime) -> tuple[str, ...]:
    mark = entry.mark
    return (
        entry.stack,
        markdown.printable(mark.branch) if mark else "?",
        (mark.commit[:12] or "-") if mark else "?",
        f"{stack_tags.written(mark.expires)} ({comment.within(mark.expires - now)})" if mark else "?",
        "?" if entry.resources is None else str(entry.resources),
        stack_tags.written(entry.updated) if entry.updated else "-",
        {True: "yes", False: "no", None: "?"}[entry.locked],
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m branches",
        description=sys.modules["branches"].__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(run=run)
        made.add_argument("--json", action="store_true", help="print the result as JSON")
        return made

    preview = command(
        "preview", _preview, "print what `pulumi up` of this checkout would change in a stack, as Markdown"
    )
    preview.add_argument("--stack", required=True, metavar="S", help="an existing stack, with its Pulumi.S.yaml")
    preview.add_argument(
        "--summary", metavar="FILE", help="write the Markdown, or the reason of a failure, here instead of stdout"
    )
    preview.add_argument("--refresh", action="store_true", help="first read the actual state of all resources")

    up = command("up", _up, "create or update the cluster of a branch, from this checkout and Pulumi.ephemeral.yaml")
    _add_branch(up)
    up.add_argument(
        "--ttl", default=stack_tags.TTL, help="lifetime from now on: 90s, 30m, 8h, 3d (default: %(default)s)"
    )
    up.add_argument("--commit", metavar="SHA", help="recorded in the stack's tags; default is HEAD of this checkout")
    up.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the configuration, such as workers=2; may be repeated; not for secrets",
    )
    state = up.add_mutually_exclusive_group()
    state.add_argument(
        "--from-savepoint",
        action="append",
        default=[],
        metavar="[JOB=]URI",
        help="the first start of a job takes its state from this savepoint, which stays as it is; JOB= if the branch "
        "declares several jobs; may be repeated",
    )
    state.add_argument(
        "--from-stack",
        default="",
        metavar="S",
        help="take savepoints of this stack's running jobs, which continue, and start the branch's jobs from them",
    )
    up.add_argument(
        "--job",
        action="append",
        default=[],
        metavar="NAME",
        help="with --from-stack: only this job; may be repeated (default: all jobs that the branch declares)",
    )
    up.add_argument(
        "--comment", metavar="FILE", help="write the Markdown, or the reason of a failure, here instead of stdout"
    )

    _add_branch(command("down", _down, "destroy the cluster of a branch and remove its stack, using only its state"))

    sweep = command("sweep", _sweep, "do the same as `down` for every expired stack of a branch")
    sweep.add_argument("--dry-run", action="store_true", help="only list them")

    heal = command("heal", _heal, "create machines of a long-lived stack that were lost on AWS again, and nothing else")
    heal.add_argument("--stack", required=True, metavar="S", help="an existing stack, with its Pulumi.S.yaml")
    heal.add_argument(
        "--wait",
        default="20m",
        help="for how long to wait while another run has it locked: 90s, 30m (default: %(default)s)",
    )
    heal.add_argument("--dry-run", action="store_true", help="only list them")

    command("list", _list, "list the stacks of branches: branch, commit, expiry")
    return found


def _add_branch(command: argparse.ArgumentParser) -> None:
    command.add_argument("branch", metavar="BRANCH", help="as in git; after --, if it begins with a dash")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except BranchesError as error:
        _say(str(error))
        return error.code
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(ran(main))
