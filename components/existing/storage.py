"""An existing object store."""

import pulumi

from ..storage import Storage, StorageSettings


def storage(settings: StorageSettings) -> Storage:
    """The storage in the configuration. Its secret key remains a secret."""
    return Storage(
        uri=settings.uri,
        plugin=settings.plugin,
        region=settings.region,
        endpoint=settings.endpoint,
        path_style=settings.path_style,
        access_key=pulumi.Output.from_input(settings.access_key) if settings.access_key else None,
        secret_key=settings.secret_key,
    )
