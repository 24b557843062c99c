"""The stand-in for `pulumi-resource-tls`."""

from __future__ import annotations

from lab.plugin.provider import stand_in
from tests.aws.plugin import tls
from tests.aws.plugin.provider import Provider

VERSION = "5.6.2"
"""Of the SDK in use: the engine asks for it."""


class TlsProvider(Provider):
    """Keys, made here and kept in the state."""

    name = "tls"
    version = VERSION
    announcement = stand_in("tls", VERSION)
    resources = tls.RESOURCES
    invokes = {}
