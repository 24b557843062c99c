"""Errors that a user can act on."""

import pulumi

from .problems import Problems

MOST = 100
"""Problems that are shown: nobody reads more at once."""


class ConfigError(pulumi.RunError):
    """The configuration is invalid. The message lists every problem; Pulumi shows it without a traceback."""


def refused(stack: str, problems: Problems) -> ConfigError:
    """The error that lists all problems."""
    count = f"{len(problems.found)} problem{'s' if len(problems.found) > 1 else ''}"
    listed = "\n".join(f"  - {problem}" for problem in problems.found[:MOST])
    if len(problems.found) > MOST:
        listed += f"\n  … and {len(problems.found) - MOST} more"
    return ConfigError(f"The configuration of stack {stack} has {count}; nothing was changed:\n{listed}")
