"""Errors whose message says what to do next; each class has an exit code."""

FAILED, USAGE, LOCKED, UNSWEPT, INTERRUPTED = 1, 2, 3, 4, 130
"""Exit codes: an operation failed; wrong usage; another run has locked the stack; `sweep` left a stack; Ctrl-C."""


class BranchesError(Exception):
    """A failure; the message names the stack, branch or key, and says what to do next."""

    code = FAILED


class UsageError(BranchesError):
    """Invalid arguments: a branch name that git refuses, a key that may not be set."""

    code = USAGE


class LockedError(BranchesError):
    """Another run is working on the stack, or was killed while it was."""

    code = LOCKED
