"""Location of the non-Python files: next to the components in the repository, inside of them in the wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `config_templates`, `host_scripts` or `host_tool`."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
