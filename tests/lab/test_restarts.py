"""Every change restarts only what it must: the rows of docs/changes.md. The tests compare processes' start times before
and after, and check what `up` ran, during a counting job; at the end every record must exist once.

The changes add up, in any order: each sets something that no other one does.
"""

import base64
import json
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from drill.records import RecordsJob
from lab import flights
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from lab.stack import release
from stand_ins.builds import archives
from tests import short_lived
from tests.lab import private_ca
from tests.lab.commands import finish
from tests.measured import Measured

JOBMANAGERS = {"jm-0 flink-jobmanager.service", "jm-1 flink-jobmanager.service"}
TASKMANAGERS = {"tm-0 flink-taskmanager.service", "tm-1 flink-taskmanager.service"}
ZOOKEEPERS = {f"zk-{index} zookeeper.service" for index in range(3)}


@pytest.fixture(scope="module", autouse=True)
def restored(cluster: Cluster) -> Iterator[None]:
    """The changes are reverted together at the end."""
    yield
    cluster.overrides = {}
    cluster.stack.up()
    cluster.wait_until_whole()


@pytest.fixture(scope="module")
def job(cluster: Cluster) -> Iterator[RecordsJob]:
    """A job that writes numbered records during all of the changes; at the end each must exist once."""
    made = RecordsJob.start(cluster, "restarts", seconds=7200)
    try:
        yield made
        made.hurry()
        flights.wait(cluster.urls, made.job_id, 600)
        assert made.count().exact
    finally:
        if not made.ended():
            made.cancel()


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Each test begins with a complete cluster."""
    cluster.wait_until_whole()
    yield


def change(cluster: Cluster, **settings: Any) -> list[str]:
    """`up` with changed settings; returns what ran on hosts."""
    cluster.overrides |= {f"flink:{key}": value for key, value in settings.items()}
    return cluster.stack.up().changed()


def restarted(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Units on hosts whose process has changed."""
    return {name for name in before if before[name] != after.get(name)}


def began(processes: dict[str, str], name: str) -> float:
    """When a unit's process began, in seconds of a clock that all hosts of a lab share."""
    return int(processes[name].split()[1]) / 1e6


def moments(cluster: Cluster, host: str, unit: str, words: str) -> list[float]:
    """When a daemon logged this (a regular expression), by the same clock."""
    show = f"sudo -n journalctl -u {unit} -o json --output-fields=MESSAGE --grep {shlex.quote(words)} --no-pager"
    lines = cluster.lab.ssh(host, show).stdout.splitlines()
    return [int(json.loads(line)["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in lines]


def registered(cluster: Cluster, taskmanager: str) -> float:
    """When the leading JobManager last registered a TaskManager."""
    words = f"Registering TaskManager with ResourceID {taskmanager} "
    return max(moments(cluster, cluster.leader(), "flink-jobmanager", words))


def served(cluster: Cluster, server: str) -> list[float]:
    """When a ZooKeeper server began to serve, as the leader or as a follower in sync: after its own start, and after
    each election.
    """
    return moments(cluster, server, "zookeeper", "Peer state changed: (following|leading) - broadcast")


def steps(names: set[str], *kinds: str) -> set[str]:
    """Names of the steps of these kinds on the hosts of these units."""
    return {f"{name.split()[0]}-{kind}" for name in names for kind in kinds}


LIVE = 8
"""Minutes: two thirds are enough for an `up` and its rollout on a busy machine."""

LOOKED = {"jm-0-rollout", "jm-0-cluster"}


def test_nothing_runs_and_nothing_restarts_without_a_change(cluster: Cluster) -> None:
    before = cluster.processes()
    assert change(cluster) == []
    assert cluster.processes() == before


def test_a_taskmanager_setting_restarts_taskmanagers_one_after_the_other(cluster: Cluster, job: RecordsJob) -> None:
    before = cluster.processes()
    ran = change(cluster, taskManagerConfig={"taskmanager.network.retries": 3}, rollout="rolling")
    assert set(ran) == LOOKED | steps(TASKMANAGERS, "config", "service")
    after = cluster.processes()
    assert restarted(before, after) == TASKMANAGERS
    first, second = sorted(TASKMANAGERS, key=lambda name: began(after, name))
    assert registered(cluster, first.split()[0]) < began(after, second), (
        "the second restarted before the first was back"
    )
    assert job.runs(), "the rollout waited for it"


def test_a_jobmanager_setting_is_one_failover(cluster: Cluster, job: RecordsJob) -> None:
    before, leader = cluster.processes(), cluster.leader()
    ran = change(cluster, jobManagerConfig={"web.timeout": "65 s"})
    assert set(ran) == LOOKED | steps(JOBMANAGERS, "config", "service")
    after = cluster.processes()
    assert restarted(before, after) == JOBMANAGERS
    (standby,) = {"jm-0", "jm-1"} - {leader}
    assert cluster.leader() == standby, "the leader changed once"
    assert began(after, f"{standby} flink-jobmanager.service") < began(after, f"{leader} flink-jobmanager.service")
    assert job.runs(), "the rollout waited for it"


@pytest.mark.exhaustive  # a setting restarts the same daemons in the same order
def test_hosts_that_wait_for_it_reboot_one_after_the_other_and_the_job_continues(
    cluster: Cluster, job: RecordsJob, measured: Measured
) -> None:
    lead, modes = cluster.leader(), cluster.zookeeper_modes()
    zookeeper = next(name for name, mode in modes.items() if mode == "leader")
    # Marks as Debian's unattended-upgrades leaves them after a kernel, and as nobody leaves any after a library
    for host in (lead, "tm-0"):
        cluster.lab.ssh(
            host, "sudo -n sh -c 'echo linux-image-6.1 >/run/reboot-required.pkgs; touch /run/reboot-required'"
        )
    cluster.lab.ssh(zookeeper, "sudo -n touch /run/reboot-required")
    before = cluster.processes()
    code, told = finish(120, "doctor", "--name", cluster.lab.name)
    assert f"{lead}: waits for a reboot: linux-image-6.1 was upgraded" in told
    assert "3 hosts wait for a reboot" in told
    assert code == 0, "it is no drift"
    began_at = time.monotonic()
    code, told = finish(600, "reboot", "--yes", "--name", cluster.lab.name)
    measured(f"reboot of three hosts, one after the other, with a job: {time.monotonic() - began_at:.0f} s")
    assert code == 0
    assert re.findall(r"^(\S+): rebooted and healthy", told, re.MULTILINE) == [zookeeper, lead, "tm-0"]
    after = cluster.processes()
    units = {f"{zookeeper} zookeeper.service", f"{lead} flink-jobmanager.service", "tm-0 flink-taskmanager.service"}
    assert restarted(before, after) == units, "no other host"
    assert served(cluster, zookeeper)[-1] < began(after, f"{lead} flink-jobmanager.service")
    assert cluster.leader() != lead, "the standby took over"
    assert registered(cluster, "tm-0") > began(after, "tm-0 flink-taskmanager.service")
    assert job.runs(), "each reboot waited for it"
    assert "no host of stack" in finish(60, "reboot", "--dry-run", "--name", cluster.lab.name)[1]


def test_a_zookeeper_setting_restarts_one_server_at_a_time(cluster: Cluster) -> None:
    before, leader = cluster.processes(), cluster.leader()
    ran = change(cluster, zookeeperConfig={"autopurge.purgeInterval": 12})
    assert set(ran) == {*steps(ZOOKEEPERS, "config", "service", "restart"), "zk-0-ensemble"}
    after = cluster.processes()
    assert restarted(before, after) == ZOOKEEPERS
    assert cluster.leader() == leader
    times = [began(after, f"zk-{index} zookeeper.service") for index in range(3)]
    assert times == sorted(times)
    for index in (1, 2):
        between = [at for at in served(cluster, f"zk-{index - 1}") if times[index - 1] < at < times[index]]
        assert between, "each waited until the previous one served"


def becomes_a_client(cluster: Cluster, name: str) -> None:
    """Give a worker the role `client`: of a TaskManager only the release and data stay there. The inventory then is as
    it was.
    """
    path = cluster.lab.dir / "inventory.yaml"
    before = path.read_text()
    inventory = yaml.safe_load(before)
    (entry,) = [host for host in inventory["hosts"] if host["name"] == name]
    entry["role"] = "client"
    left = """
        sudo -n find /etc/flink /etc/systemd/system /var/lib/flink/.ssh /var/lib/flink/.profile -name 'flink-[ct]*' \
          -o -name credentials.env -o -name daemon.json -o -name authorized_keys -o -name .profile 2>/dev/null
        systemctl --failed --no-legend; pgrep java; cat /etc/flink-owner
    """
    assert len(cluster.lab.ssh(name, left).stdout.split()) > 7
    try:
        path.write_text(yaml.safe_dump(inventory, sort_keys=False))
        change(cluster, workers=2)
        assert cluster.lab.ssh(name, left).stdout == f"client {name}\n"
        code, said = finish(300, "doctor", "--name", cluster.lab.name)
        assert code == 0, said
    finally:
        path.write_text(before)


@pytest.mark.exhaustive  # so has the rehearsal
def test_a_worker_joins_and_leaves_and_the_others_do_not_restart(cluster: Cluster) -> None:
    before = cluster.processes()
    lab = cluster.lab
    try:
        lab.up(workers=3)
        ran = change(cluster, workers=3)
        others = {name for name in ran if not name.startswith("tm-2-")}
        told = {f"{host.name}-members" for host in lab.hosts if host.name != "tm-2"}
        assert others == {*LOOKED, "jm-0-logins", "jm-1-logins", *told}
        assert cluster.rest.get("/overview")["taskmanagers"] == 3
        assert "tm-2" in lab.ssh("jm-0", "cat /etc/flink/workers").stdout
        becomes_a_client(cluster, "tm-2")
        change(cluster, workers=2)
        wait_for("two TaskManagers", 300, lambda: cluster.rest.get("/overview")["taskmanagers"] == 2)
        assert "tm-2" not in lab.ssh("jm-0", "cat /etc/flink/workers").stdout
        assert lab.ssh("tm-2", "id flink", check=False).returncode, "it has left"
    finally:
        change(cluster, workers=2)
        lab.up(workers=2)
    assert cluster.processes() == before


def test_a_rollout_ends_at_a_host_that_does_not_come_back_and_continues_after_its_repair(cluster: Cluster) -> None:
    before = cluster.processes()
    with pytest.raises(LabError) as error:
        # A folder that cannot be created: the TaskManager exits at its start
        change(cluster, taskManagerConfig={"io.tmp.dirs": "/proc/nowhere"}, readyTimeoutSeconds=20, rollout="rolling")
    assert "tm-0 was started and is not healthy after 20 s" in str(error.value)
    assert "not restarted: tm-1" in str(error.value)
    now = cluster.processes()
    assert before["tm-1 flink-taskmanager.service"] == now["tm-1 flink-taskmanager.service"]
    # Even a restart does not give it the wrong configuration
    cluster.lab.kill("tm-1", "flink-taskmanager")
    wait_for("tm-1 back", 300, lambda: cluster.rest.get("/overview")["taskmanagers"] == 1)
    change(cluster, taskManagerConfig={"taskmanager.network.retries": 4}, readyTimeoutSeconds=300)
    cluster.wait_until_whole()
    for name in ("tm-0", "tm-1"):
        assert "retries: 4" in cluster.lab.ssh(name, "cat /var/lib/flink/launch/current/conf/config.yaml").stdout


def test_what_flink_itself_refuses_is_reported_before_anything_restarts(cluster: Cluster) -> None:
    before, kept = cluster.processes(), dict(cluster.overrides)
    with pytest.raises(LabError, match="cannot derive the command line"):
        change(cluster, taskManagerConfig={"taskmanager.memory.network.fraction": 5})
    assert cluster.processes() == before
    cluster.overrides = kept
    change(cluster)
    assert cluster.processes() == before
    code, found = finish(300, "doctor", "--name", cluster.lab.name)
    assert code == 0, found


@pytest.mark.exhaustive  # the rehearsal replaces machines
def test_hosts_that_were_made_anew_come_back_and_nobody_else_restarts(cluster: Cluster) -> None:
    before, leader = cluster.processes(), cluster.leader()
    lab = cluster.lab
    for name in ("tm-1", "zk-2"):
        lab.machine(lab.host(name)).remove()
    lab.up(workers=2)  # with other host keys
    ran = change(cluster)
    assert {name.split("-")[0] + "-" + name.split("-")[1] for name in ran} <= {"tm-1", "zk-2", "zk-0", "jm-0", "jm-1"}
    assert not {name for name in ran if name.startswith("tm-0")}
    assert restarted(before, cluster.processes()) == {"tm-1 flink-taskmanager.service", "zk-2 zookeeper.service"}
    assert cluster.leader() == leader
    assert lab.ssh("zk-2", "cat /var/lib/zookeeper/data/myid").stdout.strip() == "3"
    assert cluster.zookeeper_modes()["zk-2"] in ("leader", "follower")


def test_repair_mends_what_somebody_changed(cluster: Cluster) -> None:
    before = cluster.processes()
    lab = cluster.lab
    lab.ssh("tm-0", "sudo -n sed -i s/taskmanager.data.port/data.port/ /etc/flink/config.yaml")
    lab.ssh("jm-0", "sudo -n sh -c 'echo LimitNOFILE=9 >>/etc/systemd/system/flink-jobmanager.service'")
    lab.ssh("tm-1", "sudo -n rm /usr/local/lib/flink/flink-host")
    # The scripts of all steps of a host
    lab.ssh("zk-0", "rm .flink-scripts-zk-0")
    lab.ssh("zk-1", "sed -i s/nothing/something/ .flink-scripts-zk-1")
    try:
        code, found = finish(300, "doctor", "--name", lab.name)
        assert code == 1
        for told in ("/etc/flink/config.yaml", "flink-jobmanager.service", "/usr/local/lib/flink/flink-host"):
            assert told in found
        for host in ("zk-0", "zk-1"):
            assert found.count(f"/.flink-scripts-{host}: expected the scripts of this step") == 1
        assert "repair" in found
        ran = change(cluster, repair=True)
        assert steps(JOBMANAGERS | TASKMANAGERS | ZOOKEEPERS, "service", "members") <= set(ran)
        code, found = finish(300, "doctor", "--name", lab.name)
        assert code == 0, found
    finally:
        change(cluster, repair=False)
    # The files are again those with which the daemons were started
    assert cluster.processes() == before
    assert change(cluster) == []


@pytest.mark.exhaustive  # secret options reach the same daemons by the same files
def test_storage_keys_that_are_not_declared_any_more_go_and_what_used_them_restarts(
    cluster: Cluster, job: RecordsJob
) -> None:
    """The daemons have keys from elsewhere, as by an instance profile: here from a file of somebody else's."""
    lab, s3, path = cluster.lab, cluster.s3, "/etc/flink/credentials.env"
    daemons = JOBMANAGERS | TASKMANAGERS
    theirs = f"[Service]\nEnvironment=AWS_ACCESS_KEY_ID={s3.access_key} AWS_SECRET_ACCESS_KEY={s3.secret_key}\n"
    folders = {name.split()[0]: f"/etc/systemd/system/{name.split()[1]}.d" for name in daemons}
    try:
        for name, folder in folders.items():
            install = f"sudo -n install -D -m 0600 /dev/stdin {folder}/keys.conf && sudo -n systemctl daemon-reload"
            lab.ssh(name, install, input=theirs)
        before = cluster.processes()
        ran = change(cluster, storageAccessKey="")
        assert set(ran) == LOOKED | steps(daemons, "system", "service", "credentials")
        assert restarted(before, cluster.processes()) == daemons
        assert not [name for name in folders if lab.ssh(name, f"sudo -n test -e {path}", check=False).returncode == 0]
        assert job.runs()
        code, found = finish(300, "doctor", "--name", lab.name)
        assert code == 0, found
        lab.ssh("tm-0", f"sudo -n touch {path}")
        code, found = finish(300, "doctor", "--name", lab.name)
        assert code == 1 and f"tm-0: {path}: left from an earlier configuration" in found
    finally:
        for name, folder in folders.items():
            lab.ssh(name, f"sudo -n rm -rf {folder} && sudo -n systemctl daemon-reload")
        change(cluster, storageAccessKey=s3.access_key)
    assert lab.ssh("tm-0", f"sudo -n grep -c AWS_ {path}").stdout.strip() == "2"


@pytest.mark.exhaustive  # tests/lab/test_job_programs.py has secrets of jobs
def test_secret_options_reach_the_daemons_alone(cluster: Cluster, job: RecordsJob) -> None:
    lab, daemons, option, value = (
        cluster.lab,
        JOBMANAGERS | TASKMANAGERS,
        "my.service.password",
        "wh1sper: 'wh1sper' # 12",
    )
    before = cluster.processes()

    def reported() -> set[str]:
        """The option's value on the JobManagers' web UI."""
        shown = [cluster.ask(name, "/jobmanager/config") for name in cluster.hosts("jobmanager")]
        return {each["value"] for options in shown for each in options if each["key"] == option}

    try:
        ran = change(cluster, flinkSecrets={option: value})
        assert set(ran) == LOOKED | steps(daemons, "config", "credentials", "service")
        assert restarted(before, cluster.processes()) == daemons
        assert reported() == {"******"}
        # As text, and as it travels; in brackets, so that the commands that look for them are not found
        secret = f"-e '[w]h1sper' -e '[{(known := base64.b64encode(option[:18].encode()).decode())[0]}]{known[1:]}'"
        for unit in daemons:
            host, service = unit.split()
            conf = f"/run/{service.removesuffix('.service')}/conf"
            assert lab.ssh(host, f"sudo -n stat -c '%a %U' {conf}").stdout.split() == ["700", "flink"]
            written = lab.ssh(host, f"sudo -n cat {conf}/config.yaml").stdout
            assert yaml.safe_load(written)[option] == value
            # For another user neither in files nor in command lines, and not in the daemon's environment
            readable = f"sudo -n -u nobody grep -rlsI -D skip {secret} /etc /opt /run /tmp /var/lib/flink /var/log"
            assert lab.ssh(host, readable, check=False).stdout == ""
            kept = "sudo -n grep -rls '[w]h1sper' /etc /opt/flink/conf /var/lib/flink/launch /var/log/flink"
            assert lab.ssh(host, kept, check=False).stdout == ""
            assert lab.ssh(host, f"ps axww -o args | grep -c {secret}", check=False).stdout.strip() == "0"
            environment = f"sudo -n grep -c SECRET_CONFIG /proc/$(systemctl show --value -p MainPID {service})/environ"
            assert lab.ssh(host, environment, check=False).stdout.strip() == "0"
        assert "wh1sper" not in json.dumps(cluster.stack.exported(secrets=False))
        assert job.runs()
        code, drift = finish(300, "doctor", "--name", lab.name)
        assert code == 0, drift
        before = cluster.processes()
    finally:
        del cluster.overrides["flink:flinkSecrets"]
        change(cluster)
    assert restarted(before, cluster.processes()) == daemons
    assert reported() == set()
    # What a daemon is started with is in /run with TLS, too
    files = "/etc/flink/credentials.env /run/flink-taskmanager/conf/config.yaml"
    left = f"sudo -n grep -hc -e SECRET_CONFIG -e wh1sper {files}"
    assert lab.ssh("tm-0", left, check=False).stdout.split() == ["0", "0"]


@pytest.mark.exhaustive  # ten minutes; test_converge.py has the private CA
def test_tls_is_switched_off_and_on_another_authority_signs_and_the_storage_has_a_private_ca(
    cluster: Cluster, job: RecordsJob, tmp_path: Path
) -> None:
    """Three rollouts, each of which changes TLS and what the storage's certificate needs, while the job continues. A
    private CA in `destroy`: tests/hosts/test_converge.py; what TLS refuses: test_cluster.py.
    """
    lab, daemons, everything = cluster.lab, JOBMANAGERS | TASKMANAGERS, JOBMANAGERS | TASKMANAGERS | ZOOKEEPERS
    gateway, url, plain = str(lab.gateway), urlsplit(lab.s3.endpoint), {"storageEndpoint", "trustedCertificates"}
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        private_ca.make_certificates(folder, gateway)
    trusted, own, other = tmp_path / "trusted.pem", *(it / "ca.pem" for it in (tmp_path, tmp_path / "other"))
    trusted.write_text(other.read_text())
    assert url.hostname and url.port
    with private_ca.serving(tmp_path, gateway, (url.hostname, url.port)) as port:
        private = {"storageEndpoint": f"https://{gateway}:{port}", "trustedCertificates": str(trusted)}
        try:
            before = cluster.processes()
            with pytest.raises(LabError, match=r"tm-0: .*certificate of the storage \(https://.*\) is refused"):
                change(cluster, tls=False, **private)
            assert cluster.processes() == before

            # Off, with the storage behind TLS
            trusted.write_text(own.read_text())
            change(cluster)
            assert restarted(before, cluster.processes()) == everything
            assert job.runs()
            assert len(cluster.zookeeper_modes()) == len(ZOOKEEPERS), "in plain text again"
            code, said = finish(300, "gc", "--name", lab.name, "--dry-run")
            assert code == 0, said
            # Public, for whoever needs them
            ask = f"sudo -n curl -sS -o /dev/null --cacert /etc/flink/trusted/certificates.pem https://{gateway}:{port}"
            lab.ssh("tm-0", ask)

            # On, as in a cluster that never had it, with another certificate beside the first
            for each in lab.hosts:
                lab.ssh(each, "sudo -n rm -rf /etc/flink/tls /etc/zookeeper/tls")
            trusted.write_text(own.read_text() + other.read_text())
            before = cluster.processes()
            ran = change(cluster, tls=True)
            assert steps(daemons, "trusted", "service") <= set(ran)
            assert restarted(before, cluster.processes()) == everything
            assert job.runs()
            _keys_are_secret(cluster)

            # Other authorities, and the storage as before
            for key in plain:
                del cluster.overrides[f"flink:{key}"]
            before, leader = cluster.processes(), cluster.leader()
            with pytest.raises(LabError) as refused:
                change(cluster, tlsAuthority=3)
            assert "tlsAuthority is 3, and zookeeper runs with certificates of authority 1" in str(refused.value)
            assert "expected 2: set that and run `up` before you set 3" in str(refused.value)
            ran = change(cluster, tlsAuthority=2)
            assert steps(daemons | ZOOKEEPERS, "tls-request", "tls", "service") <= set(ran)
            assert {*steps(ZOOKEEPERS, "restart"), "zk-0-ensemble"} <= set(ran)
            after = cluster.processes()
            assert restarted(before, after) == everything
            times = [began(after, f"zk-{index} zookeeper.service") for index in range(3)]
            assert times == sorted(times), "one server at a time"
            (standby,) = {"jm-0", "jm-1"} - {leader}
            assert cluster.leader() == standby, "a rollout: the leader changed once"
            assert job.runs()
            for name in daemons:
                host = name.split()[0]
                assert lab.ssh(host, "test -e /etc/flink/trusted", check=False).returncode, "it goes with the key"
            code, drift = finish(300, "doctor", "--name", lab.name)
            assert code == 0, drift
        finally:
            for key in (*plain, "tls"):
                cluster.overrides.pop(f"flink:{key}", None)
            # Without a difference it does nothing
            change(cluster)


@pytest.mark.exhaustive
@pytest.mark.timeout(60 * (4 * LIVE + 15))
def test_certificates_that_live_for_minutes_are_renewed_in_time_and_mended_when_they_have_expired(
    cluster: Cluster, job: RecordsJob, tmp_path: Path
) -> None:
    """`tlsSigner` signs for `LIVE` minutes. The last third of that is as the last 30 days of 90."""
    lab, everything = cluster.lab, JOBMANAGERS | TASKMANAGERS | ZOOKEEPERS
    signer = short_lived.setting(tmp_path / "pki", LIVE)
    try:
        # Nobody trusts its authorities yet: all daemons restart at once, twice
        change(cluster, tls=False)
        change(cluster, tls=True, tlsSigner=signer)
        cluster.wait_until_whole()
        first = _ends(cluster)
        wait_for("the last third", 60 * LIVE, lambda: min(first) - time.time() < 60 * LIVE / 3)
        code, said = finish(300, "doctor", "--name", lab.name)
        assert code == 1 and said.count(": expires on 20") >= len(everything), said
        assert "`up` renews its certificates" in said
        before, leader = cluster.processes(), cluster.leader()
        change(cluster)
        assert restarted(before, cluster.processes()) == everything
        (standby,) = {"jm-0", "jm-1"} - {leader}
        assert cluster.leader() == standby, "a rollout: the leader changed once"
        second = _ends(cluster)
        assert min(second) > max(first)
        wait_for("the end of the first certificates", 60 * LIVE, lambda: time.time() > max(first))
        cluster.wait_until_whole()
        done = job.checkpoint() or 0
        wait_for("further checkpoints", 120, lambda: (job.checkpoint() or 0) > done and job.runs())

        # Too late: nobody opens a connection any more
        wait_for("the end of the second certificates", 60 * LIVE, lambda: time.time() > max(second))
        identity = "--cacert /etc/flink/tls/rest/authorities.pem --cert /etc/flink/tls/rest/identity.pem"
        ask = f"sudo -n curl -sS --max-time 20 {identity} https://jm-1:8081/overview"

        def refuses() -> bool:
            """Until its own has expired, some seconds later, jm-1 refuses that of jm-0."""
            said = lab.ssh("jm-0", ask, check=False)
            assert said.returncode
            return "certificate has expired" in said.stderr

        wait_for("an expired certificate", 60, refuses)
        assert cluster.zookeeper_modes() == {}
        code, said = finish(600, "doctor", "--name", lab.name)
        assert code == 1 and said.count(": has expired on 20") >= len(everything), said
        before = cluster.processes()
        change(cluster)
        assert restarted(before, cluster.processes()) == everything
        cluster.wait_until_whole()
        wait_for("the job", 300, job.runs)
    finally:
        # Without TLS it is refused
        cluster.overrides.pop("flink:tlsSigner", None)
        change(cluster, tls=False)
        cluster.overrides.pop("flink:tls")
        change(cluster)


def _ends(cluster: Cluster) -> list[int]:
    """When the certificates of each host expire, in seconds since 1970."""
    lines = [cluster.lab.ssh(host, "sudo -n sh -c 'tail -qn1 /etc/*/tls/valid'").stdout for host in cluster.lab.hosts]
    return [int(line.split()[1]) for line in lines]


def _keys_are_secret(cluster: Cluster) -> None:
    """Each host's key is its own, and neither keys nor passwords leave it."""
    daemons, passwords = JOBMANAGERS | TASKMANAGERS, set()
    for unit in daemons:
        host = unit.split()[0]
        options = cluster.lab.ssh(host, "sudo -n cat /etc/flink/tls/options.yaml").stdout
        passwords.add(yaml.safe_load(options)["security.ssl.internal.key-password"])
        private = "sudo -n grep -rlE 'PRIVATE KEY|password' /etc/flink/tls | xargs -r sudo -n stat -c %a"
        readable = f"sudo -n -u nobody ls /etc/flink/tls; {private}"
        assert {*cluster.lab.ssh(host, readable, check=False).stdout.split()} == {"600"}
    assert len(passwords) == len(daemons)
    state = json.dumps(cluster.stack.exported(secrets=False))
    # A program that writes such files is there
    assert not re.search(r"PRIVATE KEY-+[\\n\s]+[A-Za-z0-9+/]{20}", state)
    assert not any(password in state for password in passwords)


@pytest.mark.exhaustive  # test_changes.py has another release of Flink
def test_another_java_restarts_everything_in_order_and_leaves_flinks_files_alone(cluster: Cluster) -> None:
    files = "find -L /opt/flink -type f -printf '%p %s %T@ %i\\n' | sort | sha256sum"
    before, flink = cluster.processes(), cluster.lab.ssh("tm-0", files).stdout
    later = archives.later_java()
    change(
        cluster, rollout="parallel", **{key[6:]: value for key, value in release(cluster.lab, "java", later).items()}
    )
    after = cluster.processes()
    assert restarted(before, after) == JOBMANAGERS | TASKMANAGERS | ZOOKEEPERS
    first, second = sorted(TASKMANAGERS, key=lambda name: began(after, name))
    assert began(after, second) < registered(cluster, first.split()[0]), "in parallel, because of `rollout: parallel`"
    assert cluster.lab.ssh("tm-0", files).stdout == flink
    for unit in after:
        host, name = unit.split()
        exe = f"sudo -n readlink /proc/$(systemctl show -p MainPID --value {name})/exe"
        assert f"/opt/java-{later.version}/" in cluster.lab.ssh(host, exe).stdout, unit
