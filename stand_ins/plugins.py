"""The engine's plugins that have stand-ins."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from stand_ins.plugin.install import install
from stand_ins.plugin.provider import stand_in


@dataclass(frozen=True)
class Plugin:
    """A plugin of the engine: the official one, and the module that replaces it where that cannot be downloaded."""

    name: str
    """The name after `pulumi-resource-`."""
    version: str
    """The version of the SDK that requirements.in pins, and so of the official plugin; without a v."""
    module: str
    """The module of the stand-in, run as a program."""

    @property
    def announcement(self) -> str:
        """The message of the stand-in in every run."""
        return stand_in(self.name, self.version)

    def install(self, folder: Path) -> Path:
        """Install the stand-in, `pulumi-resource-<name>`, in a folder, which is created; returns its path."""
        return install(folder, self.name, self.module)


def _plugin(name: str, module: str) -> Plugin:
    return Plugin(name, version(f"pulumi-{name}"), module)


COMMAND = _plugin("command", "stand_ins.command_plugin")
SILENT_COMMAND = _plugin("command", "stand_ins.command_plugin.silent")
"""Runs nothing: for stacks of hosts that do not exist."""
AWS = _plugin("aws", "stand_ins.aws_plugin.run_aws")
TLS = _plugin("tls", "stand_ins.aws_plugin.run_tls")
