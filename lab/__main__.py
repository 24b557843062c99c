"""The lab's commands: `python -m lab --help`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from automation.command_line import ran
from lab import lab, network, processes
from lab.lab import Lab
from ops.errors import OpsError
from ops.options import add_options
from toolbox import console, parallel
from toolbox.errors import ToolError
from toolbox.paths import REPO

_EXAMPLES = """\
examples:
  python -m lab up                          create the hosts and the cluster, or update what has changed
  python -m lab up --name two --hosts-only  another lab, without a cluster
  python -m lab status
  python -m lab ssh jm-0                    a shell; with a command: python -m lab ssh jm-0 systemctl --failed
  python -m lab logs tm-1 flink-taskmanager -f
  python -m lab kill jm-0 flink-jobmanager  kill -9 of the leader's JVM, so that the standby takes over
  python -m lab stop zk-1                   power off; `start zk-1` boots it again
  python -m lab bundle                      everything that helps to find a fault, in one archive
  python -m lab doctor                      report configuration drift
  python -m lab reboot --all --yes          reboot the hosts one after the other, while jobs continue
  python -m lab gc --dry-run                list what dead clusters have left on S3 and in ZooKeeper
  python -m lab down

exit codes: 0 success; 1 failure, a host or server that is off (status), or drift (doctor); 2 wrong usage, or the check
failed (doctor, gc); 130 interrupted; `ssh` exits with the command's code.
"""


def _up(args: argparse.Namespace) -> int:
    # Imported here: the other commands need neither the engine nor its SDK, which take a second to load.
    from lab import departures, flights, front_door, image, preflight, stack
    from stand_ins.builds import archives, programs

    made = Lab(args.name)
    secured = front_door.is_on(made) or _is_new(made) if args.plain is None else not args.plain
    workers = stack.workers() if args.workers is None else args.workers
    monitoring = made.monitoring() if args.monitoring is None else args.monitoring
    if monitoring is None:
        monitoring = int(_is_new(made) and not args.hosts_only)
    preflight.check(workers, monitoring, running=bool(processes.find(made.id)))
    parts = [
        parallel.Task("image", image.ensure),
        parallel.Task("versitygw", programs.versitygw),
        # Surplus workers stay until the program has taken them out of the cluster
        parallel.Task(
            "hosts",
            lambda: made.up(workers=max(workers, made.workers()), clients=args.clients, monitoring=monitoring),
            needs=("image", "versitygw"),
        ),
    ]
    if not args.hosts_only:
        parts += [
            parallel.Task("pulumi", programs.pulumi),
            parallel.Task("archives", archives.ensure),
            *([parallel.Task("caddy", archives.caddy)] if secured else []),
            *([parallel.Task("monitoring", archives.monitoring)] if monitoring else []),
            parallel.Task("job", lambda: flights.build_jar(archives.ensure()), needs=("archives",)),
            parallel.Task("departures", lambda: departures.build(archives.ensure()), needs=("archives",)),
        ]
    results = parallel.run(parts)
    if not args.hosts_only:
        declared = stack.declared(made)
        front_door.switch(made, secured)
        expected = {"flink:workers": workers, **declared}
        stack.LabStack(made, results["archives"], expected).up()
        flights.run(made)
        if departures.NAME in declared.get(stack.JOBS, {}):
            departures.show(made)
    made.up(workers=workers)
    _print_ways_on(made, args.hosts_only)
    return 0


def _is_new(made: Lab) -> bool:
    """Whether the lab has never had a cluster. One that has stays as it is, unless somebody says otherwise."""
    return not (made.dir / "pulumi" / "project").exists()


def _print_ways_on(made: Lab, hosts_only: bool) -> None:
    """Print the addresses of everything, and how to remove it."""
    option = "" if made.name == "local" else f" --name {made.name}"
    lines = [f"lab {made.name!r} is up: {' '.join(host.name for host in made.hosts)} on {made.network.subnet}"]
    if not hosts_only:
        from lab import flights, front_door, stack  # as in _up

        urls = flights.jobmanager_urls(made)
        lines.append(f"web UI and REST API: {' or '.join(urls)} (either answers)")
        if front_door.is_on(made):
            place = front_door.folder(made)
            lines.append(
                f"log in as {front_door.USER}, password in {place / 'password'}; trust {place / 'authorities.pem'}"
            )
            if made.monitoring():
                lines.append(f"plots: {urls[0]}/prometheus/consoles/plots")
                lines.append(f"metrics and alerts: {urls[0]}/prometheus/ and {urls[0]}/alertmanager/")
                lines.append(f"logs: {urls[0]}/logs/select/vmui/")
                if stack.declared(made).get(stack.HISTORY):
                    lines.append(f"jobs that have ended: {urls[0]}/history/")
    lines += [
        f"S3: {made.s3.endpoint}, bucket {made.s3.bucket}, keys in {made.dir / 's3' / 'credentials.json'}",
        f"inspect it: .venv/bin/python -m lab status{option}, .venv/bin/python -m lab ssh{option} jm-0",
        f"tear it down: .venv/bin/python -m lab down{option}" + ("" if option else " (or: make down)"),
    ]
    console.say("lab", "\n".join(lines))


def _down(args: argparse.Namespace) -> int:
    labs = [Lab(args.name)]
    if args.all:
        gone = [record for record in network.records() if not Path(record.repo).is_dir()]
        labs = [Lab(name) for name in lab.names()] + [Lab(record.name, Path(record.repo)) for record in gone]
    for each in labs:
        with console.step("lab", f"removing lab {each.name!r} with its hosts, network and data"):
            each.down()
    for name in lab.names():
        console.say("lab", f"this clone has another lab: {name!r} (python -m lab down --name {name})")
    _print_others()
    return 0


def _print_others() -> None:
    """Print the labs of other clones on this machine, which also use its memory."""
    for record in network.records():
        if record.repo != str(REPO):
            left = "its clone no longer exists: `python -m lab down --all` removes it"
            owner = f"`make down` there, or `python -m lab down --name {record.name}`"
            known = owner if Path(record.repo).is_dir() else left
            console.say("lab", f"another clone's lab is on this machine: {record.name!r} of {record.repo} ({known})")


def _list(args: argparse.Namespace) -> int:
    for name in lab.names():
        print(f"{name:<16} {REPO}")
    for record in network.records():
        if record.repo != str(REPO):
            print(f"{record.name:<16} {record.repo}{'' if Path(record.repo).is_dir() else ' (gone)'}")
    return 0


def _status(args: argparse.Namespace) -> int:
    from lab import flights

    made = Lab(args.name)
    found = {**made.status(), "webUi": list(flights.jobmanager_urls(made)) if _has_stack(args.name) else []}
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(_table(found)))
        if _has_stack(args.name):
            print(_cluster(args.name))
    states = [part["state"] for part in (*found["hosts"], found["s3"], found["mirror"])]
    return 0 if set(states) <= {"on"} else 1


def _cluster(name: str) -> str:
    """What the cluster of a lab does, as `python -m ops status` says it."""
    import ops.__main__ as ops

    found = ops.cluster_status(name, _deployment(name, secrets=True))
    return found.text() if found else ""


def _table(found: dict[str, Any]) -> list[str]:
    """A lab's status for people."""
    lines = [f"lab {found['name']} ({found['id']}) on {found['subnet']}, in {found['directory']}"]
    for host in found["hosts"]:
        units = ", ".join(f"{unit} {state}" for unit, state in host["units"].items())
        uptime = "" if host["uptimeSeconds"] is None else console.duration(host["uptimeSeconds"])
        leader = " (leader)" if host["leader"] else ""
        line = f"  {host['name']:<7} {host['address']:<15} {host['state']:<12} {uptime:<13} {units}{leader}"
        lines.append(line.rstrip())
    if found["webUi"]:
        lines.append(f"  web UI  {' '.join(found['webUi'])}")
    for name in ("s3", "mirror"):
        server = found[name]
        line = f"  {name:<7} {server['url']:<28} {server['state']:<4} {server['problem'] or ''}"
        lines.append(line.rstrip())
    return lines


def _ssh(args: argparse.Namespace) -> int:
    machine = Lab(args.name).machine(args.host)
    argv = machine.ssh_argv()
    if not args.command and sys.stdin.isatty():
        argv.insert(1, "-t")
    argv += ["--", *args.command] if args.command else []
    os.execvpe(argv[0], argv, machine.ssh_environment())


def _logs(args: argparse.Namespace) -> int:
    options = [f"--lines={args.lines}", *(["--follow"] if args.follow else [])]
    options += [f"--unit={args.unit}"] if args.unit else []
    argv = Lab(args.name).machine(args.host).journal_argv(*options)
    os.execvp(argv[0], argv)


def _kill(args: argparse.Namespace) -> int:
    pid = Lab(args.name).kill(args.host, args.unit, args.signal)
    console.say("lab", f"sent SIG{args.signal} to process {pid}, the main process of {args.unit} on {args.host}")
    return 0


def _start(args: argparse.Namespace) -> int:
    with console.step("hosts", f"booting {args.host}"):
        Lab(args.name).start(args.host)
    return 0


def _stop(args: argparse.Namespace) -> int:
    with console.step("hosts", f"powering {args.host} off"):
        Lab(args.name).stop(args.host)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    import ops.__main__ as ops

    repair = "To repair: `flink:repair: true` in Pulumi.local.yaml, `make up`, then remove it"
    return ops.run_doctor(args.name, _deployment(args.name, secrets=True), args, repair)


def _bundle(args: argparse.Namespace) -> int:
    import ops.__main__ as ops

    return ops.run_bundle(args.name, _deployment(args.name, secrets=True), args)


def _reboot(args: argparse.Namespace) -> int:
    import ops.__main__ as ops

    return ops.run_reboot(args.name, _deployment(args.name, secrets=True), args)


def _gc(args: argparse.Namespace) -> int:
    import ops.__main__ as ops

    others = [found for name in lab.names() if name != args.name and (found := _other(name)) is not None]
    return ops.run_gc(_deployment(args.name, secrets=True), others, args)


def _other(name: str) -> dict[str, Any] | None:
    """The state of another lab's stack; None if it has none, or has been removed meanwhile."""
    try:
        return _deployment(name, secrets=False) if _has_stack(name) else None
    except OpsError:
        if _has_stack(name):
            raise
        return None


def _savepoints(args: argparse.Namespace) -> int:
    import ops.__main__ as ops

    return ops.run_savepoints(args.name, _deployment(args.name, secrets=True), args)


def _deployment(name: str, *, secrets: bool) -> dict[str, Any]:
    """The state of a lab's stack."""
    from lab import stack

    if not _has_stack(name):
        raise OpsError(f"lab {name!r} has no cluster: `python -m lab up` creates one")
    try:
        return stack.Stack(name, Lab(name).dir / "pulumi", {}).exported(secrets=secrets)
    except (ToolError, FileNotFoundError) as error:  # the second if the lab is removed meanwhile
        raise OpsError(str(error)) from None


def _has_stack(name: str) -> bool:
    return not _is_new(Lab(name))


def _preflight(args: argparse.Namespace) -> int:
    from lab import preflight, stack

    preflight.check(stack.workers(), 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    form = argparse.RawDescriptionHelpFormatter
    description = "This machine as a data center: Debian hosts, an S3 server, a mirror, and the cluster on them."
    parser = argparse.ArgumentParser(
        prog="python -m lab", description=description, epilog=_EXAMPLES, formatter_class=form
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=run)
        command.add_argument("--name", default="local", help="the lab (default: local)")
        return command

    up = add("up", _up, "create the lab and its cluster, or what is missing of them")
    up.add_argument("--hosts-only", action="store_true", help="stop after hosts, S3 and mirror")
    up.add_argument("--workers", type=int, metavar="N", help="workers (default: flink:workers in Pulumi.local.yaml)")
    up.add_argument(
        "--monitoring",
        type=int,
        choices=(0, 1),
        help="a monitoring host: 1 adds one, 0 removes it (default: as before, at first one)",
    )
    up.add_argument("--clients", type=int, metavar="N", help="client hosts (default: as before, at first none)")
    up.add_argument(
        "--plain",
        action=argparse.BooleanOptionalAction,
        help="without TLS and front door (default: as before, at first with both)",
    )
    down = add("down", _down, "remove the lab: hosts, network, servers and all data")
    down.add_argument(
        "--all", action="store_true", help="every lab of this clone, and those whose clone no longer exists"
    )
    status = add("status", _status, "show hosts, their units, the leader, S3 and mirror")
    status.add_argument("--json", action="store_true", help="for programs")
    ssh = add("ssh", _ssh, "open a shell on a host, or run a command")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER, help="default: a shell")
    logs = add("logs", _logs, "show a host's journal, also when it is off")
    logs.add_argument("host", metavar="HOST")
    logs.add_argument("unit", metavar="UNIT", nargs="?", help="only of this unit")
    logs.add_argument("-n", "--lines", type=int, default=200, metavar="N", help="the last N lines (default: 200)")
    logs.add_argument("-f", "--follow", action="store_true", help="follow the journal until Ctrl-C")
    kill = add("kill", _kill, "kill -9 of the main process of a unit")
    kill.add_argument("host", metavar="HOST")
    kill.add_argument("unit", metavar="UNIT")
    kill.add_argument("--signal", default="KILL", metavar="NAME", help="another signal, such as TERM or STOP")
    add("start", _start, "boot a host that is off").add_argument("host", metavar="HOST")
    add("stop", _stop, "power a host off; its disk stays").add_argument("host", metavar="HOST")
    add_options(
        add("bundle", _bundle, "logs, configuration, states and metrics in one archive, without secrets"), "bundle"
    )
    doctor = add("doctor", _doctor, "report configuration drift; changes nothing")
    add_options(doctor, "doctor")
    add_options(add("reboot", _reboot, "reboot the hosts that wait for it one after the other"), "reboot")
    listed = add("savepoints", _savepoints, "list the savepoints of declared jobs, take one, or start a job from one")
    add_options(listed, "savepoints")
    collector = add("gc", _gc, "list and delete what dead clusters have left on S3 and in ZooKeeper")
    add_options(collector, "gc")
    add("list", _list, "list the labs on this machine, of this and other clones")
    add("preflight", _preflight, "check what a lab needs: root, memory, disk, programs, registries")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except ToolError as error:
        console.fail("lab", str(error))
        return 1
    except OpsError as error:
        console.fail("lab", str(error))
        return 2
    except KeyboardInterrupt:
        console.fail("lab", "interrupted; the same command continues")
        return 130
    return code


if __name__ == "__main__":
    sys.exit(ran(main))
