"""What goes wrong, said so that a person knows what to do next."""


class OpsError(Exception):
    """It could not be looked; the message says why."""
