"""Two hosts with Debian 13, hardened in all the ways that people harden hosts, in a lab of their own. What `up` cannot
work with is reported before anything is changed; the rest works, from the first `up` to `destroy`.
"""

import os
from collections.abc import Iterator

import pytest
import yaml

from lab.cluster import Cluster, SlowJob
from lab.errors import LabError
from lab.lab import Lab
from stand_ins.builds import archives

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="hosts need root")

SSHD_PORT = 2222
"""Where sshd admits flink. The lab itself logs in on 22."""
HARDEN = f"""
set -eu
printf '%s\\n' 'Defaults use_pty' 'Defaults secure_path="/usr/bin:/bin"' > /etc/sudoers.d/10-hardened
sed -i '/^USERGROUPS_ENAB/d; /^UMASK/d' /etc/login.defs
printf '%s\\n' 'USERGROUPS_ENAB no' 'UMASK 077' >> /etc/login.defs
printf '%s\\n' 'Port 22' 'Port {SSHD_PORT}' 'AllowGroups admin' 'Match LocalPort 22' 'DenyUsers flink' \
    > /etc/ssh/sshd_config.d/20-hardened.conf
systemctl restart ssh
for directory in /tmp /var/tmp; do mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs $directory; done
ip route delete default
printf '%s\\n' 'http_proxy=http://127.0.0.1:9' "no_proxy=$1" >> /etc/environment
"""
CLOUD_INIT = """
set -eu
rm /etc/cloud/cloud-init.disabled
printf '%s\\n' 'datasource_list: [NoCloud, None]' 'network: {config: disabled}' 'apt: {preserve_sources_list: true}' \
    'ssh_deletekeys: false' 'users: []' > /etc/cloud/cloud.cfg.d/90-lab.cfg
mkdir -p /var/lib/cloud/seed/nocloud
printf '#cloud-config\\nmanage_etc_hosts: true\\n' > /var/lib/cloud/seed/nocloud/user-data
printf 'instance-id: i-1\\nlocal-hostname: tm-0\\n' > /var/lib/cloud/seed/nocloud/meta-data
"""
TEMPLATE = "/etc/cloud/templates/hosts.debian.tmpl"
INSTALLED = f"""
ls -d /opt/java* /opt/flink* /etc/flink* /var/lib/flink /usr/local/lib/flink /var/log/flink 2>/dev/null
ls -d /etc/systemd/system/flink* /etc/cloud/cloud.cfg.d/*flink* /etc/sysctl.d/*flink* 2>/dev/null
getent passwd flink
getent group flink
grep -n flink /etc/hosts {TEMPLATE}
pgrep -l java
true
"""
"""Prints what of a cluster is on a host."""


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The hosts, and a stack for them that nothing has been done with."""
    lab = Lab("test-hardened")
    lab.down()
    try:
        lab.up(workers=1, jobmanagers=1, zookeepers=0, suite="trixie")
        root(lab, "tm-0", CLOUD_INIT)
        lab.reboot("tm-0")
        for name in ("jm-0", "tm-0"):
            # A proxy that is not there: what nobody excepts from it cannot be reached
            root(lab, name, HARDEN.replace("$1", lab.gateway))
        inventory = yaml.safe_load((lab.dir / "inventory.yaml").read_text())
        inventory["ssh"]["port"] = SSHD_PORT
        path = tmp_path_factory.mktemp("hardened") / "inventory.yaml"
        path.write_text(yaml.safe_dump(inventory))
        overrides = {"flink:inventory": str(path), "flink:firewall": False, "flink:workers": 0, "flink:history": True}
        yield Cluster(lab, archives.ensure(), overrides)
    finally:
        lab.down()


@pytest.fixture
def cluster(hardened: Cluster) -> Iterator[Cluster]:
    """The same, whatever a test has done before: it ends with `destroy`, which leaves nothing."""
    overrides = dict(hardened.overrides)
    try:
        yield hardened
    finally:
        hardened.stack.destroy()
        hardened.overrides = overrides
    for name in ("jm-0", "tm-0"):
        assert root(hardened.lab, name, INSTALLED) == ""
    assert root(hardened.lab, "tm-0", f"head -n 1 {TEMPLATE}") == "## template:jinja\n"


def admit(lab: Lab, groups: str) -> None:
    """The groups whose users sshd admits."""
    edit = f"sed -i 's/^AllowGroups .*/AllowGroups {groups}/' /etc/ssh/sshd_config.d/20-*; systemctl reload ssh"
    for name in ("jm-0", "tm-0"):
        root(lab, name, edit)


def root(lab: Lab, host: str, script: str) -> str:
    """What a script says that root runs on a host."""
    return lab.ssh(host, ["sudo", "-n", "bash", "-c", script]).stdout


def refused(cluster: Cluster) -> str:
    """The message of an `up` that fails, which leaves no daemon running."""
    with pytest.raises(LabError) as error:
        cluster.stack.up()
    assert cluster.processes() == {}
    return str(error.value)


def test_what_cannot_work_is_reported_for_all_hosts_before_anything_is_changed(cluster: Cluster) -> None:
    lab = cluster.lab
    assert "debian 13" in root(lab, "jm-0", ". /etc/os-release; echo $ID $VERSION_ID")
    root(lab, "jm-0", "mount --bind /opt /opt && mount -o remount,bind,noexec /opt")
    root(lab, "tm-0", "echo 'Defaults requiretty' > /etc/sudoers.d/20-requiretty")
    try:
        said = refused(cluster)
    finally:
        root(lab, "jm-0", "umount /opt")
        lab.ssh("tm-0", "script -qc 'sudo -n rm /etc/sudoers.d/20-requiretty' /dev/null")
    assert "jm-0: cannot be a jobmanager" in said and "/opt is mounted noexec: expected exec" in said
    assert (
        "tm-0: user admin cannot run commands as root: expected sudo without a password and without a terminal" in said
    )
    for name in ("jm-0", "tm-0"):
        assert root(lab, name, INSTALLED) == ""


def test_logins_that_sshd_refuses_are_reported_before_any_daemon_starts(cluster: Cluster) -> None:
    said = refused(cluster)
    assert "cannot log in as flink to 2 hosts" in said and "AllowGroups" in said
    assert "tm-0: flink@tm-0: Permission denied (publickey)" in said and "jm-0: flink@jm-0: Permission denied" in said


@pytest.fixture
def admitted(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster where sshd admits its user."""
    admit(cluster.lab, "admin flink")
    try:
        yield cluster
    finally:
        admit(cluster.lab, "admin")


def test_the_cluster_works_on_them_and_its_names_stay_when_cloud_init_rewrites_them(admitted: Cluster) -> None:
    cluster, lab = admitted, admitted.lab
    cluster.stack.up()
    cluster.wait_until_whole()
    # The rollout logs in to jm-0 itself, by a name that is 127.0.1.1, and to tm-0, on sshd's own port
    assert "127.0.1.1" in root(lab, "jm-0", "getent ahostsv4 jm-0")
    cluster.overrides |= {"flink:flinkConfig": {"metrics.latency.history-size": 64}}
    assert "jm-0-rollout" in cluster.stack.up().changed()
    cluster.wait_until_whole()
    job = SlowJob.start(cluster, "hardened", 600)
    job.cancel()
    assert cluster.stack.up().changed() == []

    # cloud-init writes them anew at each boot
    root(lab, "tm-0", "rm -f /var/lib/cloud/instance/boot-finished")
    lab.reboot("tm-0")
    cluster.wait_until_whole()
    jobmanager = lab.host("jm-0").address
    assert jobmanager in root(lab, "tm-0", "grep -v '^127' /etc/hosts; getent ahostsv4 jm-0")
    assert "Your system has configured 'manage_etc_hosts' as True" in root(lab, "tm-0", "cat /etc/hosts")
