"""Route 53: hosted zones and records."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterator
from typing import Any

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.aws_plugin.support import half_made, unsupported, unsupported_but
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_TYPES = (
    *("A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS"),
    *("PTR", "SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"),
)
_BATCH = 100
"""Changes in one call: at most 1000 values are allowed."""


class Zone(Resource):
    """A hosted zone, private if it has VPCs: its id is Route 53's, without its `/hostedzone/`."""

    token = "aws:route53/zone:Zone"
    kind = "Route53 Hosted Zone"
    replaces = frozenset({"name", "delegationSetId"})
    defaults = {"comment": "Managed by Pulumi", "forceDestroy": False}
    computed = frozenset({"arn", "nameServers", "primaryNameServer", "zoneId"})
    sets = frozenset({"vpcs"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name and the tags."""
        found = [*tags.failures(inputs), *unsupported(inputs, "delegationSetId", "enableAcceleratedRecovery")]
        return found + [Failure("name", problem) for problem in _name_problems(inputs.get("name"))]

    def same(self, name: str, old: Value, new: Value) -> bool:
        """A name with a trailing dot is the same."""
        return name == "name" and _plain(old) == _plain(new)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it with its first VPC, then add the others."""
        client = aws.client("route53")
        vpcs = [_vpc(item, aws) for item in inputs.get("vpcs") or []]
        for vpc in vpcs:
            _check_vpc(vpc, inputs["name"], aws)
        answer = client.create_hosted_zone(
            Name=inputs["name"],
            CallerReference=str(uuid.uuid4()),
            HostedZoneConfig={"Comment": inputs["comment"], "PrivateZone": bool(vpcs)},
            **({"VPC": vpcs[0]} if vpcs else {}),
        )
        id = _zone_id(answer["HostedZone"]["Id"])
        with half_made(id):
            _synchronise(aws, answer)
            _update_tags(client, id, {}, inputs)
            for vpc in vpcs[1:]:
                _synchronise(aws, client.associate_vpc_with_hosted_zone(HostedZoneId=id, VPC=vpc))
            return id, self._outputs(id, inputs, aws)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        names = ("arn", "nameServers", "primaryNameServer", "vpcs", "zoneId")
        return {name: found[name] for name in names}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The zone with its VPCs."""
        client = aws.client("route53")
        answer = client.get_hosted_zone(Id=id)
        zone = answer["HostedZone"]
        servers = answer.get("DelegationSet", {}).get("NameServers") or _apex_servers(client, id, zone["Name"])
        listed = client.list_tags_for_resource(ResourceType="hostedzone", ResourceId=id)
        name, before = _plain(zone["Name"]), state.get("name")
        return {
            "name": before if _plain(before) == name else name,
            "comment": zone.get("Config", {}).get("Comment", ""),
            "forceDestroy": state.get("forceDestroy", False),
            "vpcs": _kept_vpcs(state.get("vpcs") or [], answer.get("VPCs", [])),
            "tags": tags.as_object(listed["ResourceTagSet"]["Tags"]),
            "arn": f"arn:{aws.partition}:route53:::hostedzone/{id}",
            "nameServers": sorted(servers),
            "primaryNameServer": servers[0] if servers else "",
            "zoneId": id,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The comment, the tags and the VPCs, starting from the actual state; at least one VPC is always associated."""
        client = aws.client("route53")
        old = self.read(id, old, aws)
        if old.get("comment") != new["comment"]:
            client.update_hosted_zone_comment(Id=id, Comment=new["comment"])
        _update_tags(client, id, old, new)
        before, after = ([_vpc(item, aws) for item in state.get("vpcs") or []] for state in (old, new))
        for vpc in (item for item in after if item not in before):
            _check_vpc(vpc, new["name"], aws)
            _synchronise(aws, client.associate_vpc_with_hosted_zone(HostedZoneId=id, VPC=vpc))
        for vpc in (item for item in before if item not in after):
            _synchronise(aws, client.disassociate_vpc_from_hosted_zone(HostedZoneId=id, VPC=vpc))
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Only if other records do not exist, or may be deleted."""
        client = aws.client("route53")
        if state.get("forceDestroy"):
            _delete_records(aws, id)
        client.delete_hosted_zone(Id=id)


class Record(Resource):
    """A record set: its id is `<zone>_<name>_<type>`."""

    token = "aws:route53/record:Record"
    kind = "Route53 Record"
    # The official plugin changes the type in place; the id would have to change with it, so here it replaces.
    replaces = frozenset({"name", "type", "zoneId"})
    computed = frozenset({"fqdn"})
    sets = frozenset({"records"})

    def check(self, inputs: Object) -> list[Failure]:
        """The type, and values that Route 53 refuses."""
        found = unsupported_but(inputs, "allowOverwrite", "name", "records", "ttl", "type", "zoneId")
        found += failures_of_choice(inputs, {"type": _TYPES})
        found += [Failure("name", problem) for problem in _name_problems(inputs.get("name"))]
        if not inputs.get("records"):
            found.append(Failure("records", "one of `aliases,records` must be specified"))
        ttl = inputs.get("ttl")
        if ttl is None:
            found.append(Failure("ttl", "records need a ttl"))
        elif isinstance(ttl, float | int) and not 0 <= ttl < 2**31:
            found.append(Failure("ttl", f"a ttl is in the range (0 - 2147483647), got {int(ttl)}"))
        return found + [Failure("records", problem) for problem in _value_problems(inputs)]

    def same(self, name: str, old: Value, new: Value) -> bool:
        """A name with upper-case letters or a trailing dot is the same."""
        return name == "name" and _plain(old) == _plain(new)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it; an existing one is only overwritten with `allowOverwrite`."""
        client = aws.client("route53")
        zone, kind = inputs["zoneId"], inputs["type"]
        fqdn = _fqdn(client, zone, inputs["name"])
        overwrite = inputs.get("allowOverwrite")
        if not overwrite and _find(client, zone, fqdn, kind):
            what = f"[name='{fqdn}.', type='{kind}']"
            raise Refused(f"InvalidChangeBatch: [Tried to create resource record set {what} but it already exists]")
        self._change(aws, "UPSERT" if overwrite else "CREATE", fqdn, inputs)
        id = f"{zone}_{_plain(inputs['name'])}_{kind}"
        self.read(id, inputs, aws)  # as the official plugin, whose requests Route 53 counts
        return id, {"fqdn": fqdn}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The record; deleted with its zone, too."""
        client = aws.client("route53")
        zone, name, kind = _parts(id)
        fqdn = _fqdn(client, zone, name)
        found = _find(client, zone, fqdn, kind)
        if found is None:
            return None
        before = state.get("name")
        return {
            "zoneId": zone,
            "name": before if _plain(before) == name else name,
            "type": kind,
            "ttl": found.get("TTL"),
            "records": _kept_values(state.get("records") or [], _values(found)),
            "fqdn": fqdn,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The values and their TTL."""
        client = aws.client("route53")
        fqdn = _fqdn(client, new["zoneId"], new["name"])
        self._change(aws, "UPSERT", fqdn, new)
        self.read(id, new, aws)
        return {"fqdn": fqdn}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it with its actual values: Route 53 requires all of them."""
        client = aws.client("route53")
        zone, name, kind = _parts(id)
        if found := _find(client, zone, _fqdn(client, zone, name), kind):
            _send(aws, zone, [{"Action": "DELETE", "ResourceRecordSet": found}])

    def _change(self, aws: Aws, action: str, fqdn: str, inputs: Object) -> None:
        for problem in _value_problems(inputs):
            raise Refused(f"InvalidChangeBatch: [{problem}]")
        record = {
            "Name": fqdn,
            "Type": inputs["type"],
            "TTL": int(inputs["ttl"]),
            "ResourceRecords": [{"Value": value} for value in dict.fromkeys(inputs["records"])],
        }
        _send(aws, inputs["zoneId"], [{"Action": action, "ResourceRecordSet": record}])


RESOURCES: dict[str, Resource] = {resource.token: resource for resource in (Zone(), Record())}


def _plain(name: Value) -> str:
    """A domain name in lower case and without its trailing dot."""
    return str(name).lower().removesuffix(".")


def _zone_id(id: str) -> str:
    return id.removeprefix("/hostedzone/")


def _parts(id: str) -> tuple[str, str, str]:
    """Zone, name and type: a name may contain `_`, the other two may not."""
    zone, _, rest = id.partition("_")
    name, _, kind = rest.rpartition("_")
    return zone, name, kind


def _fqdn(client: Any, zone: str, name: str) -> str:
    """The full name: the zone's name is appended if it is missing."""
    domain, plain = _plain(client.get_hosted_zone(Id=zone)["HostedZone"]["Name"]), _plain(name)
    if not plain:
        return domain
    return plain if plain == domain or plain.endswith(f".{domain}") else f"{plain}.{domain}"


def _find(client: Any, zone: str, fqdn: str, kind: str) -> Any:
    """The record set with this name and type, or none."""
    answer = client.list_resource_record_sets(
        HostedZoneId=zone, StartRecordName=f"{fqdn}.", StartRecordType=kind, MaxItems="1"
    )
    for record in answer["ResourceRecordSets"]:
        # Route 53 returns an asterisk as its octal code.
        if _plain(record["Name"]).replace("\\052", "*") == fqdn and record["Type"] == kind:
            return record
    return None


def _values(record: Any) -> list[str]:
    return [item["Value"] for item in record.get("ResourceRecords", [])]


def _kept_values(before: list[str], now: list[str]) -> list[str]:
    """The values in the given order as long as they are the same."""
    return before if sorted(before) == sorted(now) else sorted(now)


def _send(aws: Aws, zone: str, changes: list[Object]) -> None:
    answer = aws.client("route53").change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Comment": "Managed by Pulumi", "Changes": changes}
    )
    _synchronise(aws, answer)


def _synchronise(aws: Aws, answer: Any) -> None:
    """Wait until all name servers have a change: usually within a minute."""
    if change := answer.get("ChangeInfo"):
        client, id = aws.client("route53"), change["Id"]
        aws.until(f"Route53 change {id}", lambda: client.get_change(Id=id)["ChangeInfo"]["Status"] == "INSYNC" or None)


def _delete_records(aws: Aws, zone: str) -> None:
    """Delete all records except those that every zone has."""
    client = aws.client("route53")
    domain = _plain(client.get_hosted_zone(Id=zone)["HostedZone"]["Name"])
    doomed = [
        record
        for page in client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone)
        for record in page["ResourceRecordSets"]
        if not (_plain(record["Name"]) == domain and record["Type"] in ("NS", "SOA"))
    ]
    for start in range(0, len(doomed), _BATCH):
        changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in doomed[start : start + _BATCH]]
        _send(aws, zone, changes)


def _apex_servers(client: Any, zone: str, name: str) -> list[str]:
    """The name servers of a private zone, which has no delegation set: from its own NS record."""
    record = _find(client, zone, _plain(name), "NS")
    return _values(record) if record else []


def _vpc(item: Object, aws: Aws) -> dict[str, str]:
    return {"VPCId": item["vpcId"], "VPCRegion": item.get("vpcRegion") or aws.region}


def _kept_vpcs(before: list[Object], now: list[dict[str, str]]) -> list[Object]:
    """The VPCs as they were given, without regions that were not given, as long as they are the same."""
    found = [{"vpcId": item["VPCId"], "vpcRegion": item["VPCRegion"]} for item in now]
    regions = {item["vpcId"]: item["vpcRegion"] for item in found}
    same = regions.keys() == {item["vpcId"] for item in before}
    if same and all(item.get("vpcRegion") in (None, "", regions[item["vpcId"]]) for item in before):
        return before
    return found


def _check_vpc(vpc: dict[str, str], name: str, aws: Aws) -> None:
    """Refuse a VPC that does not exist, or that already has a zone of this name: moto accepts both."""
    id, region = vpc["VPCId"], vpc["VPCRegion"]
    if region == aws.region:
        found = aws.client("ec2").describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [id]}])["Vpcs"]
        if not found:
            reason = f"The VPC: {id} in region {region} that you provided is not authorized or does not exist"
            raise Refused(f"InvalidVPCId: {reason}")
    listed = aws.client("route53").list_hosted_zones_by_vpc(VPCId=id, VPCRegion=region)["HostedZoneSummaries"]
    if any(_plain(zone["Name"]) == _plain(name) for zone in listed):
        reason = f"The VPC {id} in region {region} has already been associated with a hosted zone of the same name"
        raise Refused(f"ConflictingDomainExists: {reason}")


def _update_tags(client: Any, id: str, old: Object, new: Object) -> None:
    expected, unwanted = tags.changes(old, new)
    if expected or unwanted:
        client.change_tags_for_resource(
            ResourceType="hostedzone",
            ResourceId=id,
            **({"AddTags": expected} if expected else {}),
            **({"RemoveTagKeys": unwanted} if unwanted else {}),
        )


def _name_problems(name: Value) -> Iterator[str]:
    """Why Route 53 refuses a domain name: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html"""
    if not isinstance(name, str) or is_unknown(name):
        return
    labels = name.removesuffix(".").split(".")
    if len(name) > 255:
        yield f"InvalidDomainName: a domain name has at most 255 characters, this one has {len(name)}"
    if any(not 1 <= len(label) <= 63 for label in labels) and name:
        yield f"InvalidDomainName: every part of a domain name has 1 to 63 characters; got {name}"
    if any(character.isspace() for character in name):
        yield f"InvalidDomainName: a domain name has no white space; got {name!r}"


def _value_problems(inputs: Object) -> Iterator[str]:
    """Why Route 53 refuses values: the addresses of A and AAAA records."""
    versions = {"A": (ipaddress.IPv4Address, "v4"), "AAAA": (ipaddress.IPv6Address, "v6")}
    values = inputs.get("records")
    if inputs.get("type") not in versions or not isinstance(values, list):
        return
    parse, version = versions[inputs["type"]]
    for value in values:
        if not isinstance(value, str) or is_unknown(value):
            continue
        try:
            parse(value)
        except ValueError:
            what = f"{inputs['type']}RRDATAIllegalIP{version}Address (Value is not a valid IP{version} address)"
            yield f"Invalid Resource Record: 'FATAL problem: {what} encountered with '{value}''"
