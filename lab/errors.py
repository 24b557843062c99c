"""The error of the lab, whose message says what to do next."""

from toolbox.errors import ToolError


class LabError(ToolError):
    """A failure; the message names it and says what to do next."""
