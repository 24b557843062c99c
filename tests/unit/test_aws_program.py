"""The whole program on AWS under Pulumi's mocks: the stacks dev and prod as their files declare them."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import settings
from components.aws import effects, entrance, facts, healing, user_data
from components.aws.facts import IMAGE_PARAMETER
from components.aws.infrastructure import bucket_name
from components.aws.machines import device_path
from components.host import Role
from components.problems import Problems
from components.roles import ROLES
from tests.golden import same
from tests.unit.program import Mocks, Recorded, entry, mocked

ROOT = Path(__file__).parents[2]
FREE = ("t3.small", "t3.micro", "m7i-flex.large", "c7i-flex.large")
"""Types for accounts on the free plan."""
SIZES = {
    "c7i-flex.large": (2, 4096),
    "m7i-flex.large": (2, 8192),
    "t2.medium": (2, 4096),
    "t3.micro": (2, 1024),
    "t3.small": (2, 2048),
    "t3.medium": (2, 4096),
    "t3.large": (2, 8192),
    "t3.xlarge": (4, 16384),
    "m6i.large": (2, 8192),
    "m7i.large": (2, 8192),
    "t3a.medium": (2, 4096),
    "m6i.xlarge": (4, 16384),
    "m6i.2xlarge": (8, 32768),
    "m7g.large": (2, 8192),
    "m7g.xlarge": (4, 16384),
    "m6id.large": (2, 8192),
    "c6gd.large": (2, 4096),
    "i3.large": (2, 15616),
    "d3.xlarge": (4, 32768),
    "i4i.16xlarge": (64, 524288),
}
DISKS = {
    "m6id.large": (1, 118, "ssd"),
    "c6gd.large": (1, 118, "ssd"),
    "i3.large": (1, 475, "ssd"),
    "d3.xlarge": (3, 1980, "hdd"),
    "i4i.16xlarge": (4, 3750, "ssd"),
}
"""Instance stores: number of disks, GB, kind."""


def is_arm(name: str) -> bool:
    """Whether the instance type is one of Graviton's."""
    return "g" in name.partition(".")[0][2:]


class Refused(grpc.RpcError):
    """A refusal as a provider's plugin reports it."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return str(self.args[0])


@dataclass
class Aws(Mocks):
    """AWS, as far as the program queries it. `running` has the instance types of each role's machines, with `spot ` in
    front of a spot instance, and empty where a host has none.
    """

    zones: tuple[str, ...] = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
    running: Mapping[str, list[str]] = field(default_factory=dict)
    refuses: Mapping[str, str] = field(default_factory=dict)
    dns_names: bool = True
    """Whether the existing VPC has DNS host names"""
    spot: bool = False
    """Whether all machines are spot instances."""
    offered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Zones by instance type; the others are in all."""
    bucket_region: str = "eu-central-1"
    """Of buckets that exist."""
    ending: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Role → numbers of the hosts whose machines are shutting down."""
    placed: str = ""
    """The placement group that all machines are in."""
    newest: tuple[str, ...] = ()
    """Ids of the machines that have the newest image."""
    volumes: tuple[str, ...] = ()
    """Zones of the volumes with ZooKeeper's data."""
    root_volumes: tuple[str, ...] = ()
    """Zones of root volumes with the tags of a data volume."""
    profiles: Mapping[str, str] = field(default_factory=dict)
    """Instance profile → its role."""
    security_groups: Mapping[str, str] = field(default_factory=dict)
    """Security group → its VPC."""
    vpcs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """VPC → its tags."""
    subnet_size: int = 24
    """Length of the prefixes of existing subnets."""
    free_addresses: int = 200
    """In each of them."""

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """Answer a query."""
        name = args.token.rpartition(":")[2]
        if name in self.refuses:
            raise Refused(self.refuses[name])
        answer: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "getCallerIdentity": lambda _: {"accountId": "123456789012"},
            "getAvailabilityZones": lambda _: {"names": list(self.zones)},
            "getInstanceType": self._type,
            "getInstances": self._instances,
            "getInstanceTypeOfferings": lambda asked: {
                "locations": self.offered.get(asked["filters"][0]["values"][0], self.zones)
            },
            "getInstanceTypes": lambda _: {"instanceTypes": list(FREE)},
            "getEbsVolumes": self._volumes,
            "getParameter": lambda asked: {"insecureValue": f"ami-{asked['name'].rpartition('/')[2]}"},
            "getBucket": lambda asked: {"bucketRegion": self.bucket_region, "bucket": asked["bucket"]},
            "getVpc": lambda asked: {
                "enableDnsSupport": True,
                "enableDnsHostnames": self.dns_names,
                "tags": self.vpcs.get(asked["id"], {}),
            },
            "getInstanceProfile": lambda asked: {"name": asked["name"], "roleName": self.profiles[asked["name"]]},
            "getPolicy": lambda asked: {"arn": asked["arn"]},
            "getSecurityGroup": lambda asked: {"id": asked["id"], "vpcId": self.security_groups[asked["id"]]},
            "getSubnet": lambda asked: {
                "vpcId": "vpc-0123456789abcdef0",
                "availabilityZone": {"subnet-0123456789abcdef0": "eu-central-1a"}.get(asked["id"], "eu-central-1b"),
                "cidrBlock": f"10.1.{int(asked['id'][-1], 16)}.0/{self.subnet_size}",
                "availableIpAddressCount": self.free_addresses,
            },
        }
        return answer[name](dict(args.args))

    def _type(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["instanceType"]
        if name not in SIZES:
            raise Refused(f"InvalidInstanceType: The following supplied instance types do not exist: [{name}]")
        cpus, memory = SIZES[name]
        architecture = "arm64" if is_arm(name) else "x86_64"
        return {
            "instanceType": name,
            "defaultVcpus": cpus,
            "memorySize": memory,
            "supportedArchitectures": [architecture],
            "hypervisor": "xen" if name.startswith(("t2", "i3.")) else "nitro",
            "bareMetal": False,
            "supportedPlacementStrategies": ["partition", "spread"] + ["cluster"] * (not name.startswith("t")),
            "instanceDisks": [
                {"count": count, "size": size, "type": kind}
                for count, size, kind in ([DISKS[name]] if name in DISKS else [])
            ],
            "freeTierEligible": name in FREE,
        }

    def _instances(self, asked: dict[str, Any]) -> dict[str, Any]:
        filters = {entry["name"]: entry["values"] for entry in asked["filters"]}
        roles = filters.get("tag:role", [role.value for role in Role])
        if asked["instanceStateNames"] == ["shutting-down"]:
            found = {f"i-{role}-{index}": "" for role in roles for index in self.ending.get(role, ())}
        else:
            there = ((role, index, name) for role in roles for index, name in enumerate(self.running.get(role, [])))
            found = {f"i-{role}-{index}": name for role, index, name in there if name}
        checks: dict[str, Callable[[str, str, str], bool]] = {
            "instance-type": lambda id, name, value: name.removeprefix("spot ") == value,
            "instance-lifecycle": lambda id, name, value: self.spot or name.startswith("spot "),
            "image-id": lambda id, name, value: id in self.newest,
            "placement-group-name": lambda id, name, value: self.placed == value,
            "tag:Name": lambda id, name, value: value.endswith(
                f"{ROLES[Role(id.split('-')[1])].prefix}-{id.split('-')[2]}"
            ),
        }
        for key, check in checks.items():
            if key in filters:
                found = {
                    id: name for id, name in found.items() if any(check(id, name, value) for value in filters[key])
                }
        return {"ids": list(found)}

    def _volumes(self, asked: dict[str, Any]) -> dict[str, Any]:
        filters = {entry["name"]: entry["values"][0] for entry in asked["filters"]}
        zone = filters.get("availability-zone")
        if "attachment.device" in filters:
            return {"ids": [f"vol-{place}" for place in self.root_volumes]}
        return {"ids": [f"vol-{place}" for place in self.volumes if zone in (None, place)]}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record one registration."""
        _, outputs = super().new_resource(args)
        kind = args.typ.rpartition(":")[2]
        prefix = {"Instance": "i", "Volume": "vol", "Vpc": "vpc", "Subnet": "subnet"}.get(kind, kind.lower())
        made = f"{prefix}-{args.name}"
        if kind == "Instance":
            outputs |= {
                "privateIp": f"10.0.0.{len(self.found) % 250}",
                "publicIp": f"198.51.100.{len(self.found) % 250}",
            }
        elif kind == "PrivateKey":
            outputs |= {
                "privateKeyOpenssh": f"PRIVATE {args.name}",
                "publicKeyOpenssh": f"ssh-ed25519 AAAA{args.name}\n",
            }
        elif kind == "LoadBalancer":
            outputs |= {"dnsName": f"{args.inputs['name']}.elb.example", "arn": f"arn:{args.name}"}
        elif kind in ("TargetGroup", "Listener"):
            outputs |= {"arn": f"arn:{args.name}"}
        elif kind == "Record":
            outputs |= {"fqdn": args.inputs["name"]}
        return made, outputs


PLAIN = {"flink:tls": False, "flink:frontDoor": False}
"""Most tests here are about machines, not about what is installed on them."""


def configuration(stack: str, **changes: Any) -> dict[str, str]:
    """A stack's file as Pulumi reads it, without TLS and front door; None omits a key."""
    declared: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    # Tests cannot prompt
    declared |= {"flink:operatorCidrs": ["198.51.100.0/24"], **PLAIN}
    merged = {**declared, **{f"flink:{key}" if ":" not in key else key: value for key, value in changes.items()}}
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in merged.items()
        if value is not None
    }


def run(
    stack: str, mocks: Aws | None = None, *, preview: bool = False, secrets: Sequence[str] = (), **changes: Any
) -> dict[str, Recorded]:
    """The resources that the program registers."""
    mocks = mocks or Aws()
    pulumi.runtime.set_all_config(configuration(stack, **changes), [f"flink:{key}" for key in secrets])
    mocked(lambda: entry(ROOT / "__main__.py"), mocks, stack=stack, preview=preview)
    return mocks.found


def test_a_client_has_flink_no_daemon_and_no_rights_in_the_bucket() -> None:
    found = run("dev", clients=1)
    machine = of_type(found, ":Instance")["cl-0"]
    assert machine.inputs["instanceType"] == "t3.small"
    assert not machine.inputs.get("iamInstanceProfile") and not machine.inputs.get("instanceMarketOptions")
    assert machine.inputs["tags"]["role"] == "client"
    steps = {name.removeprefix("cl-0-") for name in of_type(found, "remote:Command") if name.startswith("cl-0-")}
    assert steps == {"probe", "system", "java", "flink", "config", "members"}
    rules = set(of_type(found, ":SecurityGroupIngressRule"))
    assert {"jobmanager-rest-client", "zookeeper-zk-client-client"} <= rules
    reached = {name for name in rules if name.startswith("client-")}
    assert reached == {"client-client-ssh-198.51.100.0-24"}
    assert "client" not in of_type(run("dev"), ":SecurityGroup"), "no group without machines"


def of_type(found: Mapping[str, Recorded], kind: str) -> dict[str, Recorded]:
    """Resources by name whose type has this suffix."""
    return {entry.name: entry for entry in found.values() if entry.type.endswith(kind)}


def stdin(found: Mapping[str, Recorded], name: str) -> str:
    value = found[name].inputs["stdin"]
    return str(value["value"] if isinstance(value, dict) else value)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize(("stack", "hosts"), [("dev", 7), ("prod", 8)])
def test_the_stacks_as_they_are_make_a_cluster(stack: str, hosts: int, preview: bool) -> None:
    found = run(stack, preview=preview)
    machines = of_type(found, ":Instance")
    assert len(machines) == hosts + (stack == "prod")
    if not preview:
        assert {name for name in found if name.endswith("-service")} == {
            f"{name}-service" for name in machines if name != "bastion"
        }
        assert "jm-0-cluster" in found
    for name, machine in machines.items():
        options = machine.inputs["metadataOptions"]
        assert options["httpTokens"] == "required" and options["httpPutResponseHopLimit"] == 1, name
        assert machine.inputs["rootBlockDevice"]["encrypted"] is True, name
        assert machine.inputs["rootBlockDevice"]["volumeType"] == "gp3", name
        assert machine.inputs["ami"] == "ami-amd64"
        assert {"project", "stack", "owner", "role", "Name"} <= machine.inputs["tags"].keys()


def test_no_key_of_aws_is_on_a_host_and_only_flink_has_a_profile() -> None:
    found = run("dev")
    assert not [name for name in found if name.endswith("-credentials")]
    assert "access-key" not in stdin(found, "jm-0-config")
    profiles = {name: "iamInstanceProfile" in entry.inputs for name, entry in of_type(found, ":Instance").items()}
    assert {name for name, has in profiles.items() if has} == {"jm-0", "jm-1", "tm-0", "tm-1"}


def test_prod_is_spread_private_and_behind_a_bastion() -> None:
    found = run("prod")
    subnets = of_type(found, ":Subnet")
    machines = of_type(found, ":Instance")
    zones = {
        name: subnets[entry.inputs["subnetId"].removeprefix("subnet-")].inputs["availabilityZone"]
        for name, entry in machines.items()
    }
    assert [zones[f"zk-{index}"][-1] for index in range(3)] == ["a", "b", "c"]
    assert [zones[f"tm-{index}"][-1] for index in range(3)] == ["a", "b", "c"]
    assert zones["jm-0"] != zones["jm-1"]
    public = {name for name, entry in machines.items() if entry.inputs["associatePublicIpAddress"]}
    assert public == {"bastion"}
    for name, step in found.items():
        if step.type == "command:remote:Command":
            connection = step.inputs["connection"]["value"]
            assert connection["proxy"]["hostKey"] == "ssh-ed25519 AAAAbastion-key", name
            assert connection["host"].startswith("10."), name
    assert len(of_type(found, ":NatGateway")) == 3


def test_host_keys_are_known_before_the_first_connection() -> None:
    found = run("dev")
    for name, machine in of_type(found, ":Instance").items():
        text = machine.inputs["userData"]
        text = text["value"] if isinstance(text, dict) else text
        content = yaml.safe_load(text)
        assert text.startswith("#cloud-config\n")
        assert content["ssh_keys"]["ed25519_public"] == f"ssh-ed25519 AAAA{name}-key"
        assert content["fqdn"] == f"{name}.dev.flink.internal"
        assert found[f"{name}-probe"].inputs["connection"]["value"]["hostKey"] == f"ssh-ed25519 AAAA{name}-key"


def test_zookeepers_data_has_a_volume_of_its_own_and_is_protected_in_prod() -> None:
    found = run("dev")
    assert set(of_type(found, ":Volume")) == {"zk-0-data", "zk-1-data", "zk-2-data"}
    assert all(entry.inputs["stopInstanceBeforeDetaching"] for entry in of_type(found, ":VolumeAttachment").values())
    assert device_path("vol-zk-0-data") in stdin(found, "zk-0-disk")
    assert "tm-0-disk" not in found


def test_memory_and_slots_come_from_the_instance_type() -> None:
    text = stdin(run("dev", taskManagerType="m6i.xlarge"), "tm-0-config")
    assert "taskmanager.numberOfTaskSlots: 4" in text
    assert "taskmanager.memory.process.size: 13440m" in text  # 15/16 of 16 GiB, less an eighth


def test_one_worker_more_updates_the_jobmanagers_only() -> None:
    before, after = run("dev"), run("dev", workers=3)
    # Mocks assign addresses in turn; a host's user data is otherwise the same
    told = {name for name in before if name.endswith(("-members", "-service", "-config"))}
    changed = {name for name in told if "tm-2" in stdin(after, name)}
    assert changed == {"jm-0-members", "jm-1-members"}


def test_machines_of_another_type_wait_for_each_other_and_nobody_waits_for_their_probes() -> None:
    there = {"taskmanager": ["m6i.large"] * 4, "jobmanager": ["t3.medium"] * 2, "zookeeper": ["t3.small"] * 3}
    for at_once in (1, 2):
        found = run("dev", Aws(running=there), workers=4, taskManagerType="m6i.xlarge", maxUnavailable=at_once)
        order = [f"{entry.type.rpartition(':')[2]} {entry.name}" for entry in found.values()]
        for index in range(at_once, 4):
            service = order.index(f"Command tm-{index - at_once}-service")
            assert service < order.index(f"Instance tm-{index}"), order
        assert order.index(f"Instance tm-{at_once - 1}") < order.index("Command tm-0-service")
        assert order.index("Instance jm-1") < order.index("Command jm-0-service"), "their type is unchanged"


@pytest.mark.parametrize(("is_spot", "expected"), [(False, True), (True, False)])
def test_a_change_to_spot_or_back_is_one_machine_after_the_other(is_spot: bool, expected: bool) -> None:
    there = Aws(running={"taskmanager": ["m6i.large"] * 2}, spot=is_spot)
    order = [
        f"{step.type.rpartition(':')[2]} {step.name}" for step in run("dev", there, taskManagerSpot=expected).values()
    ]
    assert order.index("Command tm-0-service") < order.index("Instance tm-1")


@pytest.mark.parametrize(
    ("role", "key", "prefix"), [("jobmanager", "jobManagerType", "jm"), ("zookeeper", "zookeeperType", "zk")]
)
def test_the_others_are_replaced_one_after_the_other_too(role: str, key: str, prefix: str) -> None:
    there = Aws(running={role: ["t3.xlarge"] * 3})
    other: dict[str, Any] = {key: "t3.large"}
    order = [f"{step.type.rpartition(':')[2]} {step.name}" for step in run("dev", there, **other).values()]
    assert order.index(f"Command {prefix}-0-service") < order.index(f"Instance {prefix}-1")


def test_all_machines_at_once_wait_for_their_own_kind_only() -> None:
    there = {"taskmanager": ["t3.xlarge"] * 2, "jobmanager": ["t3.xlarge"] * 2, "zookeeper": ["t3.xlarge"] * 3}
    assert "jm-0-cluster" in run("dev", Aws(running=there))


def test_a_cluster_that_cannot_be_declared_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr("components.flink.cluster.Cluster._works", broken)
    with pytest.raises(ValueError, match="no such thing"):
        run("dev", Aws(running={"taskmanager": ["t3.large"] * 2}))


def test_new_machines_wait_for_none() -> None:
    order = [f"{entry.type.rpartition(':')[2]} {entry.name}" for entry in run("dev", workers=4).values()]
    services = [place for place, name in enumerate(order) if name.endswith("-service")]
    assert max(place for place, name in enumerate(order) if name.startswith("Instance ")) < min(services)


def test_spot_is_for_taskmanagers() -> None:
    machines = of_type(run("dev", taskManagerSpot=True), ":Instance")
    assert {name for name, entry in machines.items() if "instanceMarketOptions" in entry.inputs} == {"tm-0", "tm-1"}


def test_zookeepers_volumes_and_no_others_get_snapshots_on_request() -> None:
    plain = run("dev")
    assert not of_type(plain, ":LifecyclePolicy") and "snapshots" not in of_type(plain, ":Role")
    assert all("snapshots" not in volume.inputs["tags"] for volume in of_type(plain, ":Volume").values())
    found = run("dev", zookeeperSnapshotDays=30)
    (policy,) = of_type(found, ":LifecyclePolicy").values()
    details = policy.inputs["policyDetails"]
    # Only one tag: volumes with any of several would be taken
    assert details["targetTags"] == {"snapshots": "flink-dev-eu-central-1-snapshots"}
    assert details["schedules"][0]["retainRule"] == {"interval": 30, "intervalUnit": "DAYS"}
    tagged = [
        entry.name for entry in found.values() if "flink-dev-eu-central-1-snapshots" in str(entry.inputs.get("tags"))
    ]
    assert sorted(tagged) == ["snapshots", "snapshots", "zk-0-data", "zk-1-data", "zk-2-data"]
    assert json.loads(of_type(found, ":Role")["snapshots"].inputs["assumeRolePolicy"])["Statement"][0]["Principal"] == {
        "Service": "dlm.amazonaws.com"
    }
    rights = json.loads(of_type(found, ":RolePolicy")["snapshots"].inputs["policy"])["Statement"]
    limited = {"StringEquals": {"aws:ResourceTag/snapshots": "flink-dev-eu-central-1-snapshots"}}
    assert [one.get("Condition") for one in rights if "ec2:DeleteSnapshot" in one["Action"]] == [limited]


def test_the_bucket_keeps_old_versions_on_request_for_so_many_days() -> None:
    assert not of_type(run("prod"), ":BucketVersioning")
    found = run("prod", versionDays=14)
    assert of_type(found, ":BucketVersioning")["bucket"].inputs["versioningConfiguration"] == {"status": "Enabled"}
    rules = {rule["id"]: rule for rule in of_type(found, ":BucketLifecycleConfiguration")["bucket"].inputs["rules"]}
    assert rules["old-versions"]["noncurrentVersionExpiration"] == {"noncurrentDays": 14}
    # No rule deletes a current version, except of savepoints
    assert rules["old-versions"]["expiration"] == {"expiredObjectDeleteMarker": True}
    assert [name for name, rule in rules.items() if "days" in rule.get("expiration", {})] == []


def test_the_machines_of_a_role_are_in_its_placement_group() -> None:
    assert of_type(run("dev"), ":PlacementGroup") == {}
    found = run("dev", taskManagerPlacement="cluster", zookeeperPlacement="spread", jobManagerPlacement="partition")
    groups = {one.inputs["name"]: one.inputs for one in of_type(found, ":PlacementGroup").values()}
    assert {name: one["strategy"] for name, one in groups.items()} == {
        "flink-dev-jm-partition": "partition",
        "flink-dev-tm-cluster": "cluster",
        "flink-dev-zk-spread": "spread",
    }
    assert groups["flink-dev-jm-partition"]["partitionCount"] == 7
    places = {name: one.inputs["placementGroup"] for name, one in of_type(found, ":Instance").items()}
    assert {f"{name[:2]} {place}" for name, place in places.items()} == {
        "jm flink-dev-jm-partition", "tm flink-dev-tm-cluster", "zk flink-dev-zk-spread"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("placed", "expected", "replaced"),
    [("", "", 0), ("", "spread", 2), ("flink-dev-tm-spread", "", 2), ("flink-dev-tm-spread", "spread", 0),
     ("flink-dev-tm-spread", "partition", 2)],
)  # fmt: skip
def test_machines_that_move_to_another_placement_group_wait_for_each_other(
    placed: str, expected: str, replaced: int
) -> None:
    there = Aws(running={"taskmanager": ["m6i.large", "m6i.large"]}, placed=placed)
    order = [
        f"{step.type.rpartition(':')[2]} {step.name}"
        for step in run("dev", there, taskManagerPlacement=expected).values()
    ]
    waits = order.index("Instance tm-1") > order.index("Command tm-0-service")
    assert waits == bool(replaced)


def test_spot_taskmanagers_watch_for_notices_and_other_machines_do_not() -> None:
    assert [name for name in run("dev") if name.endswith("-spot")] == []
    found = run("dev", taskManagerSpot=True)
    assert sorted(name for name in found if name.endswith("-spot")) == ["tm-0-spot", "tm-1-spot"]
    assert '"rebalance": false' in stdin(found, "tm-0-spot")
    both = run("dev", taskManagerSpot=True, taskManagerRebalance=True)
    assert '"rebalance": true' in stdin(both, "tm-0-spot")
    # It reads the free slots from JobManagers
    assert "jobmanager-free-slots-taskmanager" in of_type(both, ":SecurityGroupIngressRule")
    assert "jobmanager-free-slots-taskmanager" not in of_type(found, ":SecurityGroupIngressRule")
    names = ["jm-0.dev.flink.internal", "jm-1.dev.flink.internal"]
    assert all(name in stdin(found, "tm-1-spot") for name in names)


def test_with_session_manager_nothing_is_open_and_the_steps_go_through_a_local_tunnel() -> None:
    prod: dict[str, Any] = {"owner": "me", "access": "ssm", "operatorCidrs": [], "tunnelPort": 2200}
    found = run("prod", **prod)
    rules = of_type(found, ":SecurityGroupIngressRule")
    assert rules and not [name for name, entry in rules.items() if "cidrIpv4" in entry.inputs]
    assert not [name for name in rules if name.startswith("bastion-")]
    machines = of_type(found, ":Instance")
    assert machines["bastion"].inputs["iamInstanceProfile"] == "flink-prod-eu-central-1-entrance"
    assert "amazon-ssm-agent.deb" in machines["bastion"].inputs["userData"]
    assert "amazon-ssm-agent.deb" not in machines["jm-0"].inputs["userData"]
    connection = found["tm-0-java"].inputs["connection"]
    proxy = connection.get("value", connection)["proxy"]
    assert (proxy["host"], proxy["port"]) == ("127.0.0.1", 2200)
    plain = of_type(run("prod", owner="me", operatorCidrs=["198.51.100.0/24"]), ":Instance")["bastion"].inputs
    assert "iamInstanceProfile" not in plain and "ssm" not in plain["userData"]


def test_the_agent_is_checked_where_a_checksum_is_given() -> None:
    text = entrance.install("cn-north-1", entrance.Agent(version="3.3.1345.0", checksum="0" * 64))
    assert "https://s3.cn-north-1.amazonaws.com.cn/amazon-ssm-cn-north-1/3.3.1345.0/debian_" in text
    assert f"echo '{'0' * 64}  agent.deb' | sha256sum --check && " in text
    assert "sha256sum" not in entrance.install("eu-central-1", entrance.Agent(version="latest", checksum=""))


def test_arm_machines_get_an_arm_image() -> None:
    machines = of_type(run("dev", taskManagerType="m7g.large"), ":Instance")
    assert machines["tm-0"].inputs["ami"] == "ami-arm64"
    assert machines["jm-0"].inputs["ami"] == "ami-amd64"


def test_an_existing_vpc_is_used_and_nothing_of_it_is_made() -> None:
    ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    found = run("dev", vpcId="vpc-0123456789abcdef0", subnetIds=ids, zones=2)
    kinds = {entry.type for entry in found.values()}
    assert not {kind for kind in kinds if kind.endswith((":Vpc", ":Subnet", ":RouteTable", ":InternetGateway"))}
    assert of_type(found, ":Instance")["tm-1"].inputs["subnetId"] == ids[1]


def test_the_stacks_let_in_who_deploys_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the files as they are, only credentials are needed."""
    for stack in ("dev", "prod"):
        assert yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]["flink:operatorCidrs"] == ["auto"]
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: BytesIO(b"198.51.100.77\n"))
    found = run("dev", operatorCidrs=["auto", "203.0.113.0/24"])
    rules = of_type(found, ":SecurityGroupIngressRule").values()
    assert {rule.inputs["cidrIpv4"] for rule in rules if "cidrIpv4" in rule.inputs} == {
        "198.51.100.77/32",
        "203.0.113.0/24",
    }
    monkeypatch.undo()
    monkeypatch.setattr(facts, "WHO_AM_I", "http://127.0.0.1:1/")
    with pytest.raises(Exception, match=r"operatorCidrs: auto: .* does not report the address of this machine"):
        run("dev", operatorCidrs=["auto"])


def test_an_existing_vpc_without_dns_names_is_refused() -> None:
    ids = ["subnet-0123456789abcdef0"]
    with pytest.raises(Exception, match="vpcId: vpc-0123456789abcdef0 has no DNS host names"):
        run("dev", Aws(dns_names=False), vpcId="vpc-0123456789abcdef0", subnetIds=ids)


def test_iops_and_throughput_are_those_of_the_keys_and_otherwise_not_declared() -> None:
    assert "'iops'" not in str([one.inputs for one in run("dev").values()])
    found = run(
        "dev",
        taskManagerDiskIops=6000,
        taskManagerDiskThroughput=500,
        zookeeperDataIops=4000,
        zookeeperDataThroughput=250,
    )
    disks = {one.name: one.inputs["rootBlockDevice"] for one in of_type(found, ":Instance").values()}
    assert {(disks[name]["iops"], disks[name]["throughput"]) for name in ("tm-0", "tm-1")} == {(6000, 500)}
    assert [name for name, disk in disks.items() if "iops" in disk] == ["tm-0", "tm-1"]
    assert {(one.inputs["iops"], one.inputs["throughput"]) for one in of_type(found, ":Volume").values()} == {
        (4000, 250)
    }


def test_flink_uses_the_disks_of_the_machines_on_request_and_all_of_them() -> None:
    def config(name: str, **changes: Any) -> dict[str, str]:
        steps = of_type(run("dev", taskManagerType=name, **changes), "remote:Command")
        return {what: stdin(steps, f"tm-0-{what}") for what in ("config", "service")}

    one = config("m6id.large", taskManagerInstanceStore=True)
    assert "\nio.tmp.dirs: /var/lib/flink/local-0\n" in one["config"]
    assert "\nstate.backend.rocksdb.localdir: /var/lib/flink/local-0\n" in one["config"]
    tool = "ExecStartPre=+/usr/bin/nsenter --target=1 --mount /usr/local/lib/flink/local-disks flink"
    assert f"\n{tool} /var/lib/flink/local-0\n" in one["service"]
    several = config("i4i.16xlarge", taskManagerInstanceStore=True)
    directories = [f"/var/lib/flink/local-{number}" for number in range(4)]
    assert f"\nstate.backend.rocksdb.localdir: {','.join(directories)}\n" in several["config"]
    assert f"local-disks flink {' '.join(directories)}\n" in several["service"]
    unasked = config("m6id.large")
    assert "\nio.tmp.dirs: /var/lib/flink/tmp\n" in unasked["config"]
    assert "local-" not in unasked["config"] + unasked["service"]


def test_only_machines_whose_disks_are_used_mount_them() -> None:
    found = of_type(run("dev", taskManagerType="m6id.large", taskManagerInstanceStore=True), "remote:Command")
    assert sorted(name for name in found if name.endswith("-local-disks")) == ["tm-0-local-disks", "tm-1-local-disks"]


KMS = "aws:kms:eu-central-1:123456789012:key/"
KEY_ID = "0123abcd-0123-0123-0123-0123456789ab"
OWN_BUCKET: dict[str, Any] = {"storageUri": "s3://my-bucket/x", "savepointDays": None}
OWN_VPC = {"vpcId": "vpc-0123456789abcdef0", "subnetIds": ["subnet-0123456789abcdef0"]}
ALONE = {"jobManagers": 1, "zookeepers": 0}

HEALING: dict[str, Any] = {
    "healingUrl": "https://api.github.com/repos/o/r/actions/workflows/heal.yml/dispatches",
    "healingToken": "github_pat_1",
}
SESSION: dict[str, Any] = {"access": "ssm", "operatorCidrs": []}

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("dev", {"aws:region": None}, "aws:region: '' is not a region"),
    ("dev", {"owner": None}, "owner: '' is not a valid tag"),
    ("dev", {"vpcCidr": "10.0.0.0/26"}, "vpcCidr: 10.0.0.0/26 is too small"),
    ("dev", {"vpcCidr": "10.0.0.0/25", "workers": 50}, "vpcCidr: 10.0.0.0/25 is too small"),
    ("dev", {"vpcCidr": "10.0.0.5/16"}, "vpcCidr: 10.0.0.5/16 has host bits set"),
    ("dev", {"operatorCidrs": ["10.0.3.0/24"]}, "operatorCidrs: 10.0.3.0/24 overlaps vpcCidr 10.0.0.0/16"),
    ("dev", {"operatorCidrs": ["0.0.0.0/0"]}, "operatorCidrs: 0.0.0.0/0 is the whole internet"),
    ("dev", {"operatorCidrs": ["::/0"]}, "operatorCidrs: ::/0 is the whole internet"),
    ("dev", {"operatorCidrs": ["0.0.0.0/1", "128.0.0.0/1"]}, "operatorCidrs: 0.0.0.0/1 is a large part of"),
    ("dev", {"operatorCidrs": []}, "operatorCidrs: is missing"),
    ("dev", {"taskManagerType": "m6i.huge"}, "taskManagerType: 'm6i.huge' is not an instance type of this region"),
    ("dev", {"taskManagerType": "large"}, "taskManagerType: 'large' is not an instance type"),
    ("dev", {"jobManagerType": "t3.micro"},
     "jobManagerType: t3.micro has 960 MiB, but the system and a jobmanager need 1984: expected t3.medium or larger"),
    ("prod", {"kmsKey": f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"}, "kmsKey: arn:aws:kms:eu-west-1:123456789"),
    ("prod", {"bastion": False}, "bastion: is false, but the private subnets of a new VPC are reachable only"),
    ("prod", {"bastion": False, "operatorCidrs": ["auto"], "vpcId": "vpc-0123456789abcdef0", "natGateways": "none"},
     "operatorCidrs: auto is a public address"),
    ("dev", {"storageUri": "s3://my-bucket"}, "storageUri: 's3://my-bucket' has no prefix, or has * in it"),
    ("dev", {"storageUri": "s3://my-bucket/a*"}, "storageUri: 's3://my-bucket/a*' has no prefix, or has * in it"),
    ("dev", {"zookeeperType": "t2.medium"}, "zookeeperType: t2.medium is not a Nitro type"),
    ("dev", {"zones": 4}, "zones: 4 is out of range: expected 1 to 3"),
    ("dev", {"workers": 0}, "workers: 0 is out of range: expected 1 to"),
    ("dev", {"jobManagers": 0}, "jobManagers: 0 is out of range"),
    ("dev", {"zookeepers": 2}, "zookeepers: has 2 zookeeper: expected 3, 5 or 7"),
    ("dev", {"zookeepers": 0}, "zookeepers: has 2 JobManagers and no zookeeper"),
    ("dev", {"bucketName": "My_Bucket"}, "bucketName: 'My_Bucket' is not a bucket name"),
    ("dev", {"bucketName": "xn--bucket"}, "bucketName: 'xn--bucket' is not a bucket name"),
    ("dev", {"expires": "tomorrow"}, "expires: 'tomorrow' is not a time with a zone"),
    ("prod", {"expires": "2030-01-31T18:00:00Z"}, "expires: 2030-01-31T18:00:00Z is set, but ephemeral is false"),
    ("prod", {"natGateways": "none"}, "natGateways: is none, so hosts in private subnets cannot download archives"),
    ("prod", {"natGateways": "two"}, "natGateways: 'two' is unknown"),
    ("dev", {"bastion": True}, "bastion: has no effect while hosts have public addresses"),
    ("prod", {"kmsKey": "my-key"}, "kmsKey: 'my-key' is not the ARN of one KMS key"),
    ("prod", {"kmsKey": "arn:aws:kms:eu-central-1:123456789012:alias/x"}, "kmsKey: 'arn:aws:kms:eu-central-1:1234567"),
    ("dev", {"aws:region": "us-iso-east-1"}, "aws:region: "),
    ("dev", {"operatorCidrs": [f"203.0.113.{n}/32" for n in range(16)]}, "operatorCidrs: has 16 networks: expected 15"),
    ("dev", {"inventory": "hosts.yaml"}, "inventory: has no effect with provider aws"),
    ("dev", {"firewall": False}, "firewall: has no effect with provider aws"),
    ("dev", {"storageAccessKey": "AK"}, "storageAccessKey: has no effect with provider aws"),
    ("dev", {"vpcId": "vpc-0123456789abcdef0"}, "subnetIds: has 0 subnets: expected 1"),
    ("dev", {"subnetIds": ["subnet-1"]}, "subnetIds: is set, but vpcId is not"),
    ("dev", {"adminKeyFile": "/nowhere/key"}, "adminKeyFile: /nowhere/key cannot be read"),
    *(("dev", {"taskManagerType": name, "taskManagerInstanceStore": True},
       f"taskManagerInstanceStore: {name} has no NVMe instance store: expected a taskManagerType with one")
      for name in ("m6i.large", "i3.large", "d3.xlarge")),
    ("dev", {"taskManagerType": "m7g.large", "javaUrl": "https://mirror/x64.tgz"},
     "javaUrl: https://mirror/x64.tgz is one archive, but the machines have two architectures (amd64: "),
    ("dev", {"taskManagerType": "m7g.large", "javaUrl": "https://mirror/jdk_{arch}.tgz",
             "javaChecksum": "sha256:" + "a" * 64},
     "javaChecksum: is the digest of one archive, but the machines have two architectures (amd64: "),
    ("dev", {"jobManagerPlacement": "cluster"},
     "jobManagerPlacement: t3.medium cannot be in a placement group with cluster: expected partition, spread, "),
    ("dev", {"provider": "gcp"}, "provider: 'gcp' is unknown: expected existing or aws"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stack", "changes", "said"), BAD, ids=[said.split(":")[0] + str(n) for n, (_, _, said) in enumerate(BAD)]
)
def test_what_cannot_be_is_refused_before_anything_is_declared(
    stack: str, changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    mocks = Aws()
    with pytest.raises(Exception) as error:
        run(stack, mocks, **changes)
    assert f"  - {said}" in str(error.value)
    assert "nothing was changed" in str(error.value)
    assert not [entry for entry in mocks.found.values() if entry.type != "pulumi:pulumi:Stack"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    # Where the storage is
    ({"storageRegion": "eu-west-1"}, "storageRegion: 'eu-west-1' is not where the bucket is created: expected"),
    *(({"storageUri": f"s3://my-bucket/{path}"}, f"storageUri: 's3://my-bucket/{path}' has an empty, . or .. segment")
      for path in ("x//y", "./x", "x/./y", "x/../y", "x/..", "..", "/x")),
    # Keys of KMS
    *(({"kmsKey": f"arn:{arn}"}, f"kmsKey: {'arn:' + arn!r} is not the ARN of one KMS key")
      for arn in (f"{KMS}*", KMS, f"{KMS}alias/x", f"{KMS}{KEY_ID}/*", f"{KMS}{KEY_ID}\n", f"{KMS}{KEY_ID[1:]}",
                  KMS.replace("key/", "alias/") + "x", KMS.replace("12:", "1\u0662:") + KEY_ID)),
    ({"kmsKey": f"arn:{KMS}{KEY_ID}".replace("aws:", "aws-cn:")},
     f"kmsKey: arn:aws-cn:{KMS[4:]}{KEY_ID} is in another partition"),
    # Times
    *(({"expires": text}, f"expires: {text!r} is not a time with a zone")
      for text in ("2030-01-31", "2030-01-31T18:00:00", "20300131T180000Z", "2030-W05-4T18:00:00Z", "2030-01-31T18Z",
                   "2030-01-31 18:00:00Z", "2030-01-31T18:00:00+01", "2030-01-31T18:00:00+01:00:30",
                   "2030-02-30T18:00:00Z", "2030-01-31T18:00:00Z\n", "203\u0660-01-31T18:00:00Z")),
    ({"expires": "9999-12-31T23:59:59-12:00"}, "expires: 9999-12-31T23:59:59-12:00 is not in the years 1 "),
    # Disks
    *(({"taskManagerDiskIops": iops}, f"taskManagerDiskIops: {iops} is out of range: expected 0, or 3000 to 80000 IOPS")
      for iops in (-1, 1, 2999, 80001)),
    *(({"taskManagerDiskThroughput": number}, f"taskManagerDiskThroughput: {number} is out of range: expected 0, or")
      for number in (-1, 124, 2001)),
    ({"taskManagerDiskIops": 25001}, "taskManagerDiskIops: 25001 exceeds 500 for each GiB of a disk of 50: expected"),
    ({"taskManagerDiskThroughput": 751}, "taskManagerDiskThroughput: 751 MiB/s need 3004 IOPS, and there are 3000: "),
    ({"zookeeperDataIops": 5001}, "zookeeperDataIops: 5001 exceeds 500 for each GiB of a disk of 10: expected 5000 at"),
    ({"zookeeperDataThroughput": 2000}, "zookeeperDataThroughput: 2000 MiB/s need 8000 IOPS, and there are 3000: "),
    # Placement groups
    ({"taskManagerPlacement": "near"}, "taskManagerPlacement: 'near' is unknown: expected spread, partition, "),
    ({"taskManagerPlacement": "spread", "workers": 8},
     "taskManagerPlacement: spread puts at most 7 machines into a zone, and 8 in 1 zones are 8: expected 7 machines"),
    ({"taskManagerPlacement": "spread", "workers": 22, "zones": 3},
     "taskManagerPlacement: spread puts at most 7 machines into a zone, and 22 in 3 zones are 8: expected 21 machines"),
    ({"taskManagerPlacement": "cluster", "zones": 3},
     "taskManagerPlacement: cluster is for machines in one zone, and they are in 3: expected taskManagerZones: 1"),
    ({"jobManagerPlacement": "cluster", "zones": 2},
     "jobManagerPlacement: cluster is for machines in one zone, and they are in 2: expected zones: 1"),
    # Keys that have no effect beside others
    ({"storageUri": "s3://my-bucket/x", "savepointDays": 30}, "savepointDays: has no effect with storageUri"),
    ({"bastionType": "t3.small"}, "bastionType: has no effect without bastion"),
    ({**OWN_VPC, "vpcCidr": "10.9.0.0/16"}, "vpcCidr: has no effect with vpcId"),
    ({"clientType": "t3.medium"}, "clientType: has no effect without clients"),
    ({"clientDiskGiB": 30}, "clientDiskGiB: has no effect without clients"),
    *(({**ALONE, key: value}, f"{key}: has no effect without zookeepers")
      for key, value in (("zookeeperType", "t3.medium"), ("zookeeperDiskGiB", 30), ("zookeeperDataGiB", 30),
                         ("zookeeperDataIops", 4000), ("zookeeperDataThroughput", 200),
                         ("zookeeperPlacement", "spread"), ("zookeeperSnapshotDays", 7))),
    ({"storageUri": "s3://my-bucket/x", "savepointDays": None, "versionDays": 7}, "versionDays: has no effect with "),
    ({"zookeeperSnapshotDays": 1001}, "zookeeperSnapshotDays: 1001 is out of range: expected 0 to 1000"),
    ({"versionDays": -1}, "versionDays: -1 is out of range: expected 0 to 3650"),
    ({"taskManagerRebalance": True}, "taskManagerRebalance: has no effect without taskManagerSpot"),
    # Lost machines
    *(({"healingUrl": url}, f"healingUrl: {url!r} is no API that starts a CI run")
      for url in ("https://api.github.com/repos/o/r/dispatches", HEALING["healingUrl"].replace("https", "http"),
                  HEALING["healingUrl"] + "?x=y")),
    ({"healingUrl": "https://u:p@gitlab.com/api/v4/projects/1/trigger/pipeline"}, "healingUrl: 'https://…@gitlab.com/"),
    ({"healingUrl": HEALING["healingUrl"] + "\n"}, r"healingUrl: "),
    ({"healingUrl": HEALING["healingUrl"]}, "healingToken: is missing: expected `pulumi config set --secret healing"),
    ({**HEALING, "healingRef": "-x"}, "healingRef: '-x' is not a branch"),
    ({**HEALING, "healingRef": 'a"b'}, "healingRef: 'a\"b' is not a branch"),
    ({**HEALING, "healingToken": "a token"}, "healingToken: is not a token"),
    ({**HEALING, "healingToken": "token"}, "healingToken: is in plain text"),
    ({**HEALING, "instanceProfile": "x"}, "healingUrl: needs a role that the stack creates"),
    ({**SESSION, "instanceProfile": "x"}, "access: needs a role that the stack creates"),
    ({"healingRef": "release"}, "healingRef: has no effect without healingUrl"),
    # Session Manager
    ({"access": "ssm", "operatorCidrs": []}, "access: is ssm, which reaches the hosts through a bastion"),
    ({"access": "vpn"}, "access: 'vpn' is unknown: expected ssh or ssm"),
    ({"access": "ssm"}, "operatorCidrs: has no effect with access: ssm"),
    ({"tunnelPort": 2200}, "tunnelPort: has no effect without access: ssm"),
    ({**SESSION, "tunnelPort": 22}, "tunnelPort: 22 is out of range: expected 1024 to 65535"),
    ({**SESSION, "ssmAgentVersion": "3.3/x"}, "ssmAgentVersion: '3.3/x' is not a version"),
    ({**SESSION, "ssmAgentChecksum": "0" * 64}, "ssmAgentVersion: is latest, which has another checksum with each"),
    ({**SESSION, "ssmAgentVersion": "3.3.1345.0", "ssmAgentChecksum": "x"}, "ssmAgentChecksum: 'x' is no checksum"),
    ({"operatorCidrs": ["2001:db8::/32"]}, "operatorCidrs: has only IPv6 networks"),
    # The whole text, in ASCII
    ({"aws:region": "eu-central-1\n"}, r"aws:region: 'eu-central-1\n' is not a region"),
    ({"aws:region": "eu-central-\u0661"}, "aws:region: 'eu-central-\u0661' is not a region"),
    ({"owner": "team\n"}, r"owner: 'team\n' is not a valid tag"),
    ({"owner": "  "}, "owner: '  ' is not a valid tag"),
    ({"taskManagerType": "m6i.large\n"}, r"taskManagerType: 'm6i.large\n' is not an instance type"),
    ({"vpcId": "vpc-0123456789abcdef0\n"}, r"vpcId: 'vpc-0123456789abcdef0\n' is not a VPC id"),
    ({**OWN_VPC, "subnetIds": ["subnet-0123456789abcdef0\n"]}, r"subnetIds: 'subnet-0123456789abcdef0\n' is not"),
    ({"bucketName": "my-bucket\n"}, r"bucketName: 'my-bucket\n' is not a bucket name"),
    ({"bucketName": "my-bucket-s3alias\n"}, r"bucketName: 'my-bucket-s3alias\n' is not a bucket name"),
    ({"vpcCidr": "10.0.0.0/255.255.0.0"}, "vpcCidr: '10.0.0.0/255.255.0.0' is not in the notation of AWS: expected"),
    ({"vpcCidr": "10.0.0.0/016"}, "vpcCidr: '10.0.0.0/016' is not in the notation of AWS: expected 10.0.0.0/16"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"), REFUSED, ids=[f"{next(iter(one))}{n}" for n, (one, _) in enumerate(REFUSED)]
)
def test_what_needs_no_question_to_aws_is_refused_without_one(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration("dev", **changes), stack="dev")
    assert f"  - {said}" in str(error.value)


def test_all_keys_that_have_no_effect_are_keys() -> None:
    values = {key: entry["default"] for key, entry in settings.schema().items()}
    values |= {"zookeepers": 0, "vpcId": "x", "storageUri": "x"}
    told = Problems()
    effects.check(values, settings.schema(), told)
    assert {problem.partition(":")[0] for problem in told.found} <= set(settings.schema())


@pytest.mark.parametrize(
    "url",
    [
        HEALING["healingUrl"],
        "https://ghe.example.org/api/v3/repos/o/r/actions/workflows/heal.yml/dispatches",
        "https://gitlab.com/api/v4/projects/12/trigger/pipeline",
        "https://git.example.org:8443/gitlab/api/v4/projects/group%2Fproject/trigger/pipeline",
    ],
)
def test_the_apis_that_start_a_ci_run_are_taken(url: str) -> None:
    changes = {**HEALING, "healingUrl": url}
    found = settings.load(configuration("dev", **changes), stack="dev", secrets={"healingToken"}).site.healing
    assert (found.url, found.on_github) == (url, "repos" in url)


def test_a_rule_names_at_most_as_many_machines_as_a_pattern_can_have() -> None:
    ids = [f"i-{number:017x}" for number in range(healing.MACHINES_PER_RULE)]
    assert len(healing.pattern(ids)) <= 2048
    found = run("dev", secrets=["healingToken"], workers=50, **HEALING)
    rules = of_type(found, ":EventRule")
    named = [json.loads(it.inputs["eventPattern"])["detail"]["instance-id"] for it in rules.values()]
    assert sorted(map(len, named)) == [5, 50]
    assert of_type(found, ":EventTarget").keys() == rules.keys()
    assert len({name for names in named for name in names}) == len(of_type(found, ":Instance"))


def test_gitlab_gets_its_token_in_the_body() -> None:
    url = "https://gitlab.com/api/v4/projects/12/trigger/pipeline"
    found = run("dev", secrets=["healingToken"], **{**HEALING, "healingUrl": url})
    (connection,) = of_type(found, ":EventConnection").values()
    secret = connection.inputs["authParameters"]["value"]
    (body,) = secret["invocationHttpParameters"]["bodies"]
    assert (body["key"], body["isValueSecret"]) == ("token", True)
    (target,) = of_type(found, ":EventTarget").values()
    assert json.loads(target.inputs["inputTransformer"]["inputTemplate"]) == {"ref": "main"}


def test_a_key_that_has_an_effect_is_taken() -> None:
    for changes in (
        {"clients": 1, "clientType": "t3.medium"},
        OWN_BUCKET,
        {**OWN_BUCKET, "storageUri": "s3a://my-bucket/x/y.z/", "kmsKey": f"arn:{KMS}{KEY_ID}"},
        {"kmsKey": f"arn:{KMS}mrk-0123456789abcdef0123456789abcdef"},
        {"operatorCidrs": ["2001:db8::/32", "198.51.100.0/24"]},
        *({"expires": text} for text in ("2030-01-31T18:00:00.5+01:00", "2030-01-31T18:00:00-00:00")),
    ):
        settings.load(configuration("dev", **changes), stack="dev")


def key_pair(folder: Path, private: Any, public: Any = None, *, text: str | None = None) -> str:
    """A private key in `folder`, with a file beside it that has the public key of `public`, or `text`."""
    path = folder / "key"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    line = (public or private).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (folder / "key.pub").write_text(f"{line} me@here\n" if text is None else text)
    return str(path)


def test_a_pair_of_keys_is_taken(tmp_path: Path) -> None:
    for private in (Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)):
        found = settings.load(configuration("dev", adminKeyFile=key_pair(tmp_path, private)), stack="dev").site
        expected = (tmp_path / "key.pub").read_text().removesuffix(" me@here\n")
        assert found.admin_key.public == expected
        assert found.admin_key.private == (tmp_path / "key").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "key.pub is not the public key of {path}: expected the output of `ssh-keygen -y -f {path}`"),
        ("ssh-ed25519", "key.pub is not the public key of"),
        ('from="10.0.0.1" {own}', "key.pub is not the public key of"),
        ("{own}, {own}", "key.pub is not the public key of"),
        ("{other}", "key.pub is not the public key of"),
    ],
)
def test_a_public_key_of_another_pair_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """Machines would let in nobody: neither Pulumi nor operators have their private key."""
    private, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    lines = {
        name: key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        for name, key in (("own", private), ("other", other))
    }
    path = key_pair(tmp_path, private, text=text.format(**lines))
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration("dev", adminKeyFile=path), stack="dev")
    assert f"  - adminKeyFile: {tmp_path}/{said.format(path=path)}" in str(error.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "is of type ecdsa-sha2-nistp256: expected Ed25519 or RSA"),
        (lambda: rsa.generate_private_key(65537, 1024), "has 1024 bits: expected Ed25519, or RSA with 2048 or more"),
    ],
)
def test_a_key_that_machines_do_not_take_is_refused(make: Callable[[], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration("dev", adminKeyFile=key_pair(tmp_path, make())), stack="dev")
    assert f"  - adminKeyFile: {tmp_path}/key {said}" in str(error.value)


def test_a_key_that_openssh_does_not_have_is_refused(tmp_path: Path) -> None:
    for private in (ec.generate_private_key(ec.SECP256K1()), X25519PrivateKey.generate()):
        (tmp_path / "key").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(settings.ConfigError, match="is of a type that OpenSSH does not have: expected Ed25519 or"):
            settings.load(configuration("dev", adminKeyFile=str(tmp_path / "key")), stack="dev")


def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    key_pair(tmp_path, Ed25519PrivateKey.generate())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "key.pub").write_bytes(b"\xff\xfe")
    for name in ("~nosuchuser/key", "a\0b", f"{tmp_path}/pipe", f"{tmp_path}/key", f"{tmp_path}/key.pub", "/", "."):
        with pytest.raises(settings.ConfigError, match="  - adminKeyFile: "):
            settings.load(configuration("dev", adminKeyFile=name), stack="dev")


def test_a_bucket_that_exists_is_used_where_it_is() -> None:
    elsewhere = {**OWN_BUCKET, "kmsKey": f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"}
    found = run("dev", Aws(bucket_region="eu-west-1"), storageRegion="eu-west-1", **elsewhere)
    assert "s3.endpoint.region: eu-west-1" in stdin(found, "jm-0-config")
    rights = next(iter(of_type(found, ":RolePolicy").values())).inputs["policy"]
    assert "s3.eu-west-1.amazonaws.com" in rights and "my-bucket/x/*" in rights
    with pytest.raises(Exception, match="'eu-central-1' is not the region of the bucket my-bucket: expected eu-w"):
        run("dev", Aws(bucket_region="eu-west-1"), **OWN_BUCKET)
    with pytest.raises(Exception, match=r"kmsKey: .*:eu-central-1:.* is in another region: expected .* eu-west-1"):
        key = f"arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}"
        run("dev", storageRegion="eu-west-1", **{**elsewhere, "kmsKey": key})


def test_a_bucket_that_is_not_there_is_refused() -> None:
    missing = Aws(refuses={"getBucket": "reading S3 Bucket (my-bucket): couldn't find resource"})
    with pytest.raises(Exception, match="storageUri: the bucket my-bucket does not exist"):
        run("dev", missing, **OWN_BUCKET)


def test_a_bucket_that_only_hosts_may_ask_is_taken_as_it_is() -> None:
    closed = Aws(refuses={"getBucket": "operation error S3: HeadBucket, StatusCode: 403, api error Forbidden"})
    found = run("dev", closed, **OWN_BUCKET, storageRegion="eu-west-1")
    assert "s3.endpoint.region: eu-west-1" in stdin(found, "jm-0-config")


def test_another_s3_server_is_not_asked_by_amazons_names() -> None:
    nobody = Aws(refuses={"getBucket": "couldn't find resource"})
    run("dev", nobody, **OWN_BUCKET, storageEndpoint="http://10.0.0.5:9000")


def test_more_zones_than_the_region_has_are_refused() -> None:
    with pytest.raises(
        Exception, match=r"zones: 3 exceeds the zones of eu-central-1 that offer .*: eu-central-1a, eu-central-1b$"
    ):
        run("prod", Aws(zones=("eu-central-1a", "eu-central-1b")))


def test_missing_credentials_are_one_clear_error() -> None:
    mocks = Aws(refuses={"getCallerIdentity": "no valid credential sources found"})
    with pytest.raises(Exception) as error:
        run("dev", mocks)
    assert "AWS does not answer: " in str(error.value) and "AWS_PROFILE" in str(error.value)
    assert not of_type(mocks.found, ":Vpc")


def test_an_ensemble_cannot_be_spread_over_other_zones() -> None:
    a, b, c = Aws().zones
    for stack, volumes in (("dev", (a, b, c)), ("prod", (a, a, a)), ("prod", ("eu-central-1d", b, c))):
        with pytest.raises(Exception, match=r"zones: \d would move ZooKeeper hosts to other zones"):
            run(stack, Aws(volumes=volumes))
    run("prod", Aws(volumes=(a, b, c)))
    # The plugin takes the tags of all volumes of a machine for one set
    run("prod", Aws(volumes=(a, b, c, "root"), root_volumes=("root",)))
    run("prod", Aws(volumes=(a, c)))  # one more server is planned, or one was never created
    run("prod", Aws(volumes=(a, b, c)), zookeepers=5)


def test_zones_are_those_that_have_every_type() -> None:
    a, b, c = Aws().zones
    found = run("dev", Aws(offered={"m6i.large": (b, c)}))
    assert {entry.inputs["availabilityZone"] for entry in of_type(found, ":Subnet").values()} == {b}
    with pytest.raises(Exception, match=r"zones: 3 exceeds the zones of eu-central-1 that offer .*m6i\.xlarge"):
        run("prod", Aws(offered={"m6i.xlarge": (a, c)}))
    ids = ["subnet-0123456789abcdef0"]
    with pytest.raises(Exception, match=f"taskManagerType: m6i.large is not available in {a}"):
        run("dev", Aws(offered={"m6i.large": (b, c)}), vpcId="vpc-0123456789abcdef0", subnetIds=ids)


def test_the_user_data_stays_as_it_is() -> None:
    """Existing machines keep theirs; a change here only affects new ones, and needs a reason."""
    text = user_data.cloud_config("tm-0", "dev.flink.internal", "ssh-ed25519 A\n", "KEY\n", "ssh-ed25519 H\n")
    same(Path(__file__).parent / "golden" / "user-data.yaml", text)


def test_names_of_buckets_fit() -> None:
    assert bucket_name("flink", "dev", "123456789012", "eu-central-1") == "flink-dev-123456789012-eu-central-1"
    long = bucket_name("flink", "a" * 60, "123456789012", "eu-central-1")
    assert len(long) == 63 and long != bucket_name("flink", "a" * 61, "123456789012", "eu-central-1")
    assert IMAGE_PARAMETER.format(architecture="amd64").endswith("/debian/release/12/latest/amd64")
