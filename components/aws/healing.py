"""Lost machines come back without a person: AWS reports a machine's end to the CI system, which runs `up --refresh`.

docs/decisions/0023-lost-machines-heal.md has the reasons.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, iam

from .. import naming
from ..naming import Labels
from . import identity, names
from .ci import HealingSettings

MACHINES_PER_RULE = 50
"""AWS allows 2,048 characters in an event pattern, and the id of an instance has 19."""
RETRY_SECONDS = 3600
"""For how long AWS tries to reach the CI system."""


@dataclass(frozen=True, kw_only=True)
class HealingArgs:
    """Arguments of `Healing`. `machines` are the ids of all instances, in the order of their declaration."""

    settings: HealingSettings
    region: str
    labels: Labels
    machines: Sequence[pulumi.Output[str]]
    permissions_boundary: str = ""
    """ARN; empty: none."""


def pattern(machines: Sequence[str]) -> str:
    """The events of interest. They have no tags, so the rule names the machines.

    Not `shutting-down`, as the plugin still finds the instance then; not the interruption warning of spot instances,
    two minutes before the end: nothing could be replaced yet.
    """
    return json.dumps(
        {
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Instance State-change Notification"],
            "detail": {"state": ["terminated"], "instance-id": list(machines)},
        }
    )


def template(settings: HealingSettings, stack: str) -> str:
    """The body of the request. EventBridge fills in `<instance>`."""
    inputs = {"stack": stack, "instance": "<instance>"}
    if settings.on_github:
        return json.dumps({"ref": settings.ref, "inputs": inputs})
    # GitLab refuses variables of triggers in new projects. Its job looks at all stacks, as GitHub's does
    return json.dumps({"ref": settings.ref})


class Healing(pulumi.ComponentResource):
    """The rules, and what they need to call the CI system."""

    def __init__(self, name: str, args: HealingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Healing"), name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        destination = self._destination()
        role = self._role(destination)
        for number in range(0, len(args.machines), MACHINES_PER_RULE):
            self._rule(number // MACHINES_PER_RULE, args.machines[number:][:MACHINES_PER_RULE], destination, role)
        self.register_outputs({})

    @property
    def _called(self) -> str:
        return names.healing(self._args.labels.stack)

    def _destination(self) -> cloudwatch.EventApiDestination:
        settings = self._args.settings
        token = pulumi.Output.secret(settings.token)
        connection = cloudwatch.EventConnection(
            "healing",
            name=self._called,
            description=f"Flink cluster {self._args.labels.stack}: the CI system that heals it",
            authorization_type="API_KEY",
            auth_parameters=_github(token) if settings.on_github else _gitlab(token),
            opts=self._child,
        )
        return cloudwatch.EventApiDestination(
            "healing",
            name=self._called,
            connection_arn=connection.arn,
            http_method="POST",
            invocation_endpoint=settings.url,
            # The end of many machines is one event each, and one run is enough for all of them
            invocation_rate_limit_per_second=1,
            opts=self._child,
        )

    def _role(self, destination: cloudwatch.EventApiDestination) -> pulumi.Output[str]:
        labels = self._args.labels
        full = names.role(labels.stack, self._args.region, "healing")
        role = iam.Role(
            "healing",
            name=full,
            description=f"Flink cluster {labels.stack}: EventBridge calls the CI system",
            assume_role_policy=json.dumps(identity.trust_in("events.amazonaws.com")),
            permissions_boundary=self._args.permissions_boundary or None,
            force_detach_policies=True,
            tags=labels.tags(full),
            opts=identity.role_options(self),
        )
        text = destination.arn.apply(
            lambda arn: json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [{"Effect": "Allow", "Action": "events:InvokeApiDestination", "Resource": arn}],
                }
            )
        )
        rights = iam.RolePolicy("healing", name="invoke", role=role.name, policy=text, opts=self._child)
        return pulumi.Output.all(role.arn, rights.id).apply(lambda known: str(known[0]))

    def _rule(
        self,
        number: int,
        machines: Sequence[pulumi.Output[str]],
        destination: cloudwatch.EventApiDestination,
        role: pulumi.Output[str],
    ) -> None:
        """It depends on the machines, so `destroy` deletes it before them, and their end is no event."""
        labels, settings = self._args.labels, self._args.settings
        rule = cloudwatch.EventRule(
            f"healing-{number}",
            name=names.healing(labels.stack, number),
            description=f"Flink cluster {labels.stack}: a machine has ended",
            event_pattern=pulumi.Output.all(*machines).apply(pattern),
            tags=labels.tags(names.healing(labels.stack, number)),
            opts=self._child,
        )
        cloudwatch.EventTarget(
            f"healing-{number}",
            rule=rule.name,
            target_id="ci",
            arn=destination.arn,
            role_arn=role,
            input_transformer=cloudwatch.EventTargetInputTransformerArgs(
                input_paths={"instance": "$.detail.instance-id"}, input_template=template(settings, labels.stack)
            ),
            http_target=cloudwatch.EventTargetHttpTargetArgs(
                header_parameters={"Accept": "application/vnd.github+json"} if settings.on_github else {}
            ),
            retry_policy=cloudwatch.EventTargetRetryPolicyArgs(
                maximum_event_age_in_seconds=RETRY_SECONDS, maximum_retry_attempts=100
            ),
            opts=self._child,
        )


def _github(token: pulumi.Output[str]) -> cloudwatch.EventConnectionAuthParametersArgs:
    return cloudwatch.EventConnectionAuthParametersArgs(
        api_key=cloudwatch.EventConnectionAuthParametersApiKeyArgs(
            key="Authorization", value=pulumi.Output.concat("Bearer ", token)
        )
    )


def _gitlab(token: pulumi.Output[str]) -> cloudwatch.EventConnectionAuthParametersArgs:
    """GitLab expects the token in the body, and EventBridge always sends a header, which GitLab ignores."""
    http = cloudwatch.EventConnectionAuthParametersInvocationHttpParametersArgs(
        bodies=[
            cloudwatch.EventConnectionAuthParametersInvocationHttpParametersBodyArgs(
                key="token", value=token, is_value_secret=True
            )
        ]
    )
    return cloudwatch.EventConnectionAuthParametersArgs(
        api_key=cloudwatch.EventConnectionAuthParametersApiKeyArgs(key="X-Sent-By", value="EventBridge"),
        invocation_http_parameters=http,
    )
