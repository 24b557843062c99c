"""A daemon under systemd on one host, restarted only when what it runs changed."""

import hashlib
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from components.flink.config import Daemon
from components.host import Host
from components.remote import File, script_text, step


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
    unit: File,
    wanted: pulumi.Input[str],
    *,
    check: str,
    others: Sequence[str],
    seconds: int,
    opts: pulumi.ResourceOptions,
) -> remote.Command:
    """Start the daemon, or restart it if it runs anything else than `wanted` (from `wants`).

    `check` is a bash condition that holds when the daemon is of use. After a restart it must hold within `seconds`, and
    also after a first start if one of `others` (HOST:PORT) answers: then it comes to a cluster that runs.
    """
    stdin = pulumi.Output.from_input(wanted).apply(
        lambda line: script_text(
            host,
            "service.sh",
            {
                "unit": daemon.unit,
                "wants": line,
                "inputs": daemon.inputs,
                "check": check,
                "others": others,
                "seconds": seconds,
            },
            [unit],
        )
    )
    return step(host, "service", stdin, seconds=seconds + 120, opts=opts)
