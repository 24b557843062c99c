"""A daemon under systemd on one host: started by its own step, and restarted only when what it runs changed, in an
order that the whole cluster has: ZooKeeper's by a step for each, Flink's by the rollout.
"""

import hashlib
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from ..roles import Daemon, unit_path


def wants(**parts: str) -> str:
    """What a daemon is to run, in a line: short values as they are, long ones as a hash. Its change runs the step
    again.
    """
    return " ".join(f"{name}={value if len(value) < 40 else _digest(value)}" for name, value in parts.items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def generation(commands: Sequence[remote.Command], hosts: Sequence[Host]) -> pulumi.Output[str]:
    """A hash of what the steps were told to do, and to which machines, for a step that has to look again when one of
    them did something.
    """
    told = [*[command.stdin for command in commands], *[host.machine for host in hosts]]
    return pulumi.Output.all(*told).apply(lambda texts: _digest("\n".join(str(text) for text in texts)))


def run(
    host: Host,
    daemon: Daemon,
    unit: pulumi.Input[str],
    expected: pulumi.Input[str],
    *,
    check: str,
    joins: str,
    seconds: int,
    opts: pulumi.ResourceOptions,
    serves: str = "",
    stoppable: str = "true",
    what: str = "service",
) -> remote.Command:
    """Start the daemon with its `unit` (the text), or see to it that it runs what is `expected` (from `wants`).

    The step `service` leaves a daemon alone that runs and `serves` (a bash condition), and its stdout is `pending` if
    that runs something else; the step `restart` restarts it then. `check` is a condition that holds when the daemon is
    healthy. After a restart it must hold within `seconds`, and also after a first start if `joins`, another one, holds
    before it: then it comes to a cluster that runs. A daemon that runs is stopped only if `stoppable` holds.
    """
    stdin = pulumi.Output.all(expected, unit).apply(
        lambda known: script_text(
            host,
            "service.sh",
            {
                "unit": daemon.unit,
                "wants": known[0],
                "inputs": daemon.inputs,
                "launch": "true" if daemon.script else "false",
                "restart": "later" if what == "service" else "now",
                "check": check,
                "serves": serves or check,
                "stoppable": stoppable,
                "joins": joins,
                "seconds": seconds,
            },
            [File(path=unit_path(daemon.unit), text=known[1])],
        )
    )
    return step(host, what, stdin, seconds=seconds + 120, opts=opts)
