"""The Pulumi program. It wires settings, hosts, storage, cluster and outputs together, and does nothing else."""

from functools import partial

import pulumi

import settings
from components import ports, sdk_performance
from components.flink.cluster import Cluster, ClusterArgs
from components.flink.topology import Members
from components.host import Role
from components.jobs.component import Job, JobArgs
from components.jobs.watch import JobWatch, JobWatchArgs
from components.monitoring.component import scrape_config


async def main() -> None:
    """Declare the stack."""
    sdk_performance.prepare()
    config = settings.read()
    stack = pulumi.get_stack()
    site = config.provider.declare(stack, config.site, config.storage, config.cluster)
    balancer = site.balancer
    networks = balancer.networks if balancer else ()
    args = ClusterArgs(hosts=site.hosts, storage=site.storage, settings=config.cluster, balancer_networks=networks)
    cluster = Cluster(stack, args)

    declared = config.cluster.jobs
    watch = JobWatch(f"{stack}-jobs", JobWatchArgs(cluster=cluster, jobs=declared)) if declared else None
    after = watch.ready if watch else []
    jobs = {it.name: Job(f"job-{it.name}", JobArgs(cluster=cluster, settings=it, after=after)) for it in declared}

    members, cluster_id = Members(tuple(site.hosts)), config.cluster.cluster_id
    addresses = {role: {host.name: host.ssh.address for host in members.of(role)} for role in Role}
    url = partial(ports.url, tls=config.cluster.tls, front_door=config.cluster.front_door_port)
    doors = {**addresses[Role.JOBMANAGER], **config.cluster.front_door_names}
    rest = [pulumi.Output.from_input(address).apply(url) for address in doors.values()]
    pulumi.export("webUi", [balancer.url] if balancer else rest)
    if cluster.front_door_authority:
        pulumi.export("frontDoorAuthority", cluster.front_door_authority.certificate)
    if config.cluster.metrics_cidrs:
        pulumi.export("scrapeConfig", scrape_config(config.cluster, members))
    pulumi.export("hosts", {role.value: found for role, found in addresses.items()})
    pulumi.export("clusterId", cluster_id)
    pulumi.export("checkpoints", site.storage.checkpoints(cluster_id))
    pulumi.export("savepoints", site.storage.savepoints(cluster_id))
    pulumi.export("overview", cluster.overview.apply(pulumi.Output.json_loads))
    if jobs:
        pulumi.export("jobs", {name: job.result.apply(pulumi.Output.json_loads) for name, job in jobs.items()})
    for name, value in site.outputs.items():
        pulumi.export(name, value)
    await sdk_performance.settle()


pulumi.run(main)
