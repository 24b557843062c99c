"""What is wrong, said so that a person knows what to do next."""

import pulumi

from .problems import Problems


class ConfigError(pulumi.RunError):
    """The configuration is wrong; the message lists every problem. Pulumi shows it without a traceback."""


def refused(stack: str, problems: Problems) -> ConfigError:
    """The error that says every problem."""
    count = f"{len(problems.found)} problem{'s' if len(problems.found) > 1 else ''}"
    listed = "\n".join(f"  - {problem}" for problem in problems.found)
    return ConfigError(f"The configuration of stack {stack} has {count}; nothing was touched:\n{listed}")
