"""How daemons are kept running: limits that systemd enforces, starts by a launch, and a class archive, whose problems
never prevent a start.
"""

import pytest

from lab.cluster import Cluster, wait_for
from ops import state
from tests.lab import reach

UNITS = {"jm-0": "flink-jobmanager", "tm-0": "flink-taskmanager", "zk-0": "zookeeper"}


def shown(cluster: Cluster, host: str, unit: str) -> dict[str, str]:
    """Properties of a unit."""
    lines = cluster.lab.ssh(host, f"systemctl show {unit}").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.mark.parametrize(("host", "unit"), UNITS.items())
def test_systemd_never_gives_up_and_bounds_what_a_daemon_may_take(cluster: Cluster, host: str, unit: str) -> None:
    found = shown(cluster, host, unit)
    assert (found["Restart"], found["StartLimitIntervalUSec"]) == ("always", "0")
    assert found["NoNewPrivileges"] == found["ProtectHome"] == found["PrivateTmp"] == "yes"
    assert found["ProtectSystem"] == "full"
    assert found["User"] == ("zookeeper" if unit == "zookeeper" else "flink")
    assert "CapabilityBoundingSet" not in found, "systemd leaves out what is empty"
    assert 256 << 20 < int(found["MemoryMax"]) < 4 << 30
    assert int(found["LimitNOFILE"]) >= 65536
    assert found["LimitCORE"] == "0"


@pytest.mark.parametrize(("host", "unit"), UNITS.items())
def test_a_daemon_can_do_little_on_its_host(cluster: Cluster, host: str, unit: str) -> None:
    """2.5 of 10; tests/unit/test_hardening.py has the units of other configurations."""
    analyzed = cluster.lab.ssh(host, f"systemd-analyze security --no-pager --threshold=25 {unit}", check=False)
    assert analyzed.returncode == 0, analyzed.stdout
    pid = shown(cluster, host, unit)["MainPID"]
    # systemd only warns about a restriction that it cannot set up
    status = cluster.lab.ssh(host, f"cat /proc/{pid}/status").stdout
    assert "\nSeccomp:\t2\n" in status and "\nCapBnd:\t0000000000000000\n" in status
    inside = f"sudo -n nsenter --target={pid} --mount"
    devices = cluster.lab.ssh(host, f"{inside} ls /dev").stdout.split()
    assert "null" in devices and "console" not in devices
    assert "hidepid=invisible" in cluster.lab.ssh(host, f"{inside} findmnt -no OPTIONS /proc").stdout


@pytest.mark.parametrize(("host", "unit"), UNITS.items())
def test_a_job_reads_and_writes_what_is_its_own_users(cluster: Cluster, host: str, unit: str) -> None:
    assert reach.beyond_its_own(cluster.lab, host, unit) == []


HEAP = """
pid=$(systemctl show -p MainPID --value "$1")
nsenter -t "$pid" -m runuser -u flink -- /opt/java/bin/jcmd "$pid" GC.heap_dump /var/lib/flink/tmp/heap.hprof
stat -c %U /var/lib/flink/tmp/heap.hprof
rm /var/lib/flink/tmp/heap.hprof
"""
"""As in docs/runbooks/FlinkHeapFull.md."""


@pytest.mark.parametrize("host", ["jm-0", "tm-0"])
def test_jcmd_attaches_to_a_daemon(cluster: Cluster, host: str) -> None:
    done = cluster.lab.ssh(host, f"sudo -n bash -seu {UNITS[host]}", input=HEAP, timeout=120)
    assert "Heap dump file created" in done.stdout and done.stdout.endswith("\nflink\n"), done.stdout


PLANT = """
mkdir -m 0700 /root/roots
runuser -u flink -- sh -euc 'cd /var/lib/flink && mv upload upload.away && ln -s /root/roots upload'
"""
REMOVE = """
runuser -u flink -- sh -euc 'cd /var/lib/flink && rm -f upload && mv upload.away upload'
rmdir /root/roots
"""


def test_root_follows_no_link_of_the_daemons_user(cluster: Cluster) -> None:
    """tests/unit/test_holders.py has files, and directories that are missing."""
    (step,) = (inputs for name, inputs in state.commands(cluster.stack.state()) if name == "tm-0-system")
    cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=PLANT)
    try:
        done = cluster.lab.ssh("tm-0", step["create"], input=step["stdin"], check=False)
        assert done.returncode != 0 and "/var/lib/flink/upload" in done.stderr
        assert cluster.lab.ssh("tm-0", "sudo -n stat -c '%U %a' /root/roots").stdout == "root 700\n"
    finally:
        cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=REMOVE)
    cluster.lab.ssh("tm-0", step["create"], input=step["stdin"])


@pytest.mark.parametrize(("host", "unit"), UNITS.items())
def test_no_output_grows_in_a_file_without_a_bound(cluster: Cluster, host: str, unit: str) -> None:
    found = shown(cluster, host, unit)
    assert (found["StandardOutput"], found["StandardError"]) == ("journal", "inherit")
    # Not only the unit: start-cluster.sh, for example, redirects its daemons to a file
    for stream in (1, 2):
        opened = cluster.lab.ssh(host, f"sudo -n readlink /proc/{found['MainPID']}/fd/{stream}").stdout
        assert opened.startswith("socket:"), opened
    if unit != "zookeeper":
        settings = cluster.lab.ssh(host, "cat /var/lib/flink/launch/current/conf/log4j-console.properties").stdout
        assert "appender.rolling.policies.size.size = 100MB" in settings
        assert "appender.rolling.strategy.max = 10" in settings


def mapped(cluster: Cluster) -> bool:
    """Whether the TaskManager of tm-0 uses an archive of classes."""
    find = "sudo -n sh -c 'grep -c jsa /proc/$(systemctl show -p MainPID --value flink-taskmanager)/maps'"
    # The JDK has one of its own classes
    text = find.replace("-c jsa", "-c /var/lib/flink/cds/")
    return cluster.lab.ssh("tm-0", text, check=False).stdout.strip() not in ("", "0")


def restart(cluster: Cluster) -> None:
    """Restart the TaskManager of tm-0, and wait until it is registered again."""
    cluster.lab.ssh("tm-0", "sudo -n systemctl restart flink-taskmanager")
    wait_for("its going", 300, lambda: cluster.lab.ssh("tm-0", "sudo -n systemctl is-active flink-taskmanager").stdout)
    cluster.lab.ssh("tm-0", "sudo -n runuser -u flink -- /usr/local/lib/flink/flink-host proves 300", timeout=330)


AT_ONCE = """
mkdir -p /run/systemd/system/flink-classes.service.d
cat >/run/systemd/system/flink-classes.service.d/test.conf <<'END'
[Service]
Environment=PATIENCE=0
Nice=0
CPUSchedulingPolicy=other
END
systemctl daemon-reload
"""
"""Archives are made at once. Normally that waits for an idle machine, which there is not while other tests run."""
AS_USUAL = "rm -rf /run/systemd/system/flink-classes.service.d; systemctl daemon-reload; rm -f /var/lib/flink/cds/*"
HURRY = f"""{AT_ONCE}
systemctl stop flink-classes
rm -f /var/lib/flink/cds/*
systemctl start flink-classes
"""
"""Recreates the archive, and waits for it."""


@pytest.mark.exhaustive  # it waits until the machine is idle
def test_a_start_uses_the_archive_of_classes_and_needs_none(cluster: Cluster) -> None:
    archive = "/var/lib/flink/cds/*.jsa"
    try:
        cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=HURRY, timeout=600)
        restart(cluster)
        assert mapped(cluster)
        for harm in (
            f"truncate -s 100000 {archive}",
            f"sh -c 'for file in {archive}; do head -c 2000000 /dev/urandom >$file; done'",
            f"rm -f {archive}",
        ):
            cluster.lab.ssh("tm-0", f"sudo -n chmod u+w {archive}; sudo -n {harm}")
            restart(cluster)
            assert not mapped(cluster), harm
    finally:
        cluster.lab.ssh("tm-0", "sudo -n bash -eu", input=AS_USUAL)
        restart(cluster)
    cluster.wait_until_whole()


def test_the_launch_is_what_flinks_own_script_would_run(cluster: Cluster) -> None:
    """Everything but the copy of the configuration that it runs with."""
    launch = cluster.lab.ssh("tm-0", "readlink /var/lib/flink/launch/current").stdout.strip()
    running = cluster.lab.ssh(
        "tm-0", "sudo -n cat /proc/$(systemctl show -p MainPID --value flink-taskmanager)/cmdline"
    ).stdout.split("\0")
    assert running[0].startswith("/opt/java-")
    assert "org.apache.flink.runtime.taskexecutor.TaskManagerRunner" in running
    assert [word for word in running if word.startswith("-Xmx")]
    # Beside the launch's files it has the passwords of the stores for TLS, which are in memory only
    conf = "/run/flink-taskmanager/conf"
    assert running[running.index("--configDir") + 1] == conf
    same = f"sudo -n diff -r {launch}/conf {conf}"
    added = [
        line for line in cluster.lab.ssh("tm-0", same, check=False).stdout.splitlines() if line[:2] in ("< ", "> ")
    ]
    assert added and all(line.startswith("> ") and "password" in line for line in added), "and nothing else"
    assert "taskmanager.resource-id=tm-0" in running
