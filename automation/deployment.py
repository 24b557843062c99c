"""What a deployment, which is a stack's state, says about its stack."""

from collections.abc import Mapping
from typing import Any

AWS_PROVIDER = "pulumi:providers:aws"
"""Type of the resource that stands for Pulumi's AWS plugin."""


def on_aws(deployment: Mapping[str, Any]) -> bool:
    """Whether the stack has, or has had, resources on AWS."""
    return any(it["type"] == AWS_PROVIDER for it in deployment.get("resources") or [])
