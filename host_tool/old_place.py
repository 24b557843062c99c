"""What this cluster has at a place on a storage, such as the one where its storage was before, and whether a declared
job still needs it.
"""

from __future__ import annotations

from .job_record import Kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .store import Store


def folders(cluster: str) -> list[str]:
    """All that a cluster may have below a place."""
    stores = ("job-result-store", "application-result-store")
    ha = [f"ha/{cluster}", *(f"ha/{name}/{cluster}" for name in stores)]
    return [*ha, *(f"{name}/{cluster}" for name in ("checkpoints", "savepoints", "jobs", "history"))]


def held(place: str, cluster: str, jobs: Sequence[dict[str, Any]], store: Store) -> dict[str, Any]:
    """What is at a place: folders with their files, bytes, and when the last one was written (milliseconds since 1970);
    and the jobs that need something there, with what. `jobs`: the values of declared ones, as in `Job`.
    """
    place = place.rstrip("/")
    found = []
    for folder in folders(cluster):
        files = store.files(f"{place}/{folder}")
        if files:
            size = store.size(f"{place}/{folder}")
            found.append({"folder": folder, "files": len(files), "bytes": size, "newest": max(files.values())})
    needed = {}
    for values in jobs:
        state = _state(values, store)
        if state.startswith(f"{place}/"):
            needed[values["name"]] = state
    return {"place": place, "folders": found, "needed": needed}


def _state(values: dict[str, Any], store: Store) -> str:
    """Where the job would continue if it had to start now."""
    kept = Kept(values, store)
    kept.read()
    attempt = kept.record.running or kept.record.starting
    return kept.newest(attempt) if attempt else kept.record.state
