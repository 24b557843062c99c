"""What becomes of a declared job and its state, in words for a reviewer (host_tool/declared_job.py)."""

from collections.abc import Mapping
from typing import Any

PREFIX = "job-"
"""Of the name of the resource that shows a job as declared; the job's name follows."""

_UPGRADES = {
    "savepoint": "stops with a savepoint, and starts from it",
    "last-state": "is cancelled, and starts from its newest checkpoint",
    "stateless": "is cancelled, and starts without its state",
    "blue-green": "starts beside what runs, from a savepoint of it, and takes over when it is stable",
}
LOST = "is cancelled: its state is not kept"
_STOPS = {
    "savepoint": "stops with a savepoint",
    "drain": "is drained, and stops with a savepoint",
    "cancel": LOST,
}
_WITHOUT_EFFECT = {"onDelete", "upgradeMode", "initialSavepoint"}
"""Settings that matter only later."""


def fate(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What `up` does with the job; one of the two is empty for a job that is created or deleted."""
    if not new:
        return _STOPS.get(str(old.get("onDelete")), "")
    if not old:
        if new.get("state") == "suspended":
            return "is declared, and does not run"
        start = new.get("initialSavepoint")
        return f"starts from {start}" if start else "starts; if it ran here before, from the state in which it stopped"
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    stateless = new.get("upgradeMode") == "stateless"
    if "state" in changed:
        if new.get("state") == "suspended":
            return "stops, without its state" if stateless else "stops with its state, and is suspended"
        return "starts without state" if stateless else "starts from the state in which it was suspended"
    if new.get("state") == "suspended":
        return "stays suspended"
    if changed <= _WITHOUT_EFFECT:
        return "continues to run"
    if changed <= {*_WITHOUT_EFFECT, "savepointNonce"}:
        return "continues to run, and a savepoint is taken"
    if changed <= {*_WITHOUT_EFFECT, "flink"}:
        return "is handed over to the other release of Flink, or, if that refuses it, stops with a savepoint"
    upgrade = _UPGRADES.get(str(new.get("upgradeMode")), "")
    if changed <= {*_WITHOUT_EFFECT, "parallelism"} and new.get("upgradeMode") != "blue-green":
        return f"is rescaled while it runs, if its scheduler is adaptive; otherwise it {upgrade}"
    return upgrade
