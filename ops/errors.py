"""The error of this package, whose message says what to do next."""


class OpsError(Exception):
    """The tool could not do its work; the message states the reason."""
