"""A TaskManager."""

import pulumi

from components import ports
from components.flink import config
from components.flink.flink_host import FlinkHost, FlinkHostArgs


class TaskManager(FlinkHost):
    """A TaskManager on a host; of use when it takes RPCs, and the cluster's own check then counts its slots."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "TaskManager",
            name,
            args,
            what=config.TASKMANAGER,
            unit=config.taskmanager_unit(args.host, args.storage.plugin),
            check=f"ss -Hltn 'sport = :{ports.number('tm-rpc')}' | grep -q .",
            opts=opts,
        )
