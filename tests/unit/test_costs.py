"""docs/costs.py: what a stack consists of, and how AWS's price list is read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import settings
from docs import costs


def amounts(stack: str, hours: float = costs.MONTH_HOURS) -> dict[str, float]:
    return {line.what: round(costs.cost(line, costs.stored(), hours), 2) for line in costs.parts(stack)}


def test_a_stack_costs_what_its_file_declares() -> None:
    assert amounts("prod") == {
        "jobmanager: 2 x m6i.large": 140.16,
        "taskmanager: 3 x m6i.xlarge": 420.48,
        "zookeeper: 3 x t3.medium": 91.10,
        "bastion: 1 x t3.micro": 7.59,
        "volumes: 408 GiB gp3": 32.64,
        "3 NAT gateways, without traffic": 98.55,
        "4 public IPv4 addresses": 14.60,
        "1 private zone of Route 53": 0.50,
    }


def test_a_day_costs_a_thirtieth_except_of_the_zone() -> None:
    day, month = amounts("ephemeral", 24), amounts("ephemeral")
    assert day["1 private zone of Route 53"] == month["1 private zone of Route 53"] == 0.50
    assert day["2 public IPv4 addresses"] == 0.24 and month["2 public IPv4 addresses"] == 7.30


def test_only_performance_above_that_of_every_volume_is_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {key: dict(entry) for key, entry in settings.schema().items()}
    schema["taskManagerDiskIops"]["default"] = 5000
    schema["zookeeperDataThroughput"]["default"] = 225
    monkeypatch.setattr(settings, "schema", lambda: schema)
    found = amounts("prod")
    assert found["6000 more IOPS"] == 30.00
    assert found["300 more MiB/s"] == 12.00


def test_a_load_balancer_is_billed_and_a_public_one_with_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {key: dict(entry) for key, entry in settings.schema().items()}
    monkeypatch.setattr(settings, "schema", lambda: schema)
    schema["frontDoorLoadBalancer"]["default"] = {"certificateArn": "x"}
    internal = amounts("prod")
    assert internal["1 load balancer, without traffic"] == 16.43 and "4 public IPv4 addresses" in internal
    schema["frontDoorLoadBalancer"]["default"] = {"certificateArn": "x", "internal": False}
    assert "7 public IPv4 addresses" in amounts("prod")


def test_a_price_that_is_not_clear_is_refused() -> None:
    entries = costs.stored()
    with pytest.raises(LookupError, match="has 0 products for BoxUsage:x9"):
        costs.price(entries, costs.instance("x9.large"))
    with pytest.raises(LookupError, match="has 2 products for NatGateway-Hours"):
        costs.price([*entries, json.loads(json.dumps(entries[-3]).replace('"NAT', '"NAT2'))], costs.NAT)


class Pricing:
    """AWS's API, with the stored prices as those of eu-central-1 and the noise of a real answer."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, name: str) -> "Pricing":
        assert name == "get_products"
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, list[str]]]:
        self.asked.append(asked)
        for entry in json.loads(json.dumps(costs.stored()).replace('"usagetype": "', '"usagetype": "EUC1-')):
            kind = entry["product"]["attributes"].get("instanceType")
            wished = [each["Value"] for each in asked["Filters"] if each["Field"] == "instanceType"]
            if entry["serviceCode"] == asked["ServiceCode"] and (not wished or kind == wished[0]):
                reserved: dict[str, Any] = {"Reserved": {"x": {"priceDimensions": {}}}}
                yield {"PriceList": [json.dumps({**entry, "terms": {**entry["terms"], **reserved}})]}


def test_the_api_of_aws_is_asked_for_the_region_and_gives_the_same_table() -> None:
    aws = Pricing()
    meters = {line.meter for stack in costs.STACKS for line in costs.parts(stack)}
    assert costs.table(costs.ask("eu-central-1", meters, aws)) == costs.table(costs.stored())
    of_region = {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-central-1"}
    assert all(of_region in one["Filters"] for one in aws.asked if one["ServiceCode"] != "AmazonRoute53")
    # A query without a type or a family would return tens of thousands of machines
    narrow = ("instanceType", "productFamily")
    machines = [one for one in aws.asked if one["ServiceCode"] == "AmazonEC2"]
    assert all(any(each["Field"] in narrow for each in one["Filters"]) for one in machines)
