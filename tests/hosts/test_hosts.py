"""The lab's hosts, for real: tests boot, disconnect and break them, and check what they leave on this machine."""

import ipaddress
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import image, network, processes
from lab.errors import LabError
from lab.hosts import DOMAIN
from lab.lab import Lab, lab_id
from stand_ins.builds.archives import folder
from toolbox.paths import REPO

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hosts need root")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A JobManager host and a worker, booted once for this file."""
    it = Lab("test-hosts")
    try:
        it.down()
        it.up(workers=1, jobmanagers=1, zookeepers=0)
        yield it
    finally:
        it.down()


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"condition not met within {seconds} s"
        time.sleep(0.05)


def init_pid(lab: Lab, host: str) -> int | None:
    found = processes.init_of(lab.id, host)
    return found.pid if found else None


def left_of(name: str) -> list[str]:
    """Everything on this machine that belongs to the lab."""
    own = lab_id(name)
    commands = (["ip", "-o", "link"], ["ip", "route"], ["nft", "list", "ruleset"], ["mount"], ["ps", "-eo", "args"])
    texts = [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in commands]
    found = [line for text in texts for line in text.splitlines() if own in line or f".lab/{name}" in line]
    folders = (REPO / ".lab", network.REGISTRY, Path("/run/systemd/nspawn/propagate"))
    found += [str(p) for f in folders for p in f.glob("*") if p.name.startswith((own, f"{name}.")) or p.name == name]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/flink-lab/{own}*")]
    return found + [str(process) for process in processes.find(own)]


# What a host is


def test_a_host_is_an_ordinary_debian_12_with_nothing_of_the_cluster_on_it(lab: Lab) -> None:
    said = lab.ssh("tm-0", "whoami; hostname; sudo -n id -u; . /etc/os-release; echo $ID $VERSION_ID; uname -n").stdout
    assert said.split("\n")[:5] == ["admin", "tm-0", "0", "debian 12", "tm-0"]
    assert lab.ssh("tm-0", "command -v java flink || ls /opt").stdout == ""
    assert lab.ssh("tm-0", "systemctl is-system-running --wait").stdout.strip() == "running"


def test_a_host_has_the_address_of_the_inventory_and_knows_its_own_name(lab: Lab) -> None:
    inventory = yaml.safe_load((lab.dir / "inventory.yaml").read_text())
    for entry in inventory["hosts"]:
        # As Debian's installer leaves a host
        known = lab.ssh(entry["name"], "hostname --fqdn; getent ahostsv4 $(hostname)").stdout.split()
        assert known[:2] == [f"{entry['name']}.{DOMAIN}", "127.0.1.1"]
        assert f"inet {entry['address']}/24" in lab.ssh(entry["name"], "ip -4 address show host0").stdout
    assert [entry["role"] for entry in inventory["hosts"]] == ["jobmanager", "taskmanager"]
    assert inventory["ssh"] == {"user": "admin", "privateKeyFile": str(lab.private_key)}


def test_a_host_shows_the_key_that_the_inventory_promises_and_no_other(lab: Lab) -> None:
    inventory = yaml.safe_load((lab.dir / "inventory.yaml").read_text())
    keys = [entry["hostKey"] for entry in inventory["hosts"]]
    assert len(set(keys)) == 2
    for entry in inventory["hosts"]:
        scanned = subprocess.run(["ssh-keyscan", entry["address"]], capture_output=True, text=True, check=True).stdout
        assert [line.split(" ", 1)[1] for line in scanned.splitlines()] == [entry["hostKey"]]


def test_a_host_with_another_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    machine = lab.machine("jm-0")
    wrong = tmp_path / "known_hosts"
    wrong.write_text(f"{machine.host.address} {lab.machine('tm-0').host_key}\n")
    argv = [word.replace(str(lab.private_key.with_name("known_hosts")), str(wrong)) for word in machine.ssh_argv()]
    refused = subprocess.run([*argv, "true"], capture_output=True, text=True)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_a_host_takes_keys_only(lab: Lab) -> None:
    argv = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    argv += ["-o", "PreferredAuthentications=none", "-o", "BatchMode=yes"]
    for user in ("admin", "root"):
        refused = subprocess.run([*argv, f"{user}@{lab.host('tm-0').address}", "true"], capture_output=True, text=True)
        assert "Permission denied (publickey)" in refused.stderr


def test_private_keys_and_secrets_are_the_owners_alone(lab: Lab) -> None:
    assert lab.dir.stat().st_mode & 0o777 == 0o700
    secrets = [*(lab.dir / "keys").glob("*_ed25519"), lab.private_key, lab.dir / "s3" / "credentials.json"]
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert lab.s3.secret_key not in lines
    assert lab.s3.secret_key not in repr(lab.s3)


# The network


def test_the_subnet_is_no_other_address_or_route_of_this_machine(lab: Lab) -> None:
    own = lab.network.subnet
    routes = json.loads(subprocess.run(["ip", "-j", "-4", "route"], capture_output=True, check=True).stdout)
    for route in routes:
        if route["dst"] != "default" and route["dev"] != lab.network.bridge:
            assert not own.overlaps(ipaddress.IPv4Network(route["dst"]))
    others = [record.subnet for record in network.records() if record.id != lab.id]
    assert not any(own.overlaps(ipaddress.IPv4Network(other)) for other in others)


def test_hosts_reach_each_other_and_what_this_machine_reaches(lab: Lab) -> None:
    assert lab.ssh("jm-0", ["ping", "-c1", "-W5", lab.host("tm-0").address]).returncode == 0
    outside = image.outside_name()
    if subprocess.run(["getent", "ahostsv4", outside], capture_output=True).returncode == 0:
        assert lab.ssh("jm-0", ["getent", "ahostsv4", outside], timeout=60).returncode == 0
        lab.ssh("jm-0", "sudo -n apt-get -o APT::Update::Error-Mode=any update", timeout=180)


def test_s3_keeps_what_it_is_given_and_wants_its_keys(lab: Lab) -> None:
    client = lab.s3.client()
    client.put_object(Bucket=lab.s3.bucket, Key="a/b", Body=b"c")
    assert client.get_object(Bucket=lab.s3.bucket, Key="a/b")["Body"].read() == b"c"
    status = lab.ssh("tm-0", ["curl", "-so/dev/null", "-w%{http_code}", f"{lab.s3.endpoint}/{lab.s3.bucket}/a/b"])
    assert status.stdout == "403"


def test_the_mirror_serves_archives_whole(lab: Lab) -> None:
    served = folder() / ".test-hosts"
    try:
        served.write_bytes(os.urandom(3_000_000))
        expected = subprocess.run(["sha256sum"], stdin=served.open(), capture_output=True, text=True).stdout.split()[0]
        fetch = f"curl -sf {lab.mirror_url}/{served.name} | sha256sum"
        assert lab.ssh("tm-0", fetch).stdout.split()[0] == expected
    finally:
        served.unlink()


# On and off


def test_a_second_up_touches_nothing(lab: Lab) -> None:
    before = sorted((process.pid, process.name) for process in processes.find(lab.id))
    inventory = (lab.dir / "inventory.yaml").read_text()
    lab.up()
    assert sorted((process.pid, process.name) for process in processes.find(lab.id)) == before
    assert (lab.dir / "inventory.yaml").read_text() == inventory


def test_a_stopped_host_stays_off_until_it_is_started_with_its_disk_and_keys(lab: Lab) -> None:
    lab.ssh("tm-0", "echo kept > ~/file")
    lab.stop("tm-0")
    assert not lab.machine("tm-0").is_on()
    states = {host["name"]: host["state"] for host in lab.status()["hosts"]}
    assert states == {"jm-0": "on", "tm-0": "off"}
    assert "Journal stopped" in lab.logs("tm-0"), "it was not powered off through its init"
    lab.start("tm-0")
    assert lab.ssh("tm-0", "cat ~/file").stdout == "kept\n"


def test_a_host_that_reboots_itself_comes_back(lab: Lab) -> None:
    before = init_pid(lab, "tm-0")
    lab.reboot("tm-0")
    assert init_pid(lab, "tm-0") not in (before, None)
    assert init_pid(lab, "jm-0") is not None


def test_a_host_that_powers_itself_off_stays_off(lab: Lab) -> None:
    lab.ssh("tm-0", "sudo -n systemctl poweroff", check=False)
    until(lambda: not lab.machine("tm-0").is_on())
    lab.up()
    assert lab.ssh("tm-0", "true").returncode == 0


def test_after_a_power_cut_a_host_stays_off_and_starts_with_what_it_wrote(lab: Lab) -> None:
    lab.ssh("tm-0", "echo written > ~/file && sync")
    lab.crash("tm-0")
    assert not processes.find(lab.id, "tm-0")
    lab.start("tm-0")
    assert lab.ssh("tm-0", "cat ~/file").stdout == "written\n"


@pytest.mark.parametrize("victim", ["init", "systemd-nspawn"])
def test_a_host_that_dies_unasked_is_booted_again(lab: Lab, victim: str) -> None:
    init = init_pid(lab, "tm-0")
    assert init
    found = [p.pid for p in processes.find(lab.id, "tm-0") if p.program().startswith("systemd-nspawn")]
    os.kill(init if victim == "init" else found[0], signal.SIGKILL)
    until(lambda: init_pid(lab, "tm-0") not in (init, None))
    lab.machine("tm-0").wait_until_ready()


def test_a_host_whose_supervisor_was_killed_can_be_stopped_and_started(lab: Lab) -> None:
    supervisor = next(p for p in processes.find(lab.id, "tm-0") if "lab.supervise" in p.program())
    os.kill(supervisor.pid, signal.SIGKILL)
    assert lab.ssh("tm-0", "true").returncode == 0
    lab.stop("tm-0")
    assert not lab.machine("tm-0").is_on()
    lab.start("tm-0")


def test_servers_that_died_are_started_by_up_with_the_same_keys_and_data(lab: Lab) -> None:
    lab.s3.client().put_object(Bucket=lab.s3.bucket, Key="kept", Body=b"yes")
    for server in ("s3", "mirror"):
        processes.kill(lab.id, server)
    assert {lab.status()[server]["state"] for server in ("s3", "mirror")} == {"off"}
    lab.up()
    assert {lab.status()[server]["state"] for server in ("s3", "mirror")} == {"on"}
    assert lab.s3.client().get_object(Bucket=lab.s3.bucket, Key="kept")["Body"].read() == b"yes"


def test_the_number_of_workers_can_grow_and_shrink_without_touching_the_others(lab: Lab) -> None:
    before = {name: init_pid(lab, name) for name in ("jm-0", "tm-0")}
    lab.up(workers=2)
    assert [host.name for host in lab.hosts] == ["jm-0", "tm-0", "tm-1"]
    assert lab.ssh("tm-1", "hostname").stdout == "tm-1\n"
    lab.up(workers=1)
    assert [host.name for host in lab.hosts] == ["jm-0", "tm-0"]
    assert not processes.find(lab.id, "tm-1")
    assert not (lab.dir / "hosts" / "tm-1").exists()
    assert {name: init_pid(lab, name) for name in before} == before


def test_a_unit_can_be_killed_and_one_that_does_not_run_is_named(lab: Lab) -> None:
    pid = lab.kill("tm-0", "dbus")
    assert lab.ssh("tm-0", ["test", "-e", f"/proc/{pid}"], check=False).returncode == 1
    with pytest.raises(LabError, match=r"flink-taskmanager\.service is not running on tm-0"):
        lab.kill("tm-0", "flink-taskmanager")


# When it fails


def test_a_host_that_fails_to_boot_is_named_with_the_end_of_its_console(lab: Lab) -> None:
    lab.stop("tm-0")
    broken = lab.machine("tm-0").directory / "upper/usr/lib/systemd/systemd"
    try:
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_text("#!/bin/sh\necho no disk in drive A\nexit 1\n")
        broken.chmod(0o755)
        with pytest.raises(LabError, match=r"(?s)host tm-0 failed to boot.*no disk in drive A"):
            lab.start("tm-0")
        with pytest.raises(LabError, match="host tm-0 failed to boot"):
            lab.up()
        assert lab.ssh("jm-0", "true").returncode == 0
    finally:
        broken.unlink()
    lab.up()


def test_a_host_without_sshd_is_named_with_the_end_of_its_console(lab: Lab) -> None:
    lab.ssh("tm-0", "sudo -n systemctl mask ssh.service")
    lab.stop("tm-0")
    for seconds in (5, 20, 80):  # depending on this machine's load
        with pytest.raises(LabError, match=f"host tm-0 failed to boot: not ready within {seconds} s") as error:
            lab.start("tm-0", timeout=seconds)
        if said := "multi-user.target" in str(error.value):
            break
    assert said
    lab.stop("tm-0")
    (lab.machine("tm-0").directory / "upper/etc/systemd/system/ssh.service").unlink()
    lab.start("tm-0")


def test_an_unknown_host_is_refused_with_the_names_that_there_are(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"no host 'tm-7' in lab 'test-hosts'; it has jm-0 tm-0"):
        lab.ssh("tm-7", "true")


def test_the_command_line_shows_the_lab_and_ends_as_it_says(lab: Lab) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "lab", *words], cwd=REPO, capture_output=True, text=True)

    done = run("status", "--name", lab.name, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["hosts"][1] | {"uptimeSeconds": 0} == {
        "name": "tm-0",
        "role": "taskmanager",
        "address": lab.host("tm-0").address,
        "state": "on",
        "uptimeSeconds": 0,
        "units": {},
        "leader": False,
    }
    assert run("ssh", "--name", lab.name, "jm-0", "exit 7").returncode == 7
    assert "jm-0" in run("logs", "--name", lab.name, "jm-0", "-n", "1").stdout
    assert run("ssh", "--name", lab.name, "nobody").returncode == 1
    assert run("status", "--name", "no-such-lab").returncode == 1
    assert run("what").returncode == 2


# What is left


def test_down_leaves_nothing_of_a_whole_lab_and_the_other_lab_as_it_was(lab: Lab) -> None:
    before = sorted(process.pid for process in processes.find(lab.id))
    other = Lab("test-hosts-2")
    try:
        other.up(workers=1, jobmanagers=0, zookeepers=0)
        assert other.network.subnet != lab.network.subnet
        blocked = other.ssh("tm-0", ["ping", "-c1", "-W1", lab.host("tm-0").address], check=False)
        assert blocked.returncode == 1, "labs must not reach each other"
        assert left_of(other.name)
    finally:
        other.down()
    assert left_of(other.name) == []
    assert sorted(process.pid for process in processes.find(lab.id)) == before
    assert lab.ssh("tm-0", "true").returncode == 0
    other.down()


MOMENTS: dict[str, Callable[[Lab], object]] = {
    "it has a network": lambda lab: lab.exists() and Path(f"/sys/class/net/{lab.network.bridge}").exists(),
    "its servers start": lambda lab: processes.find(lab.id),
    "a host boots": lambda lab: processes.init_of(lab.id, "tm-0"),
}


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        (signal.SIGKILL, "a host boots"),
        (signal.SIGINT, "its servers start"),
        pytest.param(signal.SIGKILL, "it has a network", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGKILL, "its servers start", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, "it has a network", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, "a host boots", marks=pytest.mark.exhaustive),
    ],
)
def test_an_interrupted_up_can_be_finished_and_removed(how: signal.Signals, moment: str) -> None:
    half = Lab("test-hosts-3")
    counts: dict[str, Any] = {"workers": 1, "jobmanagers": 0, "zookeepers": 0}
    script = f"from lab.lab import Lab; Lab({half.name!r}).up(**{counts})"
    try:
        for finish in (False, True):
            process = subprocess.Popen(
                [sys.executable, "-c", script], cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            until(lambda: MOMENTS[moment](half) or process.poll() is not None)  # noqa: B023
            process.send_signal(how)
            process.wait(timeout=300)
            if finish:
                half.up(**counts)
                assert [host["state"] for host in half.status()["hosts"]] == ["on"]
            half.down()
            assert left_of(half.name) == []
    finally:
        half.down()
