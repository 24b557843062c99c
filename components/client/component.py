"""A client host: Java, Flink and the cluster's configuration, but no daemon. People log in to it for `flink run`,
`flink list` and `sql-client.sh`, instead of logging in to hosts with daemons.
"""

from collections.abc import Sequence
from dataclasses import replace

import pulumi
from pulumi_command import remote

from .. import naming
from ..flink import encryption, storage_steps, trusted
from ..flink.config_yaml import config_yaml, flink_config
from ..flink.context import Context, Running, keep
from ..flink.flink_host import configuration, install_flink
from ..flink.python import python_environment
from ..host import Host, Role
from ..remote import script_text, step
from ..roles import ROLES


class Client(pulumi.ComponentResource):
    """A client host. After the step `ready`, its commands find the cluster."""

    def __init__(
        self, name: str, context: Context, host: Host, text: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(naming.type_token("flink", "Client"), name, None, opts)
        node = context.nodes[name]
        release = install_flink(context, host, self)
        prepared = pulumi.ResourceOptions(parent=self, depends_on=node.prepared)
        python = python_environment(host, context.settings, prepared)
        store = pulumi.ResourceOptions(parent=self, depends_on=[node.prepared, node.java])
        settings, storage = context.settings, context.storage
        kinds = storage_steps.prepare(host, settings, storage, [node.prepared, release], self)
        more = [*kinds, *(each for each in (python, trusted.install(host, context.settings, store)) if each)]
        after = [node.prepared, node.java, release, context.joined[name], *more]
        identity = context.encryption.identity(host, node, self) if context.encryption else None
        self.ready = step(
            host,
            "config",
            self._with_passwords(host, text, identity) if identity else _plain(host, text),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self.register_outputs({})

    @staticmethod
    def _with_passwords(host: Host, text: str, identity: remote.Command) -> pulumi.Output[str]:
        declared, *others = configuration(text)
        files = [replace(declared, path=f"{declared.path}.declared"), *others]
        values = {"group": ROLES[host.role].user, "options": encryption.OPTIONS}
        return identity.stdout.apply(
            lambda known: script_text(host, "client/config.sh", {**values, "tls": known.strip()}, files)
        )


def _plain(host: Host, text: str) -> str:
    return script_text(host, "files.sh", {"what": "configuration"}, configuration(text))


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """Client hosts."""
    text = config_yaml(flink_config(Role.CLIENT, context.settings, context.storage, context.members))
    for host in hosts:
        keep(host, Client(host.name, context, host, text, opts).ready)
    # Neither the rollout nor the cluster check depends on client hosts
    return Running()
