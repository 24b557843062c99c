"""What becomes of a declared job and its state, in words for a reviewer (host_tool/declared_job.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "job-"
"""Of the name of the resource that shows a job as declared; the job's name follows."""


@dataclass(frozen=True)
class Fate:
    """What `up` does with a job."""

    what: str
    changed: tuple[str, ...] = ()
    """Its settings that change."""
    upgraded: bool = False
    """Whether a new version takes the place of one that runs."""
    lost: bool = False
    """Whether state is lost that has been kept until now."""


_UPGRADES = {
    "savepoint": "stops with a savepoint, and starts from it",
    "last-state": "is cancelled, and starts from its newest checkpoint",
    "stateless": "is cancelled, and starts without its state",
    "blue-green": "starts beside what runs, from a savepoint of it, and takes over when it is stable",
}
_SUSPENDS = {
    "last-state": "is cancelled, keeps its newest checkpoint, and is suspended",
    "stateless": "is cancelled without its state, and is suspended",
}
_STOPS = {
    "savepoint": "stops with a savepoint, which stays",
    "drain": "is drained, and stops with a savepoint, which stays",
    "cancel": "is cancelled: its state is not kept",
}
_STATELESS = "stateless"
_WITHOUT_EFFECT = {
    *("onDelete", "upgradeMode", "initialSavepoint"),
    *("stableSeconds", "startTimeoutSeconds", "savepoints", "restarts"),
}
"""Settings that matter only later."""


def fate(old: Mapping[str, Any], new: Mapping[str, Any]) -> Fate:
    """What `up` does with the job; one of the two is empty for a job that is created or deleted."""
    if not new:
        if old.get("state") == "suspended":
            return Fate("is no longer declared; its state stays")
        how = str(old.get("onDelete"))
        return Fate(_STOPS.get(how, ""), lost=how == "cancel")
    if not old:
        return Fate(_begins(new))
    # The release is shown since a later version
    ignored = set() if "flink" in old else {"flink"}
    changed = {key for key in {*old, *new} - ignored if old.get(key) != new.get(key)}
    mode, names = str(new.get("upgradeMode")), tuple(sorted(changed))
    lost = mode == _STATELESS != old.get("upgradeMode")
    if "state" in changed and new.get("state") == "suspended":
        return Fate(_SUSPENDS.get(mode, "stops with a savepoint, and is suspended"), names, lost=lost)
    if "state" in changed:
        start = "starts without state" if mode == _STATELESS else "starts from the state in which it was suspended"
        return Fate(start, names, lost=lost)
    if new.get("state") == "suspended":
        return Fate("stays suspended", names)
    effective = changed - _WITHOUT_EFFECT
    if not effective:
        return Fate("continues to run", names)
    if effective == {"savepointNonce"}:
        return Fate("continues to run, and a savepoint is taken", names)
    if effective == {"flink"}:
        return Fate(
            "is handed over to the other release of Flink; if that refuses it, it stops with a savepoint, and starts "
            "from it",
            names,
        )
    upgrade = _UPGRADES.get(mode, "")
    if new.get("allowNonRestoredState") and mode != _STATELESS:
        upgrade += "; state that none of its operators takes is dropped"
    if effective == {"parallelism"} and mode != "blue-green":
        upgrade = f"is rescaled while it runs, if its scheduler is adaptive; otherwise it {upgrade}"
    return Fate(upgrade, names, upgraded=True, lost=lost)


def _begins(new: Mapping[str, Any]) -> str:
    if new.get("state") == "suspended":
        return "is declared, and does not run"
    kept = "" if new.get("upgradeMode") == _STATELESS else "; if it ran here before, from the state in which it stopped"
    start = new.get("initialSavepoint")
    return f"starts from {start}{kept}" if start else f"starts{kept}"


def notes(fates: Mapping[str, Fate], created: bool, deleted: bool) -> list[str]:
    """What holds for all of them; `created` and `deleted` are whether some are."""
    found = []
    if any(it.upgraded for it in fates.values()):
        found.append(
            "A job that is failing is upgraded from its newest checkpoint. If a new version does not become stable, "
            "what ran before runs again from its state, and `up` fails."
        )
    if created and deleted:
        found.append(
            "Under another name it is another job: it does not continue from the state of the one that leaves."
        )
    return found
