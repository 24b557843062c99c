"""Errors of programs for developers, whose message says what to do next."""


class ToolError(Exception):
    """A failure; the message names it and says what to do next."""
