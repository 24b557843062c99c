"""What goes wrong, said so that a person knows what to do next; each kind with the exit code that it ends in."""

FAILED, USAGE, LOCKED, UNSWEPT, INTERRUPTED = 1, 2, 3, 4, 130
"""Exit codes: an operation failed; wrong usage; another run has the stack; `sweep` left a stack; Ctrl-C."""


class BranchesError(Exception):
    """It could not be done; the message names the stack, branch or key, and says how to go on."""

    code = FAILED


class UsageError(BranchesError):
    """What was asked for cannot be meant: a branch that git does not take, a key that may not be set."""

    code = USAGE


class LockedError(BranchesError):
    """Another run is working on the stack, or was killed while it did."""

    code = LOCKED
