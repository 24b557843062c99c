"""The program that Pulumi runs: settings, hosts and storage, a cluster, outputs. It only wires."""

import pulumi

import settings
from components import ports
from components.existing.hosts import Hosts
from components.existing.storage import storage
from components.flink.cluster import Cluster, ClusterArgs
from components.host import Role


def main() -> None:
    """Declare the stack."""
    config = settings.read()
    stack = pulumi.get_stack()
    hosts = Hosts(stack, config.hosts).hosts
    place = storage(config.storage)
    cluster = Cluster(stack, ClusterArgs(hosts=hosts, storage=place, settings=config.flink))

    rest = [
        pulumi.Output.from_input(host.ssh.address).apply(ports.url) for host in hosts if host.role is Role.JOBMANAGER
    ]
    pulumi.export("webUi", rest)
    pulumi.export("hosts", {role.value: [host.name for host in hosts if host.role is role] for role in Role})
    pulumi.export("clusterId", config.flink.cluster_id)
    pulumi.export("checkpoints", f"{place.uri}/checkpoints")
    pulumi.export("savepoints", f"{place.uri}/savepoints")
    pulumi.export("overview", cluster.overview.apply(pulumi.Output.json_loads))


main()
