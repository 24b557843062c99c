"""`python -m ops --help`."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from automation.command_line import ran
from automation.pending import operations, unread
from ops import bundle, doctor, gc, held, reboot, savepoints, state, status
from ops.errors import OpsError
from ops.gc import Listing
from ops.options import add_options
from ops.places import place

REPO = Path(__file__).resolve().parent.parent

REPAIR = (
    "To repair: `pulumi config set repair true --stack {stack}`, `pulumi up`, `pulumi config rm repair --stack {stack}`"
    " (docs/operations.md, Configuration drift)"
)

_EXAMPLES = """\
examples:
  python -m ops status --stack prod             leader, daemons, slots, jobs, checkpoints; --watch looks again and again
  python -m ops bundle --stack prod             logs, configuration, states, metrics in one archive, no secrets
  python -m ops doctor --stack prod             report configuration drift; changes nothing
  python -m ops doctor --stack prod --host tm-1 --json
  python -m ops gc --stack prod --dry-run       list what dead clusters have left on the storage and in ZooKeeper
  python -m ops gc --stack prod                 the same, and delete it after confirmation
  python -m ops gc --stack prod --yes           delete what clusters of this stack have left
  python -m ops gc --stack prod --yes --cluster old    delete what the cluster old has left, even of another stack
  python -m ops gc --stack prod --at s3://bucket/old    what this cluster still has where its storage was before
  python -m ops gc --stack prod --jobs 30       the checkpoints of ended jobs that nothing needs, after 30 days
  python -m ops reboot --stack prod --dry-run   list the hosts that wait for a reboot, in the order of their reboots
  python -m ops reboot --stack prod             the same, and reboot them one after the other; jobs continue
  python -m ops savepoints --stack prod         the savepoints of declared jobs
  python -m ops savepoints --stack prod take counts
  python -m ops savepoints --stack prod restore counts s3://…/savepoint-…    start it from an earlier one
  python -m ops pending --stack prod            after an `up` was killed: clear its pending operations
  python -m ops tunnel --stack prod --region R  with `access: ssm`: a tunnel to the bastion, for `pulumi up`
  python -m ops orphans --stack prod            list AWS resources of the stack that are missing from its state
  python -m ops password                        the hash of a password for the front door; --generate makes one
  python -m ops attachments --stack prod        list what of others in its network keeps `destroy` from completing

exit codes of status: 0 all is well; 1 something is wrong; 2 wrong usage, or a host did not answer
exit codes of bundle: 0 done; 2 wrong usage, or a host did not answer: the archive has what the others said
exit codes of doctor: 0 no drift; 1 drift; 2 wrong usage, or a host could not be checked

exit codes of gc: 0 done, or nothing to do; 2 wrong usage, or the search failed
exit codes of reboot: 0 done, or nothing to do; 1 with --dry-run, there are hosts to reboot; 2 wrong usage, or failed
exit codes of savepoints: 0 done; 2 wrong usage, or failed
exit codes of pending: 0 there are none any more; 1 with --dry-run, there are; 2 wrong usage, or failed
exit codes of orphans, attachments: 0 there are none; 1 there are; 2 wrong usage, or the search failed
"""


def run_doctor(stack: str, deployment: Mapping[str, Any], args: argparse.Namespace, repair: str = REPAIR) -> int:
    """Print the drift of the hosts of a deployment; returns the exit code."""
    found = doctor.diagnose(stack, _chosen_hosts(stack, state.hosts(deployment), args.host))
    print(json.dumps(found.json(), indent=2) if args.json else found.text(repair.format(stack=stack)))
    return found.exit_code


def cluster_status(stack: str, deployment: Mapping[str, Any]) -> status.Status | None:
    """What a deployment's cluster does; None without hosts."""
    hosts = state.hosts(deployment)
    return status.look(stack, hosts, state.roles(deployment)) if hosts else None


def run_status(stack: str, deployment: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Print what a deployment's cluster does, once or until Ctrl-C; returns the exit code."""
    while True:
        found = cluster_status(stack, deployment)
        if not found:
            raise OpsError(f"stack {stack} has no hosts: there is nothing to ask")
        text = json.dumps(found.json(), indent=None if args.watch else 2) if args.json else found.text()
        if not args.watch:
            print(text)
            return found.exit_code
        if not args.json:
            # A terminal shows it in place; a file gets one after the other
            clear = "\033[H\033[2J" if sys.stdout.isatty() else ""
            text = f"{clear}{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, every {args.watch:g} s, Ctrl-C ends it\n{text}\n"
        print(text, flush=True)
        time.sleep(args.watch)


def run_bundle(stack: str, deployment: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Write a support bundle of a deployment; returns the exit code."""
    hosts = _chosen_hosts(stack, state.hosts(deployment), args.host)
    file = args.output or Path(f"flink-bundle-{stack.replace('/', '-')}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        done = bundle.write(
            stack,
            hosts,
            state.roles(deployment),
            bundle.declared(deployment),
            file,
            args.lines,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
    except OSError as error:
        raise OpsError(f"cannot write {file}: {error.strerror or error}") from None
    for host in done.unreached:
        print(f"{host} is missing, or not complete: README.txt in the archive says why", file=sys.stderr)
    print(f"{done.file} ({done.files} files, {done.size / 1e6:.1f} MB)")
    return 2 if done.unreached else 0


def _chosen_hosts(stack: str, hosts: Sequence[state.Host], asked: Sequence[str] | None) -> list[state.Host]:
    """Those hosts of a stack; all without `asked`. Raises OpsError if it has none, or not those."""
    if not hosts:
        raise OpsError(f"stack {stack} has no hosts: there is nothing to ask")
    known = [host.name for host in hosts]
    if unknown := sorted(set(asked or ()) - set(known)):
        raise OpsError(f"stack {stack} has no host {', '.join(unknown)}; it has {', '.join(known)}")
    return [host for host in hosts if host.name in (asked or known)]


def run_reboot(stack: str, deployment: Mapping[str, Any], args: argparse.Namespace) -> int:
    """Reboot the hosts of a deployment that wait for it; returns the exit code."""
    found = reboot.site(stack, deployment)
    asked = args.host or list(found.hosts)
    if unknown := sorted(set(asked) - set(found.hosts)):
        raise OpsError(f"stack {stack} has no host {', '.join(unknown)}; it has {', '.join(found.hosts)}")
    # The others of a role say who leads
    looked = reboot.look(found, asked)
    if dead := [f"{name}: {told}" for name, told in looked.items() if isinstance(told, str)]:
        raise OpsError("\n".join([*dead, "not all hosts could be asked; no host was rebooted"]))
    seen = {name: one for name, one in looked.items() if not isinstance(one, str)}
    planned = reboot.groups(found, [name for name in asked if args.all or seen[name].waits], seen)
    if not planned:
        print(f"no host of stack {stack} waits for a reboot")
        return 0
    for number, group in enumerate(planned, 1):
        for host in group:
            print(f"{number}. {host.name}: {seen[host.name].waits or 'does not wait for a reboot'}")
    if args.dry_run:
        return 1
    if not args.yes:
        _expect_terminal(args, "rebooted")
        if not _confirmed("Reboot these hosts, in this order?"):
            return 0
    reboot.Reboots(found, lambda line: print(line, flush=True)).run(planned, seen)
    return 0


def run_gc(deployment: Mapping[str, Any], others: Sequence[Mapping[str, Any]], args: argparse.Namespace) -> int:
    """Print what clusters have left, except that of the deployment and `others`; delete it if requested."""
    if args.at:
        return _gc_at(state.jobmanagers(deployment), args)
    found_here = state.clusters(deployment)
    if not found_here:
        raise OpsError("the stack has no JobManager with high availability: nothing is stored below ha/")
    cluster = found_here[0]
    known = [one for other in [deployment, *others] for one in state.clusters(other)]
    live = {one.cluster_id for one in known if place(one.storage) == place(cluster.storage)}
    hosts = state.jobmanagers(deployment)
    if args.jobs:
        return _gc_jobs(hosts, cluster, args)
    found = gc.list_garbage(hosts, cluster, live)
    if not args.json:
        print(found.text())
    if found.garbage and not args.dry_run and (chosen := _chosen(found, args)):
        done = gc.delete(hosts, cluster, chosen)
        found.removed = done.removed
        if not args.json:
            print("\n".join([f"deleted: {what}" for what in done.removed] + done.kept()))
    if args.json:
        print(json.dumps(found.json(), indent=2))
    return 0


def _gc_at(hosts: Sequence[state.Host], args: argparse.Namespace) -> int:
    """Print what the cluster has at a place."""
    if args.yes or args.cluster or args.jobs:
        raise OpsError("--at deletes nothing: expected no --yes, --cluster or --jobs")
    found = held.look(hosts, args.at)
    print(json.dumps(asdict(found), indent=2) if args.json else "\n".join(found.lines()))
    return 0


def _gc_jobs(hosts: Sequence[state.Host], cluster: state.HighAvailability, args: argparse.Namespace) -> int:
    """Print the checkpoints that ended jobs have left; delete them if requested."""
    found = gc.jobs(hosts, cluster, args.jobs)
    if not args.json:
        print("\n".join(found.lines()) or "no job has checkpoints")
    if found.garbage and not args.dry_run:
        if not args.yes:
            _expect_terminal(args, "deleted")
        if args.yes or _confirmed("Delete these checkpoints? Their jobs cannot be restored from them any more."):
            found.removed = gc.jobs(hosts, cluster, args.jobs, list(found.garbage)).removed
            if not args.json:
                print("\n".join(f"deleted: {what}" for what in found.removed))
    if args.json:
        print(json.dumps({**asdict(found), "garbage": [asdict(it) for it in found.garbage.values()]}, indent=2))
    return 0


def run_savepoints(stack: str, deployment: Mapping[str, Any], args: argparse.Namespace) -> int:
    """List savepoints of declared jobs, take one, or start a job from one; returns the exit code."""
    counts = {"list": (0, 1), "take": (1,), "restore": (2,)}[args.action]
    if bool(args.job) + bool(args.path) not in counts:
        raise OpsError("expected list [JOB], take JOB, or restore JOB PATH")
    hosts = state.jobmanagers(deployment)
    if args.action == "take":
        taken = savepoints.take(hosts, args.job)
        print(json.dumps(asdict(taken), indent=2) if args.json else taken.path)
        return 0
    if args.action == "restore":
        return _restore(hosts, args)
    found = savepoints.listed(hosts, args.job)
    if args.json:
        print(json.dumps([asdict(job) for job in found], indent=2))
    else:
        print("\n".join(line for job in found for line in job.lines()) or f"stack {stack} declares no jobs")
    return 0


def _restore(hosts: Sequence[state.Host], args: argparse.Namespace) -> int:
    if not args.yes:
        (job,) = savepoints.listed(hosts, args.job)
        print(job.before_restore(args.path), flush=True)
        _expect_terminal(args, "restored")
        if not _confirmed("Restore?"):
            return 0
    found = savepoints.restore(hosts, args.job, args.path)
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        start = "runs" if found["state"] == "running" else "is suspended, and will start"
        print(f"job {args.job} {start} from {found['from'] or 'no state'}")
    return 0


def _chosen(found: Listing, args: argparse.Namespace) -> list[str]:
    """Ids of the clusters to delete. A cluster that is not known to be this stack's needs its complete id."""
    named = set(args.cluster or ())
    if unknown := sorted(named - set(found.garbage)):
        raise OpsError(
            f"no dead cluster {', '.join(unknown)}: expected {', '.join(found.garbage)}; nothing was deleted"
        )
    asked = [one for one in found.garbage.values() if not named or one.cluster in named]
    if args.yes:
        chosen = [one.cluster for one in asked if one.own or named]
        for one in found.garbage.values():
            if not one.own and not named and not args.json:
                print(
                    f"kept: {one.cluster}, which is not known to be this stack's: to delete it, add --cluster "
                    f"{one.cluster}"
                )
        return chosen
    _expect_terminal(args, "deleted")
    own = [one.cluster for one in asked if one.own]
    chosen = own if own and _confirmed(f"Delete {', '.join(own)}?") else []
    for one in asked:
        if not one.own:
            told = (
                f"{one.cluster} may be a live cluster of another backend. To delete it, type its id; Enter keeps it: "
            )
            if input(told).strip() == one.cluster:
                chosen.append(one.cluster)
    return chosen


def _doctor(args: argparse.Namespace) -> int:
    return run_doctor(args.stack, state.export(args.stack, REPO, secrets=True), args)


def _status(args: argparse.Namespace) -> int:
    return run_status(args.stack, state.export(args.stack, REPO, secrets=True), args)


def _bundle(args: argparse.Namespace) -> int:
    return run_bundle(args.stack, state.export(args.stack, REPO, secrets=True), args)


def _reboot(args: argparse.Namespace) -> int:
    return run_reboot(args.stack, state.export(args.stack, REPO, secrets=True), args)


def _gc(args: argparse.Namespace) -> int:
    others = [name for name in state.stacks(REPO) if name != args.stack]
    return run_gc(
        state.export(args.stack, REPO, secrets=True),
        [state.export(name, REPO, secrets=False) for name in others],
        args,
    )


def _savepoints(args: argparse.Namespace) -> int:
    return run_savepoints(args.stack, state.export(args.stack, REPO, secrets=True), args)


def _pending(args: argparse.Namespace) -> int:
    from ops import pending

    with state.opened(args.stack, REPO) as stack:
        deployment = stack.export()
        found, left = operations(deployment), unread(deployment)
        if not args.json:
            for operation in found:
                print(f"{operation.kind}: {operation.type} {operation.name}")
            for urn in left:
                print(f"adopted, to be refreshed: {urn.rpartition('::')[2]}")
        if (found or left) and not args.dry_run:
            if not _agreed(args):
                return 1
            result = pending.settle(stack, account=args.account)
            if not args.json:
                print("\n".join(result.lines()))
    if args.json:
        print(
            json.dumps([{"kind": it.kind, "type": it.type, "name": it.name, "urn": it.urn} for it in found], indent=2)
        )
    elif not found and not left:
        print(f"stack {args.stack} has no pending operations")
    return int(bool(found or left) and args.dry_run)


def _agreed(args: argparse.Namespace) -> bool:
    if args.yes:
        return True
    _expect_terminal(args, "changed")
    return _confirmed("Clear these operations, and adopt what AWS has created into the state?")


def _expect_terminal(args: argparse.Namespace, done: str) -> None:
    """Raise OpsError if nobody can be asked; `done` is what did not happen."""
    if getattr(args, "json", False) or not sys.stdin.isatty():
        raise OpsError(f"nothing was {done}: expected --yes, --dry-run, or a terminal for the confirmation")


def _confirmed(question: str) -> bool:
    return input(f"{question} [y/N] ").lower() in ("y", "yes")


def _tunnel(args: argparse.Namespace) -> int:
    from ops.tunnel import hold

    hold(args.stack, args.region, args.port)
    return 0


def _password(args: argparse.Namespace) -> int:
    from ops import password

    return password.run(generate=args.generate)


def _orphans(args: argparse.Namespace) -> int:
    from ops.aws import Aws

    found = Aws(args.stack, state.export(args.stack, REPO, secrets=False), region=args.region).orphans()
    print(json.dumps(found.json(), indent=2) if args.json else found.text())
    return int(bool(found.found))


def _attachments(args: argparse.Namespace) -> int:
    from ops.attachments import attachments
    from ops.aws import Aws

    deployment = state.export(args.stack, REPO, secrets=False)
    found = attachments(args.stack, Aws(args.stack, deployment, region=args.region), deployment)
    print(json.dumps(found.json(), indent=2) if args.json else found.text())
    return int(bool(found.found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops",
        description=sys.modules["ops"].__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("status", _status, "show leader, daemons, slots, jobs and their checkpoints, and what is wrong"),
        (
            "bundle",
            _bundle,
            "write logs, configuration, states and metrics of all hosts into one archive, without secrets",
        ),
        ("doctor", _doctor, "report configuration drift of a stack's hosts"),
        ("reboot", _reboot, "reboot the hosts that wait for it one after the other, while jobs continue"),
        ("gc", _gc, "list and delete what dead clusters have left"),
        ("savepoints", _savepoints, "list the savepoints of declared jobs, take one, or start a job from one"),
        ("pending", _pending, "clear what a killed run has left pending in a stack's state"),
        ("tunnel", _tunnel, "hold a tunnel to the bastion of a stack on AWS open, by Session Manager"),
        ("orphans", _orphans, "list AWS resources of a stack that are missing from its state"),
        ("attachments", _attachments, "list what others have put into the network of a stack on AWS"),
        ("password", _password, "print the hash of a password for the front door (frontDoorUsers)"),
    ):
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name != "password":
            command.add_argument("--stack", required=True, help="the stack, in the backend that you are logged in to")
        command.set_defaults(run=run)
        add_options(command, name)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except OpsError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(ran(main))
