"""The only table of kinds of storages."""

from collections.abc import Sequence

from . import azure, gcs, hdfs, oss, s3, shared_files
from .base import Kind

STORAGES: Sequence[Kind] = (s3.KIND, hdfs.KIND, oss.KIND, gcs.KIND, azure.KIND, shared_files.KIND)


def kind_of(uri: str) -> Kind | None:
    """The kind of storage that a URI is on; None for a scheme that none has."""
    scheme = uri.partition("://")[0]
    return next((kind for kind in STORAGES if scheme in kind.schemes), None)


def owner_of(key: str) -> Kind | None:
    """The kind that a configuration key belongs to; None for a key of others."""
    return next((kind for kind in STORAGES if key in kind.keys), None)


SECRETS = tuple(key for kind in STORAGES for key in kind.secrets)
"""The configuration keys of all kinds that are secrets."""

OWNED = "|".join(pattern for kind in STORAGES for pattern in kind.owned)
"""A regular expression of the options of Flink that the program sets for storages."""

CREATED = s3.KIND
"""The kind of a storage that a provider creates."""
