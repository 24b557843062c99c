"""This host's identities for TLS, in the circles of the cluster (host_scripts/tls/identity.sh installs them)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

FOLDER = "/etc/flink/tls"
LAUNCHES = "/var/lib/flink/launch"
_TLS = "+tls"
"""What launch.sh adds to the release of a daemon with TLS."""

_contexts: dict[str, tuple[tuple[int, ...], ssl.SSLContext]] = {}


def runs_with_tls() -> bool:
    """Whether this host's daemon runs with TLS, or will if it has not run yet. That may not be what is expected: when
    TLS is switched on or off, all daemons change at once.
    """
    for launch in ("current", "expected"):
        try:
            with open(f"{LAUNCHES}/{launch}/release") as file:
                return file.read().strip().endswith(_TLS)
        except OSError:
            continue
    return False


def context(circle: str, folder: str = "") -> ssl.SSLContext:
    """What connects to the servers of a circle: it proves this host's identity and verifies theirs, with the name.
    `folder` is that of the identities, if it is not the one of Flink hosts. Raises OSError without an identity that
    this user can read.
    """
    place = f"{folder or FOLDER}/{circle}"
    identity, authorities = f"{place}/identity.pem", f"{place}/authorities.pem"
    written = tuple(os.stat(path).st_mtime_ns for path in (identity, authorities))
    known = _contexts.get(circle)
    if known and known[0] == written:
        return known[1]
    # Not at the top: it takes as long as all other imports together
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_verify_locations(authorities)
    made.load_cert_chain(identity)
    _contexts[circle] = (written, made)
    return made
