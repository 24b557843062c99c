"""The table of storages, and that every kind of storage keeps to itself."""

import re
from pathlib import Path

import pytest

import settings
from components.storage import S3, Storage
from components.storage.table import OWNED, SECRETS, STORAGES, kind_of, owner_of

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
    schemes = "|".join(scheme for kind in STORAGES for scheme in kind.schemes)
    asks = re.compile(rf"""["'](?:{schemes})["']|startswith\(f?["'](?:{schemes})://|storage\.s3 import""")
    found = [
        path
        for path, text in texts.items()
        if asks.search(text) and not path.startswith(("components/storage/", *knows))
    ]
    assert found == []


def test_a_storage_of_another_program_must_have_what_its_uri_needs() -> None:
    storage = Storage(uri="s3://bucket/x", backends=[S3(region="eu-central-1")])
    assert storage.server == "https://s3.eu-central-1.amazonaws.com"
    with pytest.raises(ValueError, match=r"s3://bucket/x is on no storage of `backends`: expected .*none given"):
        _ = Storage(uri="s3://bucket/x", backends=[]).server
