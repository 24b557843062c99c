"""A systemd daemon on a host. Its step starts it. It restarts only after a change of what it runs, in an order for the
whole cluster: ZooKeeper's servers by a step for each, Flink's daemons by the rollout.
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
    """The desired state of a daemon on one line: short values as they are, long ones as a hash. If it changes, the step
    runs again.
    """
    return " ".join(f"{name}={value if len(value) < 40 else _digest(value)}" for name, value in parts.items())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def generation(commands: Sequence[remote.Command], hosts: Sequence[Host]) -> pulumi.Output[str]:
    """A hash of the scripts and machines of `commands`, as an input of a step that has to run again after any of them
    has run.
    """
    told = [*[command.stdin for command in commands], *[host.machine for host in hosts]]
    return pulumi.Output.all(*told).apply(lambda texts: _digest("\n".join(str(text) for text in texts)))


_PORTS = {Health.REST: "rest", Health.REGISTERED: "jm-rpc", Health.ENSEMBLE: "zk-client"}
"""Names in the table of ports: the port to which the health check of a daemon connects."""


def health(daemon: Daemon, others: Sequence[str] = ()) -> list[str]:
    """Arguments of the host tool's health check: kind, port, and the names of the `others` that matter."""
    return [daemon.health.value, str(ports.number(_PORTS[daemon.health])), *others]


def run(
    host: Host,
    daemon: Daemon,
    unit: pulumi.Input[str],
    expected: pulumi.Input[str],
    *,
    inputs: Sequence[str] = (),
    others: Sequence[str],
    seconds: int,
    opts: pulumi.ResourceOptions,
    what: str = "service",
    look: str = "",
) -> remote.Command:
    """Start the daemon with its `unit` (the text), or make sure that it runs what is `expected` (from `wants`).

    The step `service` does not restart a healthy daemon. If that runs something other than expected, the stdout of the
    step is `pending`, and the step `restart` restarts it. `inputs` are the files whose changes restart it, if not those
    of its role. `others` are the hosts that matter for its health (host_tool/health.py). It must be healthy within
    `seconds` after a restart, and after a first start if it joins a running cluster. `look` is JSON for the host tool,
    which looks at the storage first (storage_steps.look); empty: it does not.
    """
    told = pulumi.Output.all(expected, unit)
    stdin = told.apply(
        lambda known: script_text(
            host,
            "service.sh",
            {
                "unit": daemon.unit,
                "wants": known[0],
                "inputs": inputs or daemon.inputs,
                "launch": "true" if daemon.script else "false",
                "restart": "later" if what == "service" else "now",
                "health": health(daemon, others),
                "seconds": seconds,
                **({"look": look} if look else {}),
            },
            [File(path=unit_path(daemon.unit), text=known[1])],
        )
    )
    runs = told.apply(lambda known: _digest("\n".join([daemon.unit, *known])))
    return step(host, what, stdin, seconds=seconds + 120, runs=runs, opts=opts)
