"""Flink's configuration for its own programs on this host, such as `flink run`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "/etc/flink"


@contextlib.contextmanager
def complete(user: str) -> Iterator[str]:
    """Path of a folder with the configuration. With TLS it is a copy that contains the passwords of this host's stores:
    only `user` can read it, and it is removed at the end.
    """
    folder = FOLDER
    options = f"{folder}/tls/options.yaml"
    with open(f"{folder}/config.yaml") as file:
        encrypted = "security.ssl.rest.enabled: true" in file.read()
    if not encrypted:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="flink-conf-") as copy:
        for name in os.listdir(folder):
            if name.endswith((".yaml", ".properties")):
                shutil.copy(f"{folder}/{name}", copy)
        with open(options) as file, open(f"{copy}/config.yaml", "a") as whole:
            shutil.copyfileobj(file, whole)
        for path in (copy, *(f"{copy}/{name}" for name in os.listdir(copy))):
            shutil.chown(path, user, user)
        yield copy
