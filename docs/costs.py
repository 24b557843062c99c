"""What the stacks cost: `python docs/costs.py` asks AWS for the prices of a region and prints the table of docs/aws.md.

`python docs/costs.py [--region REGION] [STACK…]` needs AWS credentials with `pricing:GetProducts`, and reads
`Pulumi.STACK.yaml`. The table in the document is made from `prices/us-east-1.json`, which has the same form as AWS's
answers: entries of the Price List, as GetProducts and the bulk offer files have them.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: Python looks for `components` in docs/

import settings  # noqa: E402
from components.aws import disks  # noqa: E402
from components.aws.groups import GROUPS  # noqa: E402
from components.host import Role  # noqa: E402

STORED = ROOT / "docs" / "prices" / "us-east-1.json"
STACKS = ("dev", "prod", "ephemeral")
MONTH_HOURS = 730
DAY_HOURS = 24
BASTION_GIB = 8
API_REGION = "us-east-1"
"""The Price List's API is in few regions, each of which has the prices of all."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Something that AWS counts, and how the Price List names it."""

    service: str
    usage: str
    """The usage type, a regular expression, without the prefix that regions other than us-east-1 have."""
    attributes: tuple[tuple[str, str], ...] = ()
    """Further attributes of the product."""
    per: float = 1.0
    """How many of our units are one of the Price List's."""


def instance(name: str) -> Meter:
    """An hour of a Linux machine, on demand."""
    own = {"instanceType": name, "operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared"}
    attributes = {**own, "capacitystatus": "Used"}
    return Meter(service="AmazonEC2", usage=f"BoxUsage:{re.escape(name)}", attributes=tuple(attributes.items()))


GIB = Meter(service="AmazonEC2", usage=r"EBS:VolumeUsage\.gp3")
IOPS = Meter(service="AmazonEC2", usage=r"EBS:VolumeP-IOPS\.gp3")
MIB_S = Meter(service="AmazonEC2", usage=r"EBS:VolumeP-Throughput\.gp3", per=1024)
"""The Price List has GiB/s."""
ADDRESS = Meter(service="AmazonVPC", usage="PublicIPv4:InUseAddress")
NAT = Meter(service="AmazonEC2", usage="NatGateway-Hours")
BALANCER = Meter(service="AWSELB", usage="LoadBalancerUsage", attributes=(("operation", "LoadBalancing:Application"),))
"""An hour, without what traffic costs."""
ZONE = Meter(service="AmazonRoute53", usage="HostedZone")


def price(entries: Iterable[Entry], meter: Meter) -> float:
    """US dollars for one unit; of the first tier if there are several. LookupError unless exactly one product fits."""
    found = {
        entry["product"]["sku"]: dimension
        for entry in entries
        if _fits(entry["product"]["attributes"], meter)
        for dimension in _dimensions(entry)
        if float(dimension["beginRange"]) == 0 and float(dimension["pricePerUnit"]["USD"]) > 0
    }
    if len(found) != 1:
        raise LookupError(f"the price list has {len(found)} products for {meter.usage}: expected one")
    (dimension,) = found.values()
    return float(dimension["pricePerUnit"]["USD"]) / meter.per


def _fits(attributes: Mapping[str, str], meter: Meter) -> bool:
    usage = re.fullmatch(rf"(?:[A-Z0-9]+-)?{meter.usage}", attributes.get("usagetype", ""))
    return bool(usage) and all(attributes.get(name) == value for name, value in meter.attributes)


def _dimensions(entry: Entry) -> Iterator[Mapping[str, Any]]:
    for term in entry["terms"].get("OnDemand", {}).values():
        yield from term["priceDimensions"].values()


@dataclass(frozen=True)
class Line:
    """A part of a stack: how many of what, by the hour or by the month."""

    what: str
    number: float
    meter: Meter
    hourly: bool = True


def parts(stack: str) -> list[Line]:
    """What a stack consists of that AWS bills for the time that it exists, from its file and the defaults."""
    given: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    values = {key: given.get(f"flink:{key}", entry["default"]) for key, entry in settings.schema().items()}
    lines, machines, gib, iops, mib_s = [], 0, 0, 0, 0
    for role in Role:
        keys = GROUPS[role]
        count = values[keys.count]
        if not count:
            continue
        machines += count
        spot = " (spot: this is the price on demand)" if keys.spot and values[keys.spot] else ""
        name = [*(values[keys.types] if keys.types else []), values[keys.instance_type]][0]
        lines.append(Line(f"{role}: {count} x {name}{spot}", count, instance(name)))
        gib += count * values[keys.disk]
        iops += count * _more(values, keys.iops, disks.IOPS)
        mib_s += count * _more(values, keys.throughput, disks.THROUGHPUT)
        gib += count * (values[keys.data] if keys.data else 0)
        iops += count * _more(values, keys.data_iops, disks.IOPS)
        mib_s += count * _more(values, keys.data_throughput, disks.THROUGHPUT)
    if values["bastion"]:
        lines.append(Line(f"bastion: 1 x {values['bastionType']}", 1, instance(values["bastionType"])))
        gib += BASTION_GIB
    gateways = {"none": 0, "one": 1, "zone": values["zones"]}[values["natGateways"]]
    balancer = values["frontDoorLoadBalancer"]
    public = values["zones"] if balancer and not balancer.get("internal", True) else 0
    addresses = (0 if values["privateSubnets"] else machines) + bool(values["bastion"]) + gateways + public
    return [
        *lines,
        Line(f"volumes: {gib} GiB gp3", gib, GIB, hourly=False),
        *([Line(f"{iops} more IOPS", iops, IOPS, hourly=False)] if iops else []),
        *([Line(f"{mib_s} more MiB/s", mib_s, MIB_S, hourly=False)] if mib_s else []),
        *([Line(f"{gateways} NAT gateways, without traffic", gateways, NAT)] if gateways else []),
        *([Line("1 load balancer, without traffic", 1, BALANCER)] if balancer else []),
        Line(f"{addresses} public IPv4 addresses", addresses, ADDRESS),
        Line("1 private zone of Route 53", 1, ZONE, hourly=False),
    ]


def _more(values: Mapping[str, Any], key: str, limits: tuple[int, int]) -> int:
    """What is billed: only more than every gp3 volume has."""
    return max(0, values[key] - limits[0]) if key else 0


def cost(line: Line, entries: Sequence[Entry], hours: float) -> float:
    """US dollars for so many hours. A zone costs its month, however short it exists."""
    share = 1.0 if line.meter == ZONE else hours / MONTH_HOURS
    return line.number * price(entries, line.meter) * (hours if line.hourly else share)


def table(entries: Sequence[Entry], stacks: Sequence[str] = STACKS) -> str:
    """Markdown: each part of each stack, with the sum; the stack of a branch by the day."""
    lines = ["| stack | part | US dollars |", "| --- | --- | --- |"]
    for stack in stacks:
        branch = stack == "ephemeral"
        hours = DAY_HOURS if branch else MONTH_HOURS
        found = [(line.what, cost(line, entries, hours)) for line in parts(stack)]
        name = "a branch, per day" if branch else f"`{stack}`, per month"
        lines += [f"| {name} | {what} | {dollars:.2f} |" for what, dollars in found]
        lines.append(f"| **{name}** | **sum** | **{sum(dollars for _, dollars in found):.2f}** |")
    return "\n".join(lines) + "\n"


def stored() -> list[Entry]:
    """The entries of the stored price list."""
    found: list[Entry] = json.loads(STORED.read_text())["entries"]
    return found


def ask(region: str, meters: Iterable[Meter], client: Any) -> list[Entry]:
    """The entries of a region from AWS's API. `client` is boto3's client `pricing`."""
    queries = {(meter.service, dict(meter.attributes).get("instanceType", "")): meter for meter in meters}
    found: list[Entry] = []
    for service, kind in queries:
        filters = {"regionCode": region, **({"instanceType": kind, "operatingSystem": "Linux"} if kind else {})}
        if service == "AmazonRoute53":
            filters = {}  # it belongs to no region
        elif service == "AmazonEC2" and not kind:
            # Without machines, of which there are tens of thousands
            for family in ("Storage", "System Operation", "Provisioned Throughput", "NAT Gateway"):
                found += _pages(client, service, {**filters, "productFamily": family})
            continue
        found += _pages(client, service, filters)
    return found


def _pages(client: Any, service: str, filters: Mapping[str, str]) -> Iterator[Entry]:
    asked = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in filters.items()]
    for page in client.get_paginator("get_products").paginate(ServiceCode=service, Filters=asked):
        yield from map(json.loads, page["PriceList"])


def main(argv: Sequence[str]) -> int:
    """Print the table with the prices of a region."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("stacks", nargs="*", default=list(STACKS), metavar="STACK")
    args = parser.parse_args(argv)
    import boto3

    meters = {line.meter for stack in args.stacks for line in parts(stack)}
    entries = ask(args.region, meters, boto3.client("pricing", region_name=API_REGION))
    print(f"Prices of {args.region}, on demand, without tax and traffic:\n")
    print(table(entries, args.stacks), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
