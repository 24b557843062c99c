"""Renders `config_templates/`. Pure: the same values always give the same text."""

from functools import cache
from typing import Any

import jinja2

from . import properties, resources, yaml_text

TEMPLATES = resources.folder("config_templates")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,  # a missing value is an error, not an empty setting
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"yaml": yaml_text.scalar, "properties": properties.escaped}
    return environment


def render(name: str, **values: Any) -> str:
    """Text of the template `config_templates/NAME`. Raises jinja2.UndefinedError for a missing value."""
    return _environment().get_template(name).render(**values)
