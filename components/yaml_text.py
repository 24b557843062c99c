"""YAML, read and written so that any reader has the same of it: PyYAML follows YAML 1.1, and Flink's parser
(snakeyaml-engine) YAML 1.2, in which other texts are numbers.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from .problems import shown

# What YAML 1.2's core schema reads as something else than a text, where YAML 1.1 reads a text
_CORE = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|~|null|Null|NULL|true|True|TRUE|false|False|FALSE"
)


_WIDE = 2**31 - 1
"""Characters in a line: none is broken."""


class _Loader(yaml.SafeLoader):
    """Does not let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {shown(key.value)} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(text: str, name: str) -> Any:
    """What a YAML text says; the same key twice in a mapping is an error. Raises ValueError that names the file."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except (ValueError, OverflowError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        # Dates that no calendar has, numbers that Python does not make, and what else PyYAML leaves to Python
        raise ValueError(f"{name} has a value that is not YAML: {shown(str(error))}") from None


# libyaml's takes a tenth of the time; PyYAML's wheels have it, a build without it has Python's only
class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes what would be another value in YAML 1.2."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "'" if _CORE.fullmatch(value) else None
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", value, style)
    return node


_Dumper.add_representer(str, _text)


def write(values: Mapping[str, Any]) -> str:
    """A flat mapping as YAML: sorted lines."""
    return yaml.dump(values, Dumper=_Dumper, default_flow_style=False, width=_WIDE, sort_keys=True)


def scalar(value: object) -> str:
    """The value as YAML in a template: a text in double quotes, whatever is in it. For jinja's filter `yaml`."""
    return json.dumps(value)
