"""The program that Pulumi runs: settings, hosts and storage, a cluster, outputs. It only wires."""

import pulumi

import settings
from components import ports, sdk_performance
from components.existing.site import site as existing_site
from components.flink import node
from components.flink.cluster import Cluster, ClusterArgs
from components.host import Role


async def main() -> None:
    """Declare the stack."""
    sdk_performance.prepare()
    config = settings.read()
    stack = pulumi.get_stack()
    if config.aws is None:
        site = existing_site(stack, config)
    else:
        # Imported only where it is used: the SDK for AWS is large
        from components.aws.site import declare

        needed = {role: node.needed_mib(role, config.flink) for role in Role}
        site = declare(stack, config.aws, config.storage, needed)
    cluster = Cluster(stack, ClusterArgs(hosts=site.hosts, storage=site.storage, settings=config.flink))

    by_role = {role: [host for host in site.hosts if host.role is role] for role in Role}
    rest = [pulumi.Output.from_input(host.ssh.address).apply(ports.url) for host in by_role[Role.JOBMANAGER]]
    pulumi.export("webUi", rest)
    pulumi.export("hosts", {role.value: {host.name: host.ssh.address for host in by_role[role]} for role in Role})
    pulumi.export("clusterId", config.flink.cluster_id)
    pulumi.export("checkpoints", f"{site.storage.uri}/checkpoints/{config.flink.cluster_id}")
    pulumi.export("savepoints", f"{site.storage.uri}/savepoints/{config.flink.cluster_id}")
    pulumi.export("overview", cluster.overview.apply(pulumi.Output.json_loads))
    for name, value in site.outputs.items():
        pulumi.export(name, value)
    await sdk_performance.settle()


pulumi.run(main)
