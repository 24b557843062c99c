"""A tunnel to the bastion by Session Manager, held open: it is opened again when it ends, as sessions do after 20
minutes without traffic, when the bastion is replaced, or while it does not exist yet.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from components.naming import PROJECT
from ops.errors import OpsError

PAUSE_SECONDS = 5
_ROLE = "bastion"


def hold(
    stack: str,
    region: str,
    port: int,
    *,
    run: Callable[[list[str]], int] = subprocess.call,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Hold the tunnel from a local port to port 22 of the bastion until Ctrl-C. Raises OpsError."""
    told = ""
    try:
        ec2 = boto3.client("ec2", region_name=region)
        while True:
            bastion = find(ec2, stack)
            said = f"tunnel: 127.0.0.1:{port} to {bastion}" if bastion else f"tunnel: stack {stack} has no bastion yet"
            if said != told:
                told = said
                print(said, file=sys.stderr, flush=True)
            if bastion:
                run(command(region, bastion, port))
            sleep(PAUSE_SECONDS)
    except (BotoCoreError, ClientError) as error:
        raise OpsError(f"AWS does not answer: {error}") from None
    except FileNotFoundError:
        raise OpsError("there is no `aws` on PATH: install the AWS CLI and its Session Manager plugin") from None


def find(ec2: Any, stack: str) -> str:
    """Id of the running bastion of a stack; empty if there is none."""
    tags = {"project": PROJECT, "stack": stack, "role": _ROLE}
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return next((str(it["InstanceId"]) for group in found for it in group["Instances"]), "")


def command(region: str, instance: str, port: int) -> list[str]:
    """The AWS CLI's command."""
    parameters = json.dumps({"portNumber": ["22"], "localPortNumber": [str(port)]})
    words = ["aws", "ssm", "start-session", "--region", region, "--target", instance]
    return [*words, "--document-name", "AWS-StartPortForwardingSession", "--parameters", parameters]
