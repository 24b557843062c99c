"""The AWS stand-in's resources of EventBridge, against a moto server."""

from __future__ import annotations

import json

from stand_ins.plugin.values import UNKNOWN
from tests.aws.aws_client import Moto
from tests.aws.thing import ROLE, TRUST, Make, Thing, unique

CONNECTION = "aws:cloudwatch/eventConnection:EventConnection"
DESTINATION = "aws:cloudwatch/eventApiDestination:EventApiDestination"
RULE = "aws:cloudwatch/eventRule:EventRule"
TARGET = "aws:cloudwatch/eventTarget:EventTarget"

URL = "https://api.github.com/repos/o/r/actions/workflows/heal.yml/dispatches"
PATTERN = {"source": ["aws.ec2"], "detail": {"instance-id": ["i-0123456789abcdef0"]}}


def connected(make: Make) -> tuple[Thing, Thing]:
    """A connection and its destination."""
    connection, destination = make(CONNECTION), make(DESTINATION)
    key = {"key": "Authorization", "value": "Bearer t0ken"}
    connection.create({"name": unique("c"), "authorizationType": "API_KEY", "authParameters": {"apiKey": key}})
    arn = connection.state["arn"]
    destination.create({"name": unique("d"), "connectionArn": arn, "httpMethod": "POST", "invocationEndpoint": URL})
    return connection, destination


def test_a_connection_and_a_destination_live(make: Make, cloud: Moto) -> None:
    connection, destination = connected(make)
    assert connection.refresh() == {} and destination.refresh() == {}
    assert destination.state["invocationRateLimitPerSecond"] == 300
    plain = {**destination.inputs, "invocationEndpoint": "http://api.github.com/"}
    assert "HTTPS" in destination.refusals(plain)["invocationEndpoint"]
    assert destination.diff({**destination.inputs, "invocationRateLimitPerSecond": 1}) != {}
    destination.update({**destination.inputs, "invocationRateLimitPerSecond": 1})
    events = cloud.client("events")
    assert events.describe_api_destination(Name=destination.id)["InvocationRateLimitPerSecond"] == 1
    other = {"apiKey": {"key": "Authorization", "value": "Bearer other"}}
    connection.update({**connection.inputs, "authParameters": other})
    for thing in (destination, connection):
        thing.delete()
        assert thing.refresh() is None


def test_a_rule_and_its_target_live(make: Make, cloud: Moto) -> None:
    connection, destination = connected(make)
    role, rule, target = make(ROLE), make(RULE), make(TARGET)
    role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)})
    inputs = {"name": unique("rule"), "eventPattern": json.dumps(PATTERN), "tags": {"project": "flink"}}
    assert rule.preview(inputs)["arn"] == UNKNOWN
    rule.create(inputs)
    assert rule.refresh() == {}
    assert rule.diff({**inputs, "eventPattern": json.dumps(PATTERN, indent=2)}) == {}
    assert "2048" in rule.refusals({**inputs, "eventPattern": "x" * 2049})["eventPattern"]
    target.create(
        {
            "rule": inputs["name"],
            "targetId": "ci",
            "arn": destination.state["arn"],
            "roleArn": role.state["arn"],
            "inputTransformer": {
                "inputPaths": {"instance": "$.detail.instance-id"},
                "inputTemplate": '{"a":"<instance>"}',
            },
            "httpTarget": {"headerParameters": {"Accept": "x"}},
            "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 3},
        }
    )
    assert target.refresh() == {}
    rule.update({**inputs, "eventPattern": json.dumps({**PATTERN, "source": ["else"]}), "tags": {"owner": "me"}})
    found = cloud.client("events").describe_rule(Name=rule.id)
    assert json.loads(found["EventPattern"])["source"] == ["else"]
    assert rule.refresh() == {}
    for thing in (target, rule, role, destination, connection):
        thing.delete()
        assert thing.refresh() is None
