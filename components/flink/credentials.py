"""The keys of the storage on a host, in a separate file, so that differences of config.yaml can be shown."""

import base64
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES
from ..storage import Storage
from .settings import ClusterSettings


def credentials_env(access_key: str, secret_key: str) -> str:
    """The keys in a format for systemd and login shells, which treat single quotes alike."""
    return f"AWS_ACCESS_KEY_ID='{access_key}'\nAWS_SECRET_ACCESS_KEY='{secret_key}'\n"


def environment(keys: Sequence[str], secret_config: str) -> str:
    """The file's text: the storage's key pair, if there is one, and the daemon's secret options, if there are any, on a
    line whatever is in them (launch.sh).
    """
    text = credentials_env(*keys) if keys else ""
    if secret_config:
        text += f"FLINK_SECRET_CONFIG='{base64.b64encode(secret_config.encode()).decode()}'\n"
    return text


def declared(host: Host, storage: Storage, settings: ClusterSettings) -> bool:
    """Whether a host has them. Where it does not, the step `system` removes those that it had."""
    row = ROLES[host.role]
    return (row.uses_storage and _has_keys(storage)) or (row.runs_flink and settings.secret_config is not None)


def _has_keys(storage: Storage) -> bool:
    return storage.access_key is not None and storage.secret_key is not None


def credentials(
    host: Host, storage: Storage, settings: ClusterSettings, opts: pulumi.ResourceOptions
) -> remote.Command | None:
    """The step that writes the keys and secret options. None if there are none for the role."""
    if not declared(host, storage, settings):
        return None
    user = ROLES[host.role].user
    keys = [storage.access_key, storage.secret_key] if _has_keys(storage) else []
    stdin = pulumi.Output.all(pulumi.Output.all(*keys), settings.secret_config or "").apply(
        lambda known: script_text(
            host,
            "credentials.sh",
            files=[
                File(
                    path="/etc/flink/credentials.env",
                    text=environment(known[0], known[1]),
                    mode="0600",
                    owner=f"{user}:{user}",
                )
            ],
        )
    )
    return step(host, "credentials", pulumi.Output.secret(stdin), opts=opts)
