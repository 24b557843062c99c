"""The plugins of the engine that there are stand-ins for."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stand_ins.plugin.install import install
from stand_ins.plugin.provider import stand_in


@dataclass(frozen=True)
class Plugin:
    """A plugin of the engine: the official one, and the module that stands in for it where that cannot be had."""

    name: str
    """As after `pulumi-resource-`."""
    version: str
    """Of the SDK that requirements.in pins, and so of the official one; without a v."""
    module: str
    """The stand-in's, run as a program."""

    @property
    def announcement(self) -> str:
        """What the stand-in says of itself in every run."""
        return stand_in(self.name, self.version)

    def install(self, folder: Path) -> Path:
        """Put the stand-in, `pulumi-resource-<name>`, into a folder, which is made; gives its path."""
        return install(folder, self.name, self.module)


def _plugin(name: str, module: str) -> Plugin:
    return Plugin(name, version(f"pulumi-{name}"), module)


COMMAND = _plugin("command", "stand_ins.command_plugin")
SILENT_COMMAND = _plugin("command", "stand_ins.command_plugin.silent")
"""Runs nothing: for stacks of hosts that are not there."""
AWS = _plugin("aws", "stand_ins.aws_plugin.run_aws")
TLS = _plugin("tls", "stand_ins.aws_plugin.run_tls")
