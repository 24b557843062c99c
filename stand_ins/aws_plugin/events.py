"""EventBridge: connections, API destinations, rules and their targets, on the default event bus."""

from __future__ import annotations

import json
from typing import Any

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.resource import Aws, Resource, failures_of_choice, is_unknown
from stand_ins.aws_plugin.support import unsupported, unsupported_but
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

BUS = "default"
PATTERN_LENGTH = 2048
"""https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""


class Connection(Resource):
    """How to authenticate with an HTTP API: its id is its name. AWS never returns the secrets in it."""

    token = "aws:cloudwatch/eventConnection:EventConnection"
    kind = "EventBridge connection"
    replaces = frozenset({"name"})
    computed = frozenset({"arn", "secretArn"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name, and the kind of authentication."""
        known = ("name", "description", "authorizationType", "authParameters")
        found = failures_of_choice(inputs, {"authorizationType": ("API_KEY",)})
        return [*found, *_name_failures(inputs), *unsupported_but(inputs, *known)]

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it. AWS stores the secrets in Secrets Manager."""
        aws.client("events").create_connection(Name=inputs["name"], **_connection(inputs))
        return inputs["name"], self._outputs(inputs["name"], aws)

    def _outputs(self, id: str, aws: Aws) -> Object:
        found = aws.client("events").describe_connection(Name=id)
        return {"arn": found["ConnectionArn"], "secretArn": found.get("SecretArn", "")}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """What AWS returns of it."""
        found = aws.client("events").describe_connection(Name=id)
        return {
            "name": found["Name"],
            "description": found.get("Description", ""),
            "authorizationType": found["AuthorizationType"],
            "arn": found["ConnectionArn"],
            "secretArn": found.get("SecretArn", ""),
            "region": aws.region,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Everything except the name."""
        aws.client("events").update_connection(Name=id, **_connection(new))
        return self._outputs(id, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        aws.client("events").delete_connection(Name=id)


class Destination(Resource):
    """An HTTP API: its id is its name."""

    token = "aws:cloudwatch/eventApiDestination:EventApiDestination"
    kind = "EventBridge API Destination"
    replaces = frozenset({"name"})
    defaults = {"invocationRateLimitPerSecond": 300}
    computed = frozenset({"arn"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name and the address."""
        url = inputs.get("invocationEndpoint")
        found = [*_name_failures(inputs)]
        if isinstance(url, str) and not is_unknown(url) and not url.startswith("https://"):
            found.append(Failure("invocationEndpoint", f"expected an HTTPS endpoint, got {url}"))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        answer = aws.client("events").create_api_destination(Name=inputs["name"], **_destination(inputs))
        return inputs["name"], {"arn": answer["ApiDestinationArn"]}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """All of it."""
        found = aws.client("events").describe_api_destination(Name=id)
        return {
            "name": found["Name"],
            "description": found.get("Description", ""),
            "connectionArn": found["ConnectionArn"],
            "httpMethod": found["HttpMethod"],
            "invocationEndpoint": found["InvocationEndpoint"],
            "invocationRateLimitPerSecond": found["InvocationRateLimitPerSecond"],
            "arn": found["ApiDestinationArn"],
            "region": aws.region,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Everything except the name."""
        aws.client("events").update_api_destination(Name=id, **_destination(new))
        return {"arn": old["arn"]}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        aws.client("events").delete_api_destination(Name=id)


class Rule(Resource):
    """A rule for events: its id is its name."""

    token = "aws:cloudwatch/eventRule:EventRule"
    kind = "EventBridge Rule"
    replaces = frozenset({"name", "eventBusName"})
    defaults = {"eventBusName": BUS, "forceDestroy": False}
    computed = frozenset({"arn"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name, the pattern and the tags."""
        found = [*_name_failures(inputs), *tags.failures(inputs)]
        pattern = inputs.get("eventPattern")
        if isinstance(pattern, str) and not is_unknown(pattern) and len(pattern) > PATTERN_LENGTH:
            found.append(Failure("eventPattern", f"has {len(pattern)} characters, AWS takes {PATTERN_LENGTH}"))
        return found + unsupported(inputs, "namePrefix", "scheduleExpression", "isEnabled", "state", "roleArn")

    def same(self, name: str, old: Value, new: Value) -> bool:
        """A pattern with other spaces is the same."""
        return name == "eventPattern" and json.loads(str(old)) == json.loads(str(new))

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it with its tags."""
        self._put(inputs, aws, Tags=tags.as_list(inputs.get("tags")))
        return inputs["name"], {"arn": aws.client("events").describe_rule(Name=inputs["name"])["Arn"]}

    def _put(self, inputs: Object, aws: Aws, **more: Any) -> None:
        description = inputs.get("description") or ""
        aws.client("events").put_rule(
            Name=inputs["name"], EventPattern=inputs["eventPattern"], Description=description, **more
        )

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The rule and its tags."""
        client = aws.client("events")
        found = client.describe_rule(Name=id)
        listed = client.list_tags_for_resource(ResourceARN=found["Arn"])["Tags"]
        return {
            "name": found["Name"],
            "eventBusName": found.get("EventBusName", BUS),
            "description": found.get("Description", ""),
            "eventPattern": found["EventPattern"],
            "tags": tags.as_object(listed),
            "arn": found["Arn"],
            "region": aws.region,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The pattern, the description and the tags."""
        client = aws.client("events")
        self._put(new, aws)
        expected, unwanted = tags.changes(old, new)
        if unwanted:
            client.untag_resource(ResourceARN=old["arn"], TagKeys=unwanted)
        if expected:
            client.tag_resource(ResourceARN=old["arn"], Tags=expected)
        return {"arn": old["arn"]}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it; AWS refuses that while it has targets."""
        aws.client("events").delete_rule(Name=id)


class Target(Resource):
    """A target of a rule: its id is `<rule>-<target>`."""

    token = "aws:cloudwatch/eventTarget:EventTarget"
    kind = "EventBridge Target"
    replaces = frozenset({"rule", "targetId", "eventBusName"})
    defaults = {"eventBusName": BUS, "forceDestroy": False}

    def check(self, inputs: Object) -> list[Failure]:
        """Only HTTP APIs."""
        known = ("rule", "targetId", "eventBusName", "forceDestroy", "arn", "roleArn")
        return unsupported_but(inputs, *known, "inputTransformer", "httpTarget", "retryPolicy")

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Add it to the rule."""
        self._put(inputs, aws)
        return f"{inputs['rule']}-{inputs['targetId']}", {}

    def _put(self, inputs: Object, aws: Aws) -> None:
        transformer, http, retry = (inputs.get(key) or {} for key in ("inputTransformer", "httpTarget", "retryPolicy"))
        target = {
            "Id": inputs["targetId"],
            "Arn": inputs["arn"],
            "RoleArn": inputs["roleArn"],
            "InputTransformer": {
                "InputPathsMap": transformer.get("inputPaths") or {},
                "InputTemplate": transformer["inputTemplate"],
            },
            "HttpParameters": {"HeaderParameters": http.get("headerParameters") or {}},
            "RetryPolicy": {
                "MaximumRetryAttempts": int(retry["maximumRetryAttempts"]),
                "MaximumEventAgeInSeconds": int(retry["maximumEventAgeInSeconds"]),
            },
        }
        aws.client("events").put_targets(Rule=inputs["rule"], Targets=[target])

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The target, if the rule has it."""
        targets = aws.client("events").list_targets_by_rule(Rule=state["rule"])["Targets"]
        found = next((it for it in targets if it["Id"] == state["targetId"]), None)
        if found is None:
            return None
        transformer = found["InputTransformer"]
        return {
            "arn": found["Arn"],
            "roleArn": found["RoleArn"],
            "inputTransformer": {
                "inputPaths": transformer["InputPathsMap"],
                "inputTemplate": transformer["InputTemplate"],
            },
            "region": aws.region,
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Put it in place of the old one."""
        self._put(new, aws)
        return {}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it from the rule."""
        aws.client("events").remove_targets(Rule=state["rule"], Ids=[state["targetId"]])


RESOURCES: dict[str, Resource] = {it.token: it for it in (Connection(), Destination(), Rule(), Target())}


def _connection(inputs: Object) -> dict[str, Any]:
    parameters = inputs["authParameters"]
    key, http = parameters["apiKey"], parameters.get("invocationHttpParameters") or {}
    found: dict[str, Any] = {"ApiKeyAuthParameters": {"ApiKeyName": key["key"], "ApiKeyValue": key["value"]}}
    if bodies := http.get("bodies"):
        found["InvocationHttpParameters"] = {
            "BodyParameters": [
                {"Key": it["key"], "Value": it["value"], "IsValueSecret": bool(it.get("isValueSecret"))}
                for it in bodies
            ]
        }
    return {
        "Description": inputs.get("description") or "",
        "AuthorizationType": inputs["authorizationType"],
        "AuthParameters": found,
    }


def _destination(inputs: Object) -> dict[str, Any]:
    return {
        "Description": inputs.get("description") or "",
        "ConnectionArn": inputs["connectionArn"],
        "InvocationEndpoint": inputs["invocationEndpoint"],
        "HttpMethod": inputs["httpMethod"],
        "InvocationRateLimitPerSecond": int(inputs["invocationRateLimitPerSecond"]),
    }


def _name_failures(inputs: Object) -> list[Failure]:
    name = inputs.get("name")
    if isinstance(name, str) and not is_unknown(name) and not 1 <= len(name) <= 64:
        return [Failure("name", f"expected length of name to be in the range (1 - 64), got {name}")]
    return []
