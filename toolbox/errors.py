"""What goes wrong in programs for developers, said so that a person knows what to do next."""


class ToolError(Exception):
    """What was asked for cannot be done; the message names what and says how to go on."""
