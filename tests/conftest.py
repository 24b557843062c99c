"""Fixtures that several folders of tests share; and which tests run side by side (`make test`: pytest-xdist)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

from lab.command_plugin.provider import Provider
from tests.plugin_client import PluginClient, plugin
from tests.ssh_server import SshServer, serving

# gRPC shares what it knows of an address between all channels of a process. A new engine that gets the port of one that
# ended long ago would be "UNAVAILABLE" without an attempt, because an old program had asked that one in vain.
_GRPC_CHANNEL_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))

SHARED = {"tests/lab": "lab"}
"""Folders whose tests share something that takes long to make; files with something of their own have a mark."""

FIRST = ("lab", "tests/aws/test_rehearsal.py")
"""The groups that take longest, in the order in which they are begun."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep what shares something in one process and in its order: a group, which is a file if nothing else is said."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            file = item.path.relative_to(Path(__file__).parent.parent)
            item.add_marker(pytest.mark.xdist_group(SHARED.get(str(file.parent), str(file))))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    group = mark.args[0] if mark else ""
    return FIRST.index(group) if group in FIRST else len(FIRST)


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
