"""Keys that have no effect together with other keys. They are refused, because their user expects an effect."""

from collections.abc import Collection, Mapping
from typing import Any

from ..problems import Problems
from .groups import GROUPS


def check(values: Mapping[str, Any], given: Collection[str], problems: Problems) -> None:
    """Add a problem for each key in `given`, those with another value than the default, that has no effect."""
    for key, why in sorted(_without_effect(values).items()):
        if key in given:
            problems.add(key, f"has no effect {why}: remove it")


def _without_effect(values: Mapping[str, Any]) -> dict[str, str]:
    """Keys without effect, and the reason."""
    found = {}
    if values["vpcId"]:
        found["vpcCidr"] = "with vpcId"
    if values["storageUri"]:
        unchanged = "with storageUri, because the lifecycle rules of an existing bucket are not changed"
        found |= dict.fromkeys(("savepointDays", "versionDays"), unchanged)
    if values["access"] == "ssm":
        found["operatorCidrs"] = "with access: ssm, because nothing accepts connections from outside"
    else:
        found |= dict.fromkeys(("tunnelPort", "ssmAgentVersion", "ssmAgentChecksum"), "without access: ssm")
    if not values["healingUrl"]:
        found |= dict.fromkeys(("healingRef", "healingToken"), "without healingUrl")
    if not values["bastion"]:
        found["bastionType"] = "without bastion"
    for keys in GROUPS.values():
        if keys.spot and not values[keys.spot]:
            found |= dict.fromkeys((keys.rebalance, keys.spot_fallback), f"without {keys.spot}")
        if keys.types and values[keys.types]:
            found[keys.instance_type] = f"with {keys.types}"
        if not values[keys.count]:
            found |= dict.fromkeys(keys.all[1:], f"without {keys.count}")
    if values["instanceProfile"]:
        own_roles = ("permissionsBoundary", *(keys.policies for keys in GROUPS.values()))
        found |= {key: "with instanceProfile, because no role is created" for key in own_roles if key}
    return found
