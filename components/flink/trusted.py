"""Certificates of the stack's own that hosts trust, besides those that they know: of a private CA for the storage, a
mirror of archives, or a package index.

The JVM's system property names one store, so ours has the JDK's certificates, too. Host scripts have the certificates
in their text, because they download before there is anything on a host.
"""

from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from . import proxy
from .settings import ClusterSettings

FOLDER = "/etc/flink/trusted"
PEM, STORE = f"{FOLDER}/certificates.pem", f"{FOLDER}/certificates.jks"
PROPERTIES = ("javax.net.ssl.trustStore", "javax.net.ssl.trustStoreType")
"""Of the JVM. A JKS store can be read without a password."""


def inputs(settings: ClusterSettings) -> Sequence[str]:
    """The files whose changes restart a daemon."""
    return (PEM,) if settings.trusted_certificates else ()


def java_options(settings: ClusterSettings) -> str:
    """JVM options of all that runs Flink's code, also of commands and of the host tool."""
    if not settings.trusted_certificates:
        return ""
    return " ".join(f"-D{name}={value}" for name, value in zip(PROPERTIES, (STORE, "JKS"), strict=True))


def download_values(settings: ClusterSettings) -> dict[str, str]:
    """Values of the libraries `download_libraries`."""
    more = {"trusted": settings.trusted_certificates} if settings.trusted_certificates else {}
    return {**proxy.values(settings), **more}


def download_libraries(settings: ClusterSettings) -> tuple[str, ...]:
    """What scripts need that download something."""
    return ("proxy.sh", "trusted_fetch.sh") if settings.trusted_certificates else ("proxy.sh",)


def install(host: Host, settings: ClusterSettings, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """The step that makes the store; its stdout is a hash of what is in it. None if there are none: then the step
    `system` removes it. It runs after the JDK was installed.
    """
    if not settings.trusted_certificates:
        return None
    files = [File(path=PEM, text=settings.trusted_certificates)]
    values = {"folder": FOLDER, "store": STORE, "java": f"/opt/java-{settings.java.version}"}
    return step(host, "trusted", script_text(host, "trusted.sh", values, files), opts=opts)
