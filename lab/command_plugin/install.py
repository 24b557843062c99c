"""Puts the stand-in where the engine looks for plugins: a folder on its PATH."""

from __future__ import annotations

from pathlib import Path

from lab.plugin import install as plugin


def install(directory: Path) -> Path:
    """Write an executable `pulumi-resource-command` into a folder, which is made; gives its path."""
    return plugin.install(directory, "command", "lab.command_plugin")
