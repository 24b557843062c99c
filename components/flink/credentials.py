"""The keys of the storage on a host, in a separate file, so that differences of config.yaml can be shown."""

import base64
from collections.abc import Mapping

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES
from ..storage import Storage
from .settings import ClusterSettings


def environment(storage: Mapping[str, str], secret_config: str) -> str:
    """The file's text, in a format for systemd and login shells, which treat single quotes alike: the storage's
    variables, if it has any, and the daemon's secret options on a line, if there are any, whatever is in them
    (launch.sh).
    """
    text = "".join(f"{name}='{value}'\n" for name, value in storage.items())
    if secret_config:
        text += f"FLINK_SECRET_CONFIG='{base64.b64encode(secret_config.encode()).decode()}'\n"
    return text


def declared(host: Host, storage: Storage, settings: ClusterSettings) -> bool:
    """Whether a host has them. Where it does not, the step `system` removes those that it had."""
    row = ROLES[host.role]
    variables = storage.secrets or storage.daemon_environment
    return (row.uses_storage and bool(variables)) or (row.runs_flink and settings.secret_config is not None)


def credentials(
    host: Host, storage: Storage, settings: ClusterSettings, opts: pulumi.ResourceOptions
) -> remote.Command | None:
    """The step that writes the keys and secret options. None if there are none for the role."""
    if not declared(host, storage, settings):
        return None
    row = ROLES[host.role]
    user = row.user
    known = {**storage.daemon_environment, **storage.secrets} if row.uses_storage else {}
    variables = pulumi.Output.from_input(dict(known))
    stdin = pulumi.Output.all(variables, settings.secret_config or "").apply(
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
