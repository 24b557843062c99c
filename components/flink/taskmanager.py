"""A TaskManager."""

import pulumi

from components import ports
from components.flink import config
from components.flink.flink_host import FlinkHost, FlinkHostArgs


class TaskManager(FlinkHost):
    """A TaskManager on a host; healthy when it talks to a JobManager. The cluster's own check then counts its slots."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        rpc = ports.number("jm-rpc")
        super().__init__(
            "TaskManager",
            name,
            args,
            daemon=config.TASKMANAGER,
            arguments=config.taskmanager_arguments(args.host),
            # It opens the connection to register, which takes milliseconds then, and keeps it
            check=f"ss -Htn state established 'dport = :{rpc}' | grep -q .",
            joins=" || ".join(f"(exec 3<>/dev/tcp/{host.reached_as}/{rpc}) 2>/dev/null" for host in args.jobmanagers),
            opts=opts,
        )
