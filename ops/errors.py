"""The error of this package, whose message says what to do next."""


class OpsError(Exception):
    """The tool failed; the message states the reason."""


class BusyError(OpsError):
    """Another run is working on the stack."""
