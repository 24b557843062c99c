"""The plan of the account: accounts on AWS's free plan (since July 2025) may launch a few small instance types only.

Pulumi's plugin has no function for it, so this asks AWS itself, with the plugin's profile, or the environment's
credentials. The answer counts only if it is about the account in which the plugin works.
"""

import boto3
import pulumi
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import names

REGION = "us-east-1"
"""The only one with this API: https://docs.aws.amazon.com/general/latest/gr/billing.html."""

# The answer only improves a message: a network without access to this API must not delay each preview
_QUICK = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})


def is_free(account: str, region: str) -> bool:
    """Whether `account` is on the free plan. False if it does not tell: no right (freetier:GetAccountPlanState), no
    access to the API, an account that is older than the plans, or another partition of AWS.
    """
    if names.partition(region).name != "aws":
        return False
    plugin = pulumi.Config("aws")
    endpoints = [group["sts"] for group in plugin.get_object("endpoints") or () if group.get("sts")]
    if plugin.get("endpoints") and not endpoints:
        return False
    try:
        session = boto3.Session(profile_name=plugin.get("profile"))
        if session.get_credentials() is None:
            return False
        # Endpoints of all services are one only where something else than AWS answers, or nothing: see above
        at = endpoints[0] if endpoints else None
        found = session.client("freetier", region_name=REGION, endpoint_url=at, config=_QUICK).get_account_plan_state()
    except (BotoCoreError, ClientError) as error:
        pulumi.log.debug(f"the account's plan is not known: {error}")
        return False
    return bool(found.get("accountId") == account and found.get("accountPlanType") == "FREE")
