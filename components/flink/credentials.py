"""The keys of the storage on a host, in a separate file, so that differences of config.yaml can be shown."""

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES
from ..storage import Storage


def credentials_env(access_key: str, secret_key: str) -> str:
    """The keys in a format for systemd and login shells, which treat single quotes alike."""
    return f"AWS_ACCESS_KEY_ID='{access_key}'\nAWS_SECRET_ACCESS_KEY='{secret_key}'\n"


def declared(host: Host, storage: Storage) -> bool:
    """Whether a host has them. Where it does not, the step `system` removes those that it had."""
    return ROLES[host.role].uses_storage and storage.access_key is not None and storage.secret_key is not None


def credentials(host: Host, storage: Storage, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """The step that writes the keys. None if the role does not use the storage or the storage needs no keys."""
    if not declared(host, storage):
        return None
    user = ROLES[host.role].user
    stdin = pulumi.Output.all(storage.access_key, storage.secret_key).apply(
        lambda keys: script_text(
            host,
            "credentials.sh",
            files=[
                File(
                    path="/etc/flink/credentials.env",
                    text=credentials_env(keys[0], keys[1]),
                    mode="0600",
                    owner=f"{user}:{user}",
                )
            ],
        )
    )
    return step(host, "credentials", pulumi.Output.secret(stdin), opts=opts)
