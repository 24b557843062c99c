"""A JobManager: leading or standby, as ZooKeeper elects."""

import pulumi

from components import ports
from components.flink import config
from components.flink.flink_host import FlinkHost, FlinkHostArgs


class JobManager(FlinkHost):
    """A JobManager on a host; healthy when its REST API answers."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "JobManager",
            name,
            args,
            daemon=config.JOBMANAGER,
            arguments=config.jobmanager_arguments(args.host),
            check=_answers("localhost"),
            joins=" || ".join(
                [_answers(host.reached_as) for host in args.jobmanagers if host is not args.host] or ["false"]
            ),
            opts=opts,
        )


def _answers(name: str) -> str:
    return f"curl -fsS -o /dev/null --max-time 5 http://{name}:{ports.number('rest')}/overview 2>/dev/null"
