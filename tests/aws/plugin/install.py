"""Puts both stand-ins where the engine looks for plugins: a folder on its PATH."""

from __future__ import annotations

from pathlib import Path

from lab.plugin.install import install


def install_plugins(folder: Path) -> list[Path]:
    """Write `pulumi-resource-aws` and `pulumi-resource-tls` into a folder, which is made; gives their paths."""
    return [install(folder, name, f"tests.aws.plugin.run_{name}") for name in ("aws", "tls")]
