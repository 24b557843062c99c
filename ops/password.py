"""A password for the front door, and its bcrypt hash for `frontDoorUsers`."""

import getpass
import secrets
import sys
from collections.abc import Callable

import bcrypt

from ops.errors import OpsError

SHORTEST = 12
LONGEST_BYTES = 72
"""bcrypt reads no more."""
COST = 12
"""A quarter of a second on one core for each password that is tried."""


def run(*, generate: bool, ask: Callable[[str], str] = getpass.getpass) -> int:
    """Print the hash of a password that is asked for, or made here and shown on stderr. stdout has the hash only, so
    that it can be piped into `pulumi config set --secret`. Raises OpsError.
    """
    if generate:
        password = secrets.token_urlsafe(32)
        print(f"password, shown only now: {password}", file=sys.stderr)
    else:
        password = _asked(ask)
    print(hashed(password))
    return 0


def hashed(password: str, cost: int = COST) -> str:
    """The bcrypt hash."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def _asked(ask: Callable[[str], str]) -> str:
    try:
        password = ask("Password: ")
        again = ask("The same again: ")
    except EOFError:
        raise OpsError("no password was given: expected a terminal, or --generate") from None
    if len(password) < SHORTEST:
        raise OpsError(f"the password has {len(password)} characters: expected {SHORTEST} or more")
    if len(password.encode()) > LONGEST_BYTES:
        raise OpsError(f"the password has {len(password.encode())} bytes: expected {LONGEST_BYTES} or fewer")
    if password != again:
        raise OpsError("the two passwords differ: nothing was printed")
    return password
