"""Fixtures that several folders of tests share."""

from collections.abc import Iterator

import pytest

from lab.command_plugin.provider import Provider
from tests.plugin_client import PluginClient, plugin
from tests.ssh_server import SshServer, serving


@pytest.fixture
def ssh() -> Iterator[SshServer]:
    """An SSH server on the loopback."""
    with serving() as server:
        yield server


@pytest.fixture
def client() -> Iterator[PluginClient]:
    """The stand-in command plugin, and a client that speaks to it as the engine does."""
    with plugin(Provider, PluginClient) as it:
        yield it
