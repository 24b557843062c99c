"""What goes wrong in the lab, said so that a person knows what to do next."""

from toolbox.errors import ToolError


class LabError(ToolError):
    """The lab cannot do what was asked; the message names what and says how to go on."""
