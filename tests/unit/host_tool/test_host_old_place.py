"""What a cluster has at a place where its storage was before."""

from __future__ import annotations

from host_tool.old_place import held
from tests.unit.host_tool.test_host_declared_job import BEFORE, OLD, STORAGE, Flink, Store, apply, moving, values


class Sized(Store):
    """Each file has 7 bytes."""

    def size(self, uri: str) -> int:
        return 7 * len(self.files(uri))


def told(flink: Flink, place: str) -> dict[str, object]:
    return held(place, "c", [values()], Sized(flink))  # type: ignore[arg-type]


def test_a_job_needs_the_old_place_until_it_has_a_checkpoint_elsewhere() -> None:
    flink = Flink()
    moving(flink)
    state = f"{OLD}/savepoints/1-1/savepoint-1"
    apply(flink, state="suspended", **BEFORE)
    assert told(flink, "s3://old/x")["needed"] == {"counts": state}
    apply(flink, **BEFORE)
    assert told(flink, "s3://old/x") == {
        "place": "s3://old/x",
        "folders": [{"folder": "jobs/c", "files": 2, "bytes": 14, "newest": 0}],
        "needed": {},
    }
    flink.files = {name: text for name, text in flink.files.items() if "/chk-" not in name}
    assert told(flink, "s3://old/x/")["needed"] == {"counts": state}


def test_other_clusters_and_places_do_not_count() -> None:
    flink = Flink()
    apply(flink)
    flink.files |= {f"{STORAGE}/ha/d/file": "", f"{STORAGE}/else": "", f"{STORAGE}/ha/c/a": "", f"{STORAGE}/ha/c/b": ""}
    found = told(flink, STORAGE)
    assert [(it["folder"], it["files"]) for it in found["folders"]] == [  # type: ignore[attr-defined]
        ("ha/c", 2),
        ("checkpoints/c", 1),
        ("jobs/c", 1),
    ]
    assert told(flink, "s3://bucket/") == {"place": "s3://bucket", "folders": [], "needed": {}} | {
        "needed": told(flink, "s3://bucket")["needed"]
    }
