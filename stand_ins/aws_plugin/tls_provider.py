"""The stand-in for `pulumi-resource-tls`."""

from __future__ import annotations

from stand_ins.aws_plugin import tls
from stand_ins.aws_plugin.provider import Provider
from stand_ins.plugin.provider import stand_in

VERSION = "5.6.2"
"""The version of the installed SDK: the engine requests it."""


class TlsProvider(Provider):
    """Keys, created here and kept in the state."""

    name = "tls"
    version = VERSION
    announcement = stand_in("tls", VERSION)
    resources = tls.RESOURCES
    invokes = {}
