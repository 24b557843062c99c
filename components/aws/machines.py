"""The machines: spread over the zones, with host keys that are known before they boot, and with DNS names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls
from pulumi_aws import ebs, ec2, route53

from .. import naming
from ..host import Host, Notices, Role, Service, Ssh
from ..naming import Labels
from ..roles import ROLES, Replacement
from . import placement, snapshots, user_data
from .capacity import SPOT
from .declaration import AwsSettings, GroupSettings
from .disks import ORDINARY, Performance
from .entrance import LOCAL, Agent, install
from .facts import Facts
from .network import Network
from .security import BASTION, Security

DNS_SECONDS = 10
"""TTL of DNS records: for this long a client may still use the address of a replaced machine."""

DATA_DEVICE = "/dev/sdf"
"""Device name in the request to AWS. The machine finds the volume by its id instead."""


@dataclass(frozen=True, kw_only=True)
class MachinesArgs:
    """Arguments of `Machines`."""

    settings: AwsSettings
    facts: Facts
    labels: Labels
    network: Network
    security: Security
    profiles: Mapping[Role, pulumi.Input[str]]
    """Names of the instance profiles, for the roles that use the bucket."""
    entrance: pulumi.Input[str] | None = None
    """Name of the instance profile for the bastion."""


class Machines(pulumi.ComponentResource):
    """All machines of the stack: `hosts` of the cluster, and the `bastion`, if any, through which they are reached."""

    hosts: list[Host]
    ids: list[pulumi.Output[str]]
    """Of all instances."""
    bastion: Ssh | None
    bastion_id: pulumi.Output[str] | None
    admin_key: pulumi.Output[str]
    """The private key of the user `admin`, a secret."""

    def __init__(self, name: str, args: MachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Machines"), name, None, opts)
        self._args = args
        self.ids = []
        self.admin_key, self._admin_public = self._admin()
        self.bastion_id = None
        self.bastion = self._bastion() if args.settings.bastion else None
        self.hosts = [host for role in Role for host in self._group(role, args.settings.groups[role])]
        self.register_outputs({"hosts": [host.name for host in self.hosts]})

    # Keys

    def _admin(self) -> tuple[pulumi.Output[str], pulumi.Input[str]]:
        given = self._args.settings.admin_key
        if given:
            return pulumi.Output.secret(given.private), given.public
        made = self._key("admin")
        return made.private_key_openssh, made.public_key_openssh

    def _key(self, name: str) -> tls.PrivateKey:
        return tls.PrivateKey(f"{name}-key", algorithm="ED25519", opts=pulumi.ResourceOptions(parent=self))

    # Machines

    def _bastion(self) -> Ssh:
        assert self._args.network.bastion_subnet is not None, "the settings allow no bastion without a subnet for it"
        key = self._key(BASTION)
        machine = self._instance(
            BASTION,
            key,
            instance_type=self._args.settings.bastion_type,
            subnet_id=self._args.network.bastion_subnet,
            public=True,
            groups=[self._args.security.bastion],
            role=BASTION,
            profile=self._args.entrance,
            entrance=True,
            fresh=self._args.facts.fresh_bastion,
        )
        self.bastion_id = machine.id
        session = self._args.settings.session
        if session is None:
            return self._ssh(machine.public_ip, key)
        # The other end of a tunnel that whoever runs Pulumi holds open (`ops tunnel`)
        return self._ssh(machine.id.apply(lambda _: LOCAL), key, port=session.port)

    def _group(self, role: Role, group: GroupSettings) -> list[Host]:
        """The hosts of a role. If existing machines have to be replaced, at most as many as may be unavailable are
        replaced at once: each of the others waits until an earlier one is in service.
        """
        at_once = {
            Replacement.ONE: 1,
            Replacement.MAX_UNAVAILABLE: self._args.settings.max_unavailable,
            Replacement.ALL: group.count,
        }[ROLES[role].replacement]
        hosts: list[Host] = []
        place = self._placement(role, group) if group.placement and group.count else None
        for index in range(group.count):
            waits = self._args.facts.replaced(role) and index >= at_once
            before = hosts[index - at_once].service if waits else None
            hosts.append(self._host(role, group, index, before, place))
        return hosts

    def _placement(self, role: Role, group: GroupSettings) -> pulumi.Output[str]:
        """The placement group of a role's machines."""
        labels, prefix = self._args.labels, ROLES[role].prefix
        name = placement.name(labels.stack, prefix, group.placement)
        made = ec2.PlacementGroup(
            f"{prefix}-{group.placement}",
            name=name,
            strategy=group.placement,
            partition_count=placement.PER_ZONE if group.placement == "partition" else None,
            tags=labels.tags(name, role.value),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.name

    def _host(
        self,
        role: Role,
        group: GroupSettings,
        index: int,
        before: Service | None,
        place: pulumi.Output[str] | None,
    ) -> Host:
        args, row = self._args, ROLES[role]
        name = f"{row.prefix}-{index}"
        launch = args.facts.launches[role][index]
        subnet = next(it for it in args.network.subnets if it.zone == launch.offer.zone)
        is_spot = launch.offer.market == SPOT
        key = self._key(name)
        machine = self._instance(
            name,
            key,
            instance_type=launch.offer.type,
            subnet_id=subnet.id,
            public=subnet.public,
            groups=[args.security.groups[role], *group.security_groups],
            role=role.value,
            disk_gib=group.disk_gib,
            performance=group.disk_performance,
            profile=args.profiles.get(role),
            spot=is_spot,
            place=place,
            fresh=launch.replaced,
            movable=not row.data_directory,
            before=before,
        )
        record = self._record(name, machine)
        device = self._volume(name, role, group, subnet.zone, machine) if row.data_directory else None
        size = args.facts.sizes[launch.offer.type]
        address = machine.public_ip if subnet.public else machine.private_ip
        return Host(
            name=name,
            dns_name=f"{name}.{args.network.domain}",
            role=role,
            address=machine.private_ip,
            # All DNS records exist before a daemon asks for one, so that no resolver caches a negative answer
            ssh=self._ssh(_after(address, record.fqdn), key, self.bastion),
            cpus=size.cpus,
            memory_mib=size.memory_mib,
            zone=subnet.zone,
            local_disks=size.instance_disks if group.instance_store else 0,
            machine=machine.id,
            data_device=device,
            waits=before is not None,
            notices=group.notices if is_spot else Notices.NONE,
            service=Service(),
            ready=machine,
        )

    def _instance(
        self,
        name: str,
        key: tls.PrivateKey,
        *,
        instance_type: str,
        subnet_id: pulumi.Input[str],
        public: bool,
        groups: Sequence[pulumi.Input[str] | None],
        role: str,
        disk_gib: int = 8,
        performance: Performance = ORDINARY,
        profile: pulumi.Input[str] | None = None,
        spot: bool = False,
        place: pulumi.Input[str] | None = None,
        fresh: bool = False,
        movable: bool = True,
        entrance: bool = False,
        before: Service | None = None,
    ) -> ec2.Instance:
        facts, tags = self._args.facts, self._args.labels.tags(f"{self._args.labels.stack}-{name}", role)
        run = self._agent(entrance)
        text = pulumi.Output.all(self._admin_public, key.private_key_openssh, key.public_key_openssh).apply(
            lambda keys: user_data.cloud_config(
                name, self._args.network.domain, keys[0], keys[1], keys[2], entrance=entrance, run=run
            )
        )
        # A newer image or another version of this program never replaces a running machine. One that is replaced anyway
        # gets all of it: its own image may no longer exist, and its zone have no such machine
        kept = ["ami", "userData", *_ROOT_TAGS] if not fresh else []
        if not (fresh and movable):
            kept.append("subnetId")
        machine = ec2.Instance(
            name,
            ami=facts.images[facts.sizes[instance_type].architecture],
            instance_type=instance_type,
            subnet_id=subnet_id,
            vpc_security_group_ids=[group for group in groups if group is not None],
            associate_public_ip_address=public,
            iam_instance_profile=profile,
            placement_group=place,
            user_data=text,
            # IMDSv2 only, and with a hop limit that keeps containers and proxies on the machine out
            metadata_options=ec2.InstanceMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            root_block_device=ec2.InstanceRootBlockDeviceArgs(
                volume_type="gp3",
                volume_size=disk_gib,
                iops=performance.iops,
                throughput=performance.throughput,
                encrypted=True,
                delete_on_termination=True,
            ),
            # In the request that launches the machine, because an organization's policy may require it. The plugin sets
            # tags in `root_block_device` later: https://github.com/hashicorp/terraform-provider-aws/issues/41653
            volume_tags=tags,
            instance_market_options=_SPOT if spot else None,
            tags=tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Without it AWS would stop and resize the machine, which it refuses for spot instances
                replace_on_changes=["instanceType"],
                # The plugin does not detect the change from a spot to an on-demand instance
                replacement_trigger=self._trigger(spot, entrance),
                delete_before_replace=True,
                ignore_changes=kept,
                # While machines are replaced: an earlier one must be in service again
                depends_on=before.resource if before else None,
            ),
        )
        self.ids.append(machine.id)
        return machine

    def _trigger(self, spot: bool, is_entrance: bool) -> str:
        """What replaces a machine when it changes. A bastion without the agent cannot be reached by Session Manager."""
        if is_entrance and self._args.settings.session:
            return "session"
        return "spot" if spot else "on-demand"

    def _agent(self, is_entrance: bool) -> str:
        """A command that installs the SSM Agent; empty where none is needed."""
        session = self._args.settings.session
        if not (is_entrance and session):
            return ""
        agent = Agent(version=session.agent_version, checksum=session.agent_checksum)
        return install(self._args.settings.region, agent)

    def _record(self, name: str, machine: ec2.Instance) -> route53.Record:
        return route53.Record(
            name,
            zone_id=self._args.network.zone_id,
            name=f"{name}.{self._args.network.domain}",
            type="A",
            ttl=DNS_SECONDS,
            records=[machine.private_ip],
            # The zone is the stack's own: a record that a killed run has left is overwritten instead of refused
            allow_overwrite=True,
            # It matters at creation only: records of stacks that were created without it need no update
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["allowOverwrite"]),
        )

    def _volume(
        self, name: str, role: Role, group: GroupSettings, zone: str, machine: ec2.Instance
    ) -> pulumi.Output[str]:
        """A volume for data that outlives the machine. Returns the path of its device on the machine."""
        settings, labels = self._args.settings, self._args.labels
        volume = ebs.Volume(
            f"{name}-data",
            availability_zone=zone,
            size=group.data_gib,
            type="gp3",
            iops=group.data_performance.iops,
            throughput=group.data_performance.throughput,
            encrypted=True,
            tags=labels.tags(f"{labels.stack}-{name}-data", role.value)
            | (snapshots.tag(settings, labels) if group.snapshots else {}),
            # A volume cannot change zones; facts.py refuses a configuration that would move its machine
            opts=pulumi.ResourceOptions(
                parent=self, protect=not settings.ephemeral, ignore_changes=["availabilityZone"]
            ),
        )
        attached = ec2.VolumeAttachment(
            f"{name}-data",
            device_name=DATA_DEVICE,
            volume_id=volume.id,
            instance_id=machine.id,
            # Detaching a mounted volume from a running system can damage its data
            stop_instance_before_detaching=True,
            # The end of a machine unmounts and detaches its volumes. AWS refuses to stop one that was lost
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True, deleted_with=machine),
        )
        return attached.volume_id.apply(device_path)

    def _ssh(self, address: pulumi.Input[str], key: tls.PrivateKey, jump: Ssh | None = None, *, port: int = 22) -> Ssh:
        return Ssh(
            address=address,
            user=user_data.ADMIN,
            port=port,
            private_key=self.admin_key,
            host_key=key.public_key_openssh.apply(lambda line: line.strip()),
            jump=jump,
            new=True,
        )


_ROOT_TAGS = ["volumeTags", "rootBlockDevice.tags"]
"""Set at the launch only. Later the plugin would set `volumeTags` on the data volume too, which has its own; and
machines of earlier versions, with tags in `rootBlockDevice`, need no update."""

_SPOT = ec2.InstanceInstanceMarketOptionsArgs(
    market_type="spot",
    spot_options=ec2.InstanceInstanceMarketOptionsSpotOptionsArgs(
        spot_instance_type="one-time", instance_interruption_behavior="terminate"
    ),
)


def device_path(volume_id: str) -> str:
    """The udev path of a volume on a Nitro instance, which ignores the requested name (`/dev/sdf` is nvme1n1 there):
    https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html.
    """
    return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"


def _after(value: pulumi.Output[str], other: pulumi.Output[str]) -> pulumi.Output[str]:
    """The value, once the other is known too."""
    return pulumi.Output.all(value, other).apply(lambda known: str(known[0]))
