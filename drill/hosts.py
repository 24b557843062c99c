"""Faults of daemons and hosts: signals, power, and nftables."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from drill.scene import Scene
from lab.cluster import Cluster, wait_for

_TABLE = "inet drill"


def kill_jobmanager(scene: Scene) -> None:
    """SIGKILL to the JVM of the leading JobManager; systemd starts it again."""
    leader = scene.cluster.leader()
    scene.happens()
    scene.cluster.lab.kill(leader, "flink-jobmanager")


def stop_jobmanager_host(scene: Scene) -> None:
    """The host of the leading JobManager is powered off, and on again when the job runs elsewhere."""
    _power_off(scene, scene.cluster.leader())


def kill_taskmanager(scene: Scene) -> None:
    """SIGKILL to the JVM of a TaskManager that runs tasks; systemd starts it again."""
    victim = scene.job.taskmanager()
    scene.happens()
    scene.cluster.lab.kill(victim, "flink-taskmanager")


def stop_taskmanager_host(scene: Scene) -> None:
    """The host of a TaskManager that runs tasks is powered off, and on again when the job runs elsewhere."""
    _power_off(scene, scene.job.taskmanager())


def kill_zookeeper(scene: Scene) -> None:
    """SIGKILL to the JVM of the ZooKeeper server that leads; systemd starts it again after a second."""
    leader = zookeeper_leader(scene.cluster)
    scene.happens()
    scene.cluster.lab.kill(leader, "zookeeper")


def stop_zookeeper_host(scene: Scene) -> None:
    """The host of a ZooKeeper server is powered off, and on again half a minute later."""
    lab, victim = scene.cluster.lab, _followers(scene.cluster)[0]
    scene.undo.callback(lab.up)
    scene.happens()
    lab.stop(victim)
    scene.lasts()


def no_quorum(scene: Scene) -> None:
    """Two of three ZooKeeper servers, the leader among them, are stopped for 30 s."""
    lab = scene.cluster.lab
    victims = [zookeeper_leader(scene.cluster), *_followers(scene.cluster)[1:]]

    def do(what: str) -> None:
        with ThreadPoolExecutor(len(victims)) as pool:
            list(pool.map(lambda name: lab.ssh(name, f"sudo -n systemctl {what} zookeeper"), victims))

    scene.undo.callback(do, "start")
    scene.happens()
    do("stop")
    scene.lasts()
    do("start")
    scene.is_over()


def partition_jobmanager(scene: Scene) -> None:
    """For 30 s the leading JobManager and ZooKeeper cannot reach each other; all other connections work."""
    leader = scene.cluster.leader()
    servers = [host.address for host in scene.cluster.lab.hosts if host.role == "zookeeper"]
    rules = [f"ip {side} {{ {', '.join(servers)} }} drop" for side in ("daddr", "saddr")]
    _cut_for_a_while(scene, leader, outgoing=[rules[0]], incoming=[rules[1]])


def pause_jobmanager(scene: Scene) -> None:
    """The JVM of the leading JobManager is stopped (SIGSTOP), and goes on after 30 s, as on a machine that pauses."""
    leader = scene.cluster.leader()
    scene.happens()
    with ExitStack() as paused:
        paused.callback(scene.cluster.lab.kill, leader, "flink-jobmanager", "CONT")
        scene.cluster.lab.kill(leader, "flink-jobmanager", "STOP")
        scene.lasts()
    scene.is_over()


def partition_taskmanager(scene: Scene) -> None:
    """For 30 s a TaskManager that runs tasks can reach no other host and no S3; only the operator's SSH works."""
    operator = scene.cluster.lab.gateway
    _cut_for_a_while(
        scene,
        scene.job.taskmanager(),
        outgoing=['oifname "lo" accept', f"ip daddr {operator} tcp sport 22 accept", "drop"],
        incoming=['iifname "lo" accept', f"ip saddr {operator} tcp dport 22 accept", "drop"],
    )


def reboot_everything(scene: Scene) -> None:
    """All hosts reboot at once, as after a power failure of the whole site."""
    lab = scene.cluster.lab
    scene.undo.callback(lab.up)
    scene.happens()
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(lab.reboot, lab.hosts))


def zookeeper_leader(cluster: Cluster) -> str:
    """The ZooKeeper server that leads."""
    return wait_for(
        "a leading ZooKeeper server",
        30,
        lambda: next((name for name, mode in cluster.zookeeper_modes().items() if mode == "leader"), None),
    )


def _followers(cluster: Cluster) -> list[str]:
    return wait_for(
        "two ZooKeeper followers",
        30,
        lambda: [name for name, mode in cluster.zookeeper_modes().items() if mode == "follower"] or None,
    )


def _power_off(scene: Scene, host: str) -> None:
    lab = scene.cluster.lab
    scene.undo.callback(lab.up)  # boots hosts that are off
    scene.happens()
    lab.stop(host)


def _cut_for_a_while(scene: Scene, host: str, outgoing: list[str], incoming: list[str]) -> None:
    """Load rules into a separate table on a host, before those of its firewall, for 30 s."""
    chains = [("output", outgoing), ("input", incoming)]
    text = "".join(
        f"chain {hook} {{ type filter hook {hook} priority filter - 10;\n{chr(10).join(rules)}\n}}\n"
        for hook, rules in chains
    )
    ssh = partial(scene.cluster.lab.ssh, host)
    with ExitStack() as cut:
        cut.callback(ssh, f"sudo -n nft delete table {_TABLE}")
        scene.happens()
        ssh("sudo -n nft -f -", f"table {_TABLE} {{\n{text}}}\n")
        scene.lasts()
    scene.is_over()
