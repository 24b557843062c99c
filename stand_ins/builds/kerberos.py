"""MIT Kerberos from Debian: a KDC, its tools and kinit; and libfaketime, for a KDC with another clock. Nothing is
installed: an installed KDC is a service.
"""

from collections.abc import Mapping
from pathlib import Path

from stand_ins.builds import debian_packages, fetch
from toolbox.paths import cache_dir

VERSION = "1.20"
"""Debian 12's."""
_PROGRAMS = ("krb5-kdc", "krb5-admin-server", "krb5-user", "libfaketime")
_LIBRARIES = (
    *("libkadm5srv-mit12", "libkadm5clnt-mit12", "libkdb5-10", "libgssrpc4", "libverto1", "libverto-libev1", "libev4"),
    # Those of this machine may be of an earlier update
    *("libkrb5-3", "libk5crypto3", "libkrb5support0", "libgssapi-krb5-2", "libkeyutils1"),
)


def tree() -> Path:
    """Their files, as below `/`, made in the cache if they are missing. `ToolError` if apt cannot deliver them."""
    home = cache_dir() / f"krb5-{VERSION}"
    fetch.cached(home, lambda to: debian_packages.unpack([*_PROGRAMS, *_LIBRARIES], to))
    return home


def libraries() -> Path:
    """The folder of their libraries."""
    (found,) = tree().glob("usr/lib/*/libkrb5.so.3")
    return found.parent


def environment() -> Mapping[str, str]:
    """With which the programs find their libraries."""
    (keys,) = tree().glob("lib/*/libkeyutils.so.1")
    return {"LD_LIBRARY_PATH": f"{libraries()}:{keys.parent}"}
