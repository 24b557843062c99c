"""A JobManager: leading or standby, as ZooKeeper elects."""

import pulumi

from components import ports
from components.flink import config
from components.flink.flink_host import FlinkHost, FlinkHostArgs


class JobManager(FlinkHost):
    """A JobManager on a host; of use when its REST API answers."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        rest = ports.number("rest")
        super().__init__(
            "JobManager",
            name,
            args,
            what=config.JOBMANAGER,
            unit=config.jobmanager_unit(args.host, args.storage.plugin),
            check=f"curl -fsS -o /dev/null --max-time 5 http://localhost:{rest}/overview",
            others=[f"{host.reached_as}:{rest}" for host in args.jobmanagers if host is not args.host],
            opts=opts,
        )
