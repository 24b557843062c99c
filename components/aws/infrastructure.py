"""Everything that a cluster needs on AWS, as one component: network, security, identity, bucket, machines."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pulumi

from .. import naming, ports
from ..errors import ConfigError, refused
from ..host import Balancer, Role, Site, Ssh
from ..naming import PROJECT, Labels
from ..problems import Problems
from ..storage import Storage
from . import capacity, facts
from .balancer import FrontDoorBalancer, FrontDoorBalancerArgs
from .declaration import AwsSettings
from .entrance import Entrance, EntranceArgs
from .facts import AwsError, Facts
from .healing import Healing, HealingArgs
from .identity import Identity, IdentityArgs
from .machines import Machines, MachinesArgs
from .network import Network, NetworkArgs
from .security import Security, SecurityArgs
from .snapshots import Snapshots, SnapshotsArgs
from .storage import Bucket, BucketArgs

LONGEST_BUCKET = 63


@dataclass(frozen=True, kw_only=True)
class SiteArgs:
    """Arguments of `AwsSite`: the settings, and what AWS reports."""

    settings: AwsSettings
    storage: Storage
    facts: Facts
    labels: Labels


class AwsSite(pulumi.ComponentResource):
    """Network, security groups, identity, bucket and machines. `site` has the hosts and the storage."""

    site: Site

    def __init__(self, name: str, args: SiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Site"), name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, labels = args.settings, args.labels
        network = Network(
            name,
            NetworkArgs(settings=settings, labels=labels, zones=args.facts.zones, subnets=args.facts.subnets),
            child,
        )
        security = Security(name, SecurityArgs(settings=settings, labels=labels, vpc_id=network.vpc_id), child)
        identity = Identity(name, IdentityArgs(settings=settings, labels=labels), child)
        session = settings.session
        boundary = settings.permissions_boundary
        access = EntranceArgs(region=settings.region, labels=labels, permissions_boundary=boundary)
        entrance = Entrance(name, access, child) if session else None
        bucket = Bucket(name, BucketArgs(settings=settings, labels=labels), child)
        if settings.snapshot_days:
            Snapshots(name, SnapshotsArgs(settings=settings, labels=labels), child)
        machines = Machines(
            name,
            MachinesArgs(
                settings=settings,
                facts=args.facts,
                labels=labels,
                network=network,
                security=security,
                profiles=identity.profiles,
                entrance=entrance.profile if entrance else None,
            ),
            child,
        )
        balancer = self._balancer(name, args, network, security, machines, child) if settings.balancer else None
        if settings.healing:
            Healing(
                name,
                HealingArgs(
                    settings=settings.healing,
                    region=settings.region,
                    labels=labels,
                    machines=machines.ids,
                    permissions_boundary=boundary,
                ),
                child,
            )
        storage = replace(
            args.storage,
            uri=f"s3://{settings.bucket}/{settings.prefix}".rstrip("/"),
            ready=tuple(bucket.ready),
        )
        self.site = Site(hosts=machines.hosts, storage=storage, outputs=_outputs(args, machines), balancer=balancer)
        self.register_outputs({"bucket": settings.bucket})

    def _balancer(
        self,
        name: str,
        args: SiteArgs,
        network: Network,
        security: Security,
        machines: Machines,
        child: pulumi.ResourceOptions,
    ) -> Balancer:
        """The load balancer of the front doors."""
        settings, subnets = args.settings, network.balancer_subnets
        assert settings.balancer and security.balancer, "only with a load balancer"
        made = FrontDoorBalancer(
            name,
            FrontDoorBalancerArgs(
                settings=settings.balancer,
                labels=args.labels,
                vpc_id=network.vpc_id,
                subnets=[subnet.id for subnet in subnets],
                group=security.balancer,
                door=settings.front_door,
                machines={host.name: host.machine for host in machines.hosts if host.role is Role.JOBMANAGER},
            ),
            child,
        )
        return Balancer(url=made.url, networks=[subnet.cidr for subnet in subnets])


def declare(stack: str, settings: AwsSettings, storage: Storage, needed_mib: Mapping[Role, int]) -> Site:
    """Query AWS, then declare the infrastructure. `needed_mib`: minimum memory of a machine by role.

    Raises ConfigError with all problems that AWS reports, before anything is declared.
    """
    labels = Labels(project=PROJECT, stack=stack, owner=settings.owner, expires=settings.expires, more=settings.tags)
    problems = Problems()
    try:
        known = facts.look_up(settings, storage, labels, needed_mib, problems)
    except AwsError as error:
        raise ConfigError(facts.say(error)) from error
    if problems.found:
        raise refused(stack, problems)
    if known.ending:
        raise ConfigError(facts.wait_for(known.ending))
    for offer, hosts in known.new.items():
        pulumi.log.info(capacity.announcement(hosts, offer))
    for role in Role:
        if known.replaced(role):
            pulumi.log.info(f"the machines of the {role}s differ from the desired state and are replaced one by one")
    settings = replace(settings, operator_cidrs=known.operator_cidrs)
    if not settings.bucket:
        settings = replace(settings, bucket=bucket_name(PROJECT, stack, known.account, settings.region))
    return AwsSite(stack, SiteArgs(settings=settings, storage=storage, facts=known, labels=labels)).site


def bucket_name(project: str, stack: str, account: str, region: str) -> str:
    """Name of a stack's bucket. It contains account and region, because bucket names are unique across all accounts."""
    whole = re.sub(r"[^a-z0-9-]", "-", f"{project}-{stack}-{account}-{region}".lower())
    if len(whole) <= LONGEST_BUCKET:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: LONGEST_BUCKET - 9]}-{digest}"


def _outputs(args: SiteArgs, machines: Machines) -> dict[str, pulumi.Input[object]]:
    """What people need for access to the cluster: keys, and commands to paste."""
    stack, given = args.labels.stack, args.settings.admin_key
    first = next(host for host in machines.hosts if host.role is Role.JOBMANAGER)
    reached = [*([machines.bastion] if machines.bastion else []), *(host.ssh for host in machines.hosts)]
    known = [pulumi.Output.concat(_known_as(ssh), " ", ssh.host_key) for ssh in reached]
    key, known_hosts = given.path if given else f"flink-{stack}.key", f"flink-{stack}.known_hosts"
    login = f"pulumi stack output knownHosts --stack {stack} > {known_hosts}"
    found: dict[str, pulumi.Input[object]] = {
        "bucket": args.settings.bucket,
        "knownHosts": pulumi.Output.all(*known).apply("\n".join),
    }
    if given is None:
        found["sshPrivateKey"] = machines.admin_key
        login = f"(umask 077; pulumi stack output sshPrivateKey --show-secrets --stack {stack} > {key}); {login}"
    options = f"-i {key} -o IdentitiesOnly=yes -o UserKnownHostsFile={known_hosts}"
    ssh = pulumi.Output.concat("ssh ", options, _through(machines.bastion, options))
    target = pulumi.Output.concat(first.ssh.user, "@", first.ssh.address)
    door = args.settings.front_door
    local, port = (8443, door) if door else (ports.number("rest"), ports.number("rest"))
    if args.settings.session and machines.bastion_id:
        session = f"aws ssm start-session --region {args.settings.region} --target "
        forward = f'{{"portNumber":["22"],"localPortNumber":["{args.settings.session.port}"]}}'
        found["session"] = pulumi.Output.concat(session, machines.bastion_id)
        found["entrance"] = pulumi.Output.concat(
            session, machines.bastion_id, f" --document-name AWS-StartPortForwardingSession --parameters '{forward}'"
        )
    return {
        **found,
        "login": login,
        "ssh": pulumi.Output.concat(ssh, " ", target),
        "tunnel": pulumi.Output.concat(ssh, f" -N -L {local}:{first.dns_name}:{port} ", target),
    }


def _known_as(ssh: Ssh) -> pulumi.Input[str]:
    """The name in known_hosts."""
    return ssh.address if ssh.port == 22 else pulumi.Output.concat("[", ssh.address, f"]:{ssh.port}")


def _through(bastion: Ssh | None, options: str) -> pulumi.Input[str]:
    """The ssh option for a connection through the bastion. `-J` would use neither the key nor the known hosts there."""
    if bastion is None:
        return ""
    port = "" if bastion.port == 22 else f"-p {bastion.port} "
    command = f" -o 'ProxyCommand=ssh {options} {port}-W %h:%p "
    return pulumi.Output.concat(command, bastion.user, "@", bastion.address, "'")
