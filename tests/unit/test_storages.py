"""The table of storages, and that every kind of storage keeps to itself."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from components.storage import S3, Storage
from components.storage.table import OWNED, SECRETS, STORAGES, kind_of, owner_of
from tests.unit.program import Recorded, load, refused
from tests.unit.test_program import run, stdin

ROOT = Path(__file__).resolve().parents[2]


def test_a_scheme_and_a_key_belong_to_one_kind() -> None:
    for parts in ([kind.schemes for kind in STORAGES], [kind.keys for kind in STORAGES]):
        found = [one for each in parts for one in each]
        assert len(found) == len(set(found))
    for kind in STORAGES:
        assert kind_of(f"{kind.schemes[0]}://x") is kind
        assert all(owner_of(key) is kind for key in kind.keys)
    assert kind_of("ftp://x") is None and owner_of("workers") is None


def test_the_keys_of_the_table_are_keys_of_the_program_and_its_secrets_must_be_secrets() -> None:
    for kind in STORAGES:
        assert set(kind.keys) <= set(settings.schema()), kind.title
        assert set(kind.secrets) <= set(kind.keys), kind.title
    assert set(SECRETS) <= set(settings.SECRETS)
    assert re.fullmatch(OWNED, "s3.endpoint") and not re.fullmatch(OWNED, "s3.multiobjectdelete.enable")


def test_nobody_else_asks_which_kind_a_storage_is_of() -> None:
    """A kind is one module and one row. Providers that create a storage know what they create, and the tools that
    compare or read S3 by themselves do, too.
    """
    knows = {"components/aws", "branches/snapshots.py", "ops/aws.py", "ops/places.py"}
    texts = {
        str(file.relative_to(ROOT)): file.read_text()
        for folder in ("components", "settings", "host_tool", "ops", "branches")
        for file in (ROOT / folder).rglob("*.py")
    }
    # "file" alone is many other things
    schemes = "|".join(scheme for kind in STORAGES for scheme in kind.schemes)
    alone = schemes.removesuffix("|file")
    asks = re.compile(rf"""["'](?:{alone})["']|startswith\(f?["'](?:{schemes})://|storage\.s3 import""")
    found = [
        path
        for path, text in texts.items()
        if asks.search(text) and not path.startswith(("components/storage/", *knows))
    ]
    assert found == []


def test_a_storage_of_another_program_must_have_what_its_uri_needs() -> None:
    storage = Storage(uri="s3://bucket/x", backends=[S3(region="eu-central-1")])
    assert storage.servers == ("https://s3.eu-central-1.amazonaws.com",)
    with pytest.raises(ValueError, match=r"s3://bucket/x is on no storage of `backends`: expected .*none given"):
        _ = Storage(uri="s3://bucket/x", backends=[]).servers


ELSEWHERE: dict[str, Any] = {
    "haUri": "s3://meta/dev/",
    "checkpointsUri": "s3://flink/dev",
    "savepointsUri": "s3a://kept/dev",
}


def test_places_may_be_apart_and_everything_finds_them(folder: Path) -> None:
    storage = load(folder, **ELSEWHERE).storage
    assert (storage.ha_uri, storage.checkpoints_uri, storage.savepoints_uri) == ("s3://meta/dev", "", "s3a://kept/dev")
    assert storage.uris == ("s3://flink/dev", "s3://meta/dev", "s3a://kept/dev") and len(storage.servers) == 1
    found = run(folder, **ELSEWHERE, keepState=False)
    config = yaml.safe_load(text_of(found, "jm-0-config", "/etc/flink/config.yaml"))
    assert config["high-availability.storageDir"] == "s3://meta/dev/ha"
    assert config["execution.checkpointing.dir"] == "s3://flink/dev/checkpoints/dev"
    assert config["execution.checkpointing.savepoint-dir"] == "s3a://kept/dev/savepoints/dev"
    assert config["flink-host.storage"] == "s3://flink/dev"
    purged = {line.removeprefix("what=") for line in stdin(found, "dev-purge").splitlines() if line.startswith("what=")}
    assert purged == {
        "(s3://meta/dev/ha/dev s3://meta/dev/ha/job-result-store/dev s3://meta/dev/ha/application-result-store/dev "
        "s3://flink/dev/checkpoints/dev s3a://kept/dev/savepoints/dev s3://flink/dev/jobs/dev s3://flink/dev/history/dev)"
    }


def test_a_cluster_whose_places_are_together_has_nothing_of_it(folder: Path) -> None:
    found = run(folder, haUri="s3://flink/dev")
    assert "flink-host.storage" not in text_of(found, "jm-0-config", "/etc/flink/config.yaml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"haUri": "ftp://x/y"}, "haUri: 'ftp://x/y' is on no kind of storage that is known: expected s3://bucket/"),
        ({"checkpointsUri": "s3://X"}, "checkpointsUri: 's3://X' is not an S3 URI: expected s3://bucket/prefix"),
        ({"savepointsUri": "s3://b/$(x)"}, "savepointsUri: 's3://b/\\$\\(x\\)' is not an S3 URI"),
    ],
)
def test_a_place_that_is_none_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    assert re.search(told, refused(folder, **changes))


def text_of(found: dict[str, Recorded], step: str, path: str) -> str:
    """The text of a file that a step writes."""
    return stdin(found, step).partition(f"write_file {path} ")[2].partition("\n")[2].partition("\nEND_OF_FILE\n")[0]
