"""What Flink knows of its own options, from a release: their names and types, the names that newer ones have replaced,
and which of them it treats as secrets.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).with_name("flink_options.txt")


@dataclass(frozen=True)
class FlinkOptions:
    """The table."""

    types: dict[str, str]
    """Option → type, such as `duration`."""
    replaced: dict[str, str]
    """Names that Flink still reads, unless the new name is set, too → the new names."""
    sensitive: tuple[str, ...]
    """What is in the names of options whose values Flink hides (GlobalConfiguration.SENSITIVE_KEYS)."""

    def names_secret(self, name: str) -> bool:
        """Whether Flink hides the values of options with this name."""
        return any(text in name.lower() for text in self.sensitive)

    def is_text(self, name: str) -> bool:
        """Whether the table has an option whose value may be any text."""
        return self.types.get(name) in ("string", "map", "list")


@cache
def table() -> FlinkOptions:
    """The table in settings/flink_options.txt."""
    rows = [line.split() for line in _TABLE.read_text().splitlines() if not line.startswith("#")]
    types = {row[1]: row[2] for row in rows if row[0] == "option" and "<" not in row[1]}
    return FlinkOptions(
        types=types,
        # A name can be the old name of one option and be an option itself
        replaced={row[1]: row[2] for row in rows if row[0] == "replaced" and row[1] not in types},
        sensitive=tuple(row[1] for row in rows if row[0] == "sensitive"),
    )
