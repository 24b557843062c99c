"""A daemon under systemd on one host: started by its own step, and restarted only when what it runs changed, in an
order that the whole cluster has: ZooKeeper's by a step for each, Flink's by the rollout.
"""

import hashlib
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from .. import ports
from ..host import Host
from ..remote import File, script_text, step
from ..roles import Daemon, Health, unit_path


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


_PORTS = {Health.REST: "rest", Health.REGISTERED: "jm-rpc", Health.ENSEMBLE: "zk-client"}
"""Names in the table of ports: where the health check of a daemon connects."""


def health(daemon: Daemon, others: Sequence[str] = ()) -> list[str]:
    """How the host tool asks whether a daemon is healthy: kind, port, and the names of the `others` that matter."""
    return [daemon.health.value, str(ports.number(_PORTS[daemon.health])), *others]


def run(
    host: Host,
    daemon: Daemon,
    unit: pulumi.Input[str],
    expected: pulumi.Input[str],
    *,
    others: Sequence[str],
    seconds: int,
    opts: pulumi.ResourceOptions,
    what: str = "service",
) -> remote.Command:
    """Start the daemon with its `unit` (the text), or see to it that it runs what is `expected` (from `wants`).

    The step `service` leaves a daemon alone that runs and does something for the cluster, and its stdout is `pending`
    if that runs something else; the step `restart` restarts it then. `others` are the hosts that matter to its health
    (host_tool/health.py). After a restart it must be healthy within `seconds`, and also after a first start if it joins
    a cluster that runs.
    """
    told = pulumi.Output.all(expected, unit)
    stdin = told.apply(
        lambda known: script_text(
            host,
            "service.sh",
            {
                "unit": daemon.unit,
                "wants": known[0],
                "inputs": daemon.inputs,
                "launch": "true" if daemon.script else "false",
                "restart": "later" if what == "service" else "now",
                "health": health(daemon, others),
                "seconds": seconds,
            },
            [File(path=unit_path(daemon.unit), text=known[1])],
        )
    )
    runs = told.apply(lambda known: _digest("\n".join([daemon.unit, *known])))
    return step(host, what, stdin, seconds=seconds + 120, runs=runs, opts=opts)
