"""Flink's own start-cluster.sh on a lab, instead of the units."""

from lab.cluster import Cluster, wait_for

_AS_FLINK = "sudo -n runuser -u flink -- env HOME=/var/lib/flink /opt/flink/bin/{}"


def works(cluster: Cluster) -> None:
    """It starts all daemons, and stop-cluster.sh stops them. Afterwards the units run again."""
    lab = cluster.lab
    everyone = {
        **dict.fromkeys(cluster.hosts("jobmanager"), "flink-jobmanager"),
        **dict.fromkeys(cluster.hosts("taskmanager"), "flink-taskmanager"),
    }
    try:
        for name, unit in everyone.items():
            lab.ssh(name, f"sudo -n systemctl stop {unit}")
        lab.ssh("jm-0", _AS_FLINK.format("start-cluster.sh"), timeout=300)
        cluster.wait_until_whole()
        for name in everyone:
            assert "java" in lab.ssh(name, "ps -u flink -o comm=").stdout, name
        lab.ssh("jm-0", _AS_FLINK.format("stop-cluster.sh"), timeout=300)
        for name in everyone:
            wait_for(
                f"no daemon on {name}",
                300,
                lambda: "java" not in lab.ssh(name, "ps -u flink -o comm= || true").stdout,  # noqa: B023
            )
    finally:
        for name, unit in everyone.items():
            lab.ssh(name, f"sudo -n pkill -KILL -u flink java; sudo -n systemctl start {unit}")
    cluster.wait_until_whole()
