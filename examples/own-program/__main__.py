"""A Flink cluster as a part of another Pulumi program: where the hosts come from is that program's own business."""

import pulumi
from flink_standalone import S3, Cluster, ClusterArgs, ClusterSettings, Host, Role, Ssh, Storage

config = pulumi.Config()
KEYS = config.require_object("hostKeys")  # host name → its public SSH key


def host(name: str, role: Role, address: str) -> Host:
    """One of our machines. Its memory and CPUs are found out when it is reached."""
    login = Ssh(address=address, user="admin", private_key=config.require_secret("privateKey"), host_key=KEYS[name])
    return Host(name=name, role=role, address=address, ssh=login)


hosts = [
    *(host(f"jm-{i}", Role.JOBMANAGER, f"10.0.0.{10 + i}") for i in range(2)),
    *(host(f"zk-{i}", Role.ZOOKEEPER, f"10.0.0.{20 + i}") for i in range(3)),
    *(host(f"tm-{i}", Role.TASKMANAGER, f"10.0.0.{100 + i}") for i in range(config.get_int("workers") or 3)),
]
storage = Storage(uri="s3://our-flink/prod", backends=[S3(region="eu-central-1")])
settings = ClusterSettings(cluster_id="prod", operator_cidrs=("198.51.100.0/24",), java_options="-XX:+UseG1GC")

cluster = Cluster("prod", ClusterArgs(hosts=hosts, storage=storage, settings=settings))
pulumi.export("overview", cluster.overview)
