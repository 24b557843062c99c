"""The data center behind moto, for real: what AWS's API creates exists on hosts of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.config import Config

from lab import network, processes
from lab.lab import Lab, lab_id
from stand_ins.aws_cloud import Cloud, CloudHost
from stand_ins.aws_cloud.moto_server import PARAMETER
from stand_ins.aws_cloud.volumes import by_id
from toolbox.paths import REPO

pytestmark = pytest.mark.root

NAME = "test-cloud"
ZONE = "dev.flink.internal"


def until(condition: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"condition not met within {seconds} s"
        time.sleep(0.1)
    return found


def left_of(name: str) -> list[str]:
    """Everything on this machine that belongs to the lab."""
    own = lab_id(name)
    commands: tuple[list[str], ...] = (["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "route"], ["mount"])
    commands += (["nft", "list", "ruleset"], ["ps", "-eo", "args"], ["losetup", "--list"])
    texts = [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in commands]
    found = [line for text in texts for line in text.splitlines() if own in line or f".lab/{name}" in line]
    folders = (REPO / ".lab", network.REGISTRY, Path("/run/systemd/nspawn/propagate"))
    found += [str(p) for f in folders for p in f.glob("*") if p.name.startswith((own, f"{name}.")) or p.name == name]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/flink-lab/{own}*")]
    return found + [str(process) for process in processes.find(own)]


@dataclass
class Site:
    """The data center with a network, and what is needed to log in."""

    cloud: Cloud
    folder: Path
    subnet: str
    vpc: str
    group: str

    def client(self, service: str) -> Any:
        session: Any = boto3.session.Session("testing", "testing", region_name=self.cloud.region)
        return session.client(service, endpoint_url=self.cloud.endpoint, config=Config(proxies={}))

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    def key(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path

    def user_data(self, name: str) -> str:
        host_key, admin = self.key(f"host-{name}"), self.key("admin")
        settings = {
            "hostname": name,
            "fqdn": f"{name}.{ZONE}",
            "preserve_hostname": False,
            "manage_etc_hosts": False,
            "ssh_deletekeys": True,
            "ssh_genkeytypes": ["ed25519"],
            "ssh_keys": {
                "ed25519_private": host_key.read_text(),
                "ed25519_public": host_key.with_suffix(".pub").read_text().strip(),
            },
            "users": [
                {
                    "name": "admin",
                    "shell": "/bin/bash",
                    "sudo": "ALL=(ALL) NOPASSWD:ALL",
                    "ssh_authorized_keys": [admin.with_suffix(".pub").read_text().strip()],
                }
            ],
        }
        return f"#cloud-config\n{yaml.safe_dump(settings)}"

    def launch(self, name: str, group: str = "", profile: str = "") -> str:
        parameter = self.client("ssm").get_parameter(Name=PARAMETER.format(architecture="amd64"))
        made = self.ec2.run_instances(
            ImageId=parameter["Parameter"]["Value"],
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            UserData=self.user_data(name),
            NetworkInterfaces=[
                {
                    "DeviceIndex": 0,
                    "SubnetId": self.subnet,
                    "Groups": [group or self.group],
                    "AssociatePublicIpAddress": True,
                }
            ],
            TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
            **({"IamInstanceProfile": {"Name": profile}} if profile else {}),
        )
        identity: str = made["Instances"][0]["InstanceId"]
        return identity

    def host(self, name: str) -> CloudHost:
        return next(host for host in self.cloud.hosts if host.name == name)

    def ssh_argv(self, name: str, address: str) -> list[str]:
        known = self.folder / f"known-{name}"
        public = " ".join(self.key(f"host-{name}").with_suffix(".pub").read_text().split()[:2])
        known.write_text(f"{address} {public}\n")
        argv = ["ssh", "-F", "none", "-i", str(self.key("admin")), "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=5"]
        argv += ["-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=/dev/null"]
        return [*argv, "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", f"admin@{address}"]

    def try_ssh(self, name: str, command: str, address: str = "") -> subprocess.CompletedProcess[str]:
        argv = [*self.ssh_argv(name, address or self.host(name).public), "--", command]
        environment = {**os.environ, processes.MARK: f"{self.cloud.lab.id}/ssh"}
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, input="")

    def lets_in(self, name: str) -> bool:
        return self.try_ssh(name, "true").returncode == 0

    def ssh(self, name: str, command: str) -> str:
        done = self.try_ssh(name, command)
        assert done.returncode == 0, f"{name}: {command}: {done.stderr or done.stdout}"
        return done.stdout

    def open(self, port: int, **source: Any) -> dict[str, Any]:
        rule = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}]
        self.ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=rule)
        return {"GroupId": self.group, "IpPermissions": rule}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts, `one` with an instance profile and `two` without, in a VPC that this machine may log in to."""
    lab = Lab(NAME)
    try:
        with Cloud(lab) as cloud:
            it = Site(cloud, tmp_path_factory.mktemp("keys"), "", "", "")
            it.vpc = it.ec2.create_vpc(CidrBlock=cloud.vpc_cidr)["Vpc"]["VpcId"]
            zone = it.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
            block = cloud.vpc_cidr.replace("0.0/16", "32.0/20")
            made = it.ec2.create_subnet(VpcId=it.vpc, CidrBlock=block, AvailabilityZone=zone)
            it.subnet = made["Subnet"]["SubnetId"]
            it.group = it.ec2.create_security_group(GroupName="hosts", Description="hosts", VpcId=it.vpc)["GroupId"]
            it.open(22, IpRanges=[{"CidrIp": f"{lab.gateway}/32"}])
            iam = it.client("iam")
            iam.create_role(RoleName="writer", AssumeRolePolicyDocument="{}")
            iam.create_instance_profile(InstanceProfileName="profile")
            iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="writer")
            began = time.monotonic()
            it.launch("one", profile="profile")
            it.launch("two")
            until(lambda: len(cloud.hosts) == 2)
            for name in ("one", "two"):
                until(partial(it.lets_in, name))
            print(f"two hosts let one in {time.monotonic() - began:.1f} s after they were asked for")
            yield it
        assert left_of(NAME) == []
    finally:
        lab.down()


def test_an_instance_is_a_host_that_cloud_init_made(site: Site) -> None:
    host = site.host("one")
    assert re.fullmatch(r"198\.51\.100\.\d+", host.public)
    assert site.ssh("one", "hostname; whoami; sudo -n whoami").split() == ["one", "admin", "root"]
    assert "status: done" in site.ssh("one", "cloud-init status --wait --long")
    assert site.ssh("one", "systemctl is-system-running --wait").strip() == "running"
    assert f"inet {host.private}/32" in site.ssh("one", "ip -4 address show host0")
    keys = site.ssh("one", "cat ~/.ssh/authorized_keys").splitlines()
    assert keys == [site.key("admin").with_suffix(".pub").read_text().strip()]


def test_a_host_with_another_key_is_refused(site: Site) -> None:
    assert "Host key verification failed" in site.try_ssh("two", "true", site.host("one").public).stderr


def test_this_machine_reaches_a_host_by_its_public_address_only(site: Site) -> None:
    refused = site.try_ssh("one", "true", site.host("one").private)
    assert refused.returncode == 255
    assert "unreachable" in refused.stderr


def test_a_public_address_of_nobody_stays_on_this_machine(site: Site) -> None:
    used = {host.public for host in site.cloud.hosts}
    free = next(address for number in range(1, 255) if (address := f"198.51.100.{number}") not in used)
    with socket.socket() as probe, pytest.raises(OSError, match="No route to host"):
        probe.settimeout(20)
        probe.connect((free, 80))
    # 7: curl's connection was refused at once; 28 would be its timeout
    assert site.try_ssh("one", f"curl -s -m 20 http://{free}/").returncode == 7


def test_names_of_a_private_zone_are_resolved_on_hosts(site: Site) -> None:
    route53 = site.client("route53")
    made = route53.create_hosted_zone(
        Name=ZONE,
        CallerReference="1",
        VPC={"VPCRegion": site.cloud.region, "VPCId": site.vpc},
        HostedZoneConfig={"PrivateZone": True},
    )
    one = site.host("one").private
    record = {"Name": f"one.{ZONE}", "Type": "A", "TTL": 10, "ResourceRecords": [{"Value": one}]}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=made["HostedZone"]["Id"], ChangeBatch=changes)
    until(lambda: site.try_ssh("two", f"getent ahostsv4 one.{ZONE}").stdout.startswith(one))
    assert site.try_ssh("two", f"getent hosts nobody.{ZONE}").returncode == 2
    internal = f"ip-{one.replace('.', '-')}.{site.cloud.region}.compute.internal"
    assert site.ssh("two", f"getent ahostsv4 {internal}").startswith(one)


def test_names_of_the_outside_are_resolved_as_on_this_machine(site: Site) -> None:
    from lab import image

    name = image.outside_name()
    here = subprocess.run(["getent", "ahostsv4", name], capture_output=True, text=True)
    there = site.try_ssh("two", f"getent ahostsv4 {name}")
    assert there.returncode == here.returncode


ASK = """
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)
curl -s -o /dev/stdout -w '%{{http_code}}' -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/{path}
"""


def ask(site: Site, name: str, path: str) -> tuple[str, str]:
    """Status and text."""
    said = site.ssh(name, ASK.format(path=path))
    return said[-3:], said[:-3]


def test_metadata_takes_a_token(site: Site) -> None:
    url = "http://169.254.169.254/latest/meta-data/instance-id"
    assert site.ssh("one", f"curl -s -o /dev/null -w '%{{http_code}}' {url}") == "401"
    assert site.ssh("one", f"curl -s -o /dev/null -w '%{{http_code}}' -H 'X-aws-ec2-metadata-token: x' {url}") == "401"
    for name in ("one", "two"):
        assert ask(site, name, "meta-data/instance-id") == ("200", site.host(name).instance)


def test_metadata_says_where_a_host_is(site: Site) -> None:
    region = site.cloud.region
    assert ask(site, "two", "meta-data/placement/region") == ("200", region)
    assert ask(site, "two", "meta-data/placement/availability-zone") == ("200", f"{region}a")
    assert ask(site, "two", "meta-data/local-ipv4") == ("200", site.host("two").private)
    assert ask(site, "two", "meta-data/instance-type") == ("200", "t3.small")
    assert ask(site, "two", "user-data") == ("200", site.user_data("two"))
    assert json.loads(ask(site, "two", "dynamic/instance-identity/document")[1])["region"] == region


def test_only_an_instance_with_a_profile_gets_credentials(site: Site) -> None:
    assert ask(site, "two", "meta-data/iam/security-credentials/")[0] == "404"
    assert ask(site, "two", "meta-data/iam/info")[0] == "404"
    assert ask(site, "one", "meta-data/iam/security-credentials/") == ("200", "writer")
    status, text = ask(site, "one", "meta-data/iam/security-credentials/writer")
    keys = json.loads(text)
    assert (status, keys["Code"]) == ("200", "Success")
    assert keys["Expiration"] > keys["LastUpdated"]


def from_host(site: Site, method: str, path: str, keys: dict[str, str] | None = None) -> str:
    """Status of a request to S3 from host `one`."""
    sign = ""
    if keys:
        sign = f"--aws-sigv4 aws:amz:{site.cloud.region}:s3 --user {keys['AccessKeyId']}:{keys['SecretAccessKey']}"
        sign += f" -H 'x-amz-security-token: {keys['Token']}'"
    data = "--data-binary text -H 'content-type: text/plain'" if method == "PUT" else ""
    return site.ssh(
        "one", f"curl -s -o /dev/null -w '%{{http_code}}' -X {method} {data} {sign} {site.cloud.endpoint}{path}"
    )


def test_a_host_may_do_in_s3_what_its_role_allows(site: Site) -> None:
    s3 = site.client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": site.cloud.region})
    resource = ["arn:aws:s3:::bucket/own/*"]
    allow = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    site.client("iam").put_role_policy(RoleName="writer", PolicyName="own", PolicyDocument=policy)
    keys = json.loads(ask(site, "one", "meta-data/iam/security-credentials/writer")[1])
    assert from_host(site, "PUT", "/bucket/own/key", keys) == "200"
    assert from_host(site, "GET", "/bucket/own/key", keys) == "200"
    assert s3.get_object(Bucket="bucket", Key="own/key")["Body"].read() == b"text"
    refused = [
        ("PUT", "/bucket/other"),
        ("GET", "/bucket/own/missing"),
        ("DELETE", "/bucket/own/key"),
        ("GET", "/bucket"),
    ]
    for method, path in refused:
        assert from_host(site, method, path, keys) == "403", (method, path)
    assert from_host(site, "GET", "/bucket/own/key") == "403"
    assert from_host(site, "GET", "/bucket/own/key", {**keys, "Token": "another"}) == "403"
    assert from_host(site, "GET", "/moto-api/data.json") == "403"


def listen(site: Site, name: str, port: int) -> None:
    serve = f"sudo systemd-run --collect --quiet --unit=listen-{port} python3 -m http.server {port} --directory /mnt"
    site.ssh(name, serve)
    until(lambda: str(port) in site.ssh(name, "ss -Htln"))


def reach(site: Site, name: str, port: int, seconds: int = 2) -> bool:
    url = f"http://{site.host('one').private}:{port}/"
    return site.try_ssh(name, f"curl -s -m {seconds} {url}").returncode == 0


def connects(address: tuple[str, int]) -> bool:
    """Whether this machine can connect to an address."""
    try:
        socket.create_connection(address, 2).close()
    except TimeoutError:
        return False
    return True


def test_a_port_is_closed_until_its_security_group_opens_it(site: Site) -> None:
    listen(site, "one", 8080)
    assert not reach(site, "two", 8080)
    rule = site.open(8080, UserIdGroupPairs=[{"GroupId": site.group}])
    until(lambda: reach(site, "two", 8080))
    public = (site.host("one").public, 8080)
    with pytest.raises(TimeoutError):  # this machine is not in the group
        socket.create_connection(public, 2)
    site.ec2.revoke_security_group_ingress(**rule)
    until(lambda: not reach(site, "two", 8080))
    site.open(8080, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
    until(lambda: connects(public))


def test_a_member_that_joins_a_group_later_is_let_in(site: Site) -> None:
    listen(site, "one", 8090)
    make = site.ec2.create_security_group
    others = make(GroupName="others", Description="others", VpcId=site.vpc)["GroupId"]
    site.open(8090, UserIdGroupPairs=[{"GroupId": others}])
    assert not reach(site, "two", 8090)
    two = site.host("two").instance
    site.ec2.modify_instance_attribute(InstanceId=two, Groups=[site.group, others])
    until(lambda: reach(site, "two", 8090))


def test_a_volume_keeps_its_files_from_one_instance_to_the_next(site: Site) -> None:
    zone = site.ec2.describe_subnets(SubnetIds=[site.subnet])["Subnets"][0]["AvailabilityZone"]
    volume = site.ec2.create_volume(Size=1, AvailabilityZone=zone, VolumeType="gp3")["VolumeId"]
    device = by_id(volume)
    assert device == f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    site.ec2.attach_volume(VolumeId=volume, InstanceId=site.host("one").instance, Device="/dev/sdf")
    until(lambda: site.try_ssh("one", f"test -b {device}").returncode == 0)
    site.ssh("one", f"sudo mkfs.ext4 -q {device} && sudo mkdir -p /data && sudo mount {device} /data")
    site.ssh("one", "echo kept | sudo tee /data/file && df -h /data && sudo blkid")
    assert site.try_ssh("two", f"test -e {device}").returncode == 1
    site.ec2.detach_volume(VolumeId=volume, InstanceId=site.host("one").instance)
    until(lambda: site.try_ssh("one", f"! test -e {device} && ! mountpoint -q /data").returncode == 0)
    site.ec2.attach_volume(VolumeId=volume, InstanceId=site.host("two").instance, Device="/dev/sdf")
    until(lambda: site.try_ssh("two", f"test -b {device}").returncode == 0)
    assert site.ssh("two", f"sudo mkdir -p /data && sudo mount {device} /data && cat /data/file") == "kept\n"
    site.ssh("two", "sudo umount /data")
    site.ec2.detach_volume(VolumeId=volume, InstanceId=site.host("two").instance)
    file = site.cloud._volumes.file(volume)
    assert file.exists()
    site.ec2.delete_volume(VolumeId=volume)
    until(lambda: not file.exists())
    assert str(file) not in subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout


def test_a_volume_is_mounted_again_after_a_reboot(site: Site) -> None:
    one = site.host("one")
    zone = site.ec2.describe_subnets(SubnetIds=[site.subnet])["Subnets"][0]["AvailabilityZone"]
    volume = site.ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
    site.ec2.attach_volume(VolumeId=volume, InstanceId=one.instance, Device="/dev/sdf")
    device = by_id(volume)
    until(lambda: site.try_ssh("one", f"test -b {device}").returncode == 0)
    site.ssh("one", f"echo kept | sudo dd of={device} status=none conv=fsync")
    before = processes.init_of(site.cloud.lab.id, one.host)
    site.try_ssh("one", "sudo systemctl reboot")
    until(lambda: processes.init_of(site.cloud.lab.id, one.host) not in (before, None))
    until(lambda: site.try_ssh("one", f"sudo head -c 4 {device}").stdout == "kept")
    site.cloud.settle()


def test_a_host_that_was_stopped_comes_back_with_its_files(site: Site) -> None:
    two = site.host("two")
    site.ssh("two", "echo there > file && sync")
    site.ec2.stop_instances(InstanceIds=[two.instance])
    until(lambda: not processes.find(site.cloud.lab.id, two.host))
    site.ec2.start_instances(InstanceIds=[two.instance])
    until(lambda: "two" in [host.name for host in site.cloud.hosts])
    until(lambda: site.try_ssh("two", "cat file").stdout == "there\n")


def test_a_terminated_instance_is_no_host_any_more(site: Site) -> None:
    site.launch("three")
    until(lambda: "three" in [host.name for host in site.cloud.hosts])
    until(lambda: site.lets_in("three"))
    host = site.host("three")
    site.ec2.terminate_instances(InstanceIds=[host.instance])
    until(lambda: not (site.cloud.lab.dir / "hosts" / host.host).exists())
    assert [each.name for each in site.cloud.hosts] == ["one", "two"]
    assert not processes.find(site.cloud.lab.id, host.host)
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.split()
    assert host.private not in routes


def test_the_labs_own_commands_get_along_with_launched_hosts(site: Site) -> None:
    lab, host = Lab(NAME), site.host("one").host
    assert lab.status()["hosts"] == []
    assert "cloud-init" in lab.logs(host, lines=2000)
    lab.up()
    assert site.ssh("one", "hostname") == "one\n"
    for command in (["status"], ["logs", host]):
        done = subprocess.run([sys.executable, "-m", "lab", command[0], "--name", NAME, *command[1:]], cwd=REPO)
        assert done.returncode == 0


def test_what_a_killed_test_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    name = "test-cloud-killed"
    text = f"""
        import time
        from pathlib import Path
        from lab.lab import Lab
        from tests.aws.test_cloud import Cloud, Site, until
        cloud = Cloud(Lab("{name}"))
        cloud.start()
        site = Site(cloud, Path("{tmp_path}"), "", "", "")
        site.vpc = site.ec2.create_vpc(CidrBlock=cloud.vpc_cidr)["Vpc"]["VpcId"]
        site.subnet = site.ec2.create_subnet(VpcId=site.vpc, CidrBlock=cloud.vpc_cidr)["Subnet"]["SubnetId"]
        site.group = site.ec2.create_security_group(GroupName="g", Description="g", VpcId=site.vpc)["GroupId"]
        instance = site.launch("one")
        zone = site.ec2.describe_subnets(SubnetIds=[site.subnet])["Subnets"][0]["AvailabilityZone"]
        volume = site.ec2.create_volume(Size=1, AvailabilityZone=zone)["VolumeId"]
        site.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        from lab import loops
        until(lambda: loops.device_of(cloud._volumes.file(volume)))
        Path("{tmp_path}/ready").touch()
        time.sleep(600)
    """
    killed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], cwd=REPO)
    lab = Lab(name)
    try:
        until((tmp_path / "ready").exists)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left_of(name)
    finally:
        killed.kill()
        killed.wait()
        lab.down()
    assert left_of(name) == []
