"""Fixtures that several folders of tests share."""

from collections.abc import Iterator

import pytest
from pulumi.runtime import resource as pulumi_resource
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import source_pb2

from stand_ins.command_plugin.provider import Provider
from tests.measured import measured, pytest_runtest_logreport, pytest_terminal_summary
from tests.plugin_client import PluginClient, plugin
from tests.ssh_server import SshServer, serving

__all__ = ["measured", "pytest_runtest_logreport", "pytest_terminal_summary"]  # for pytest

# gRPC shares what it knows of an address between all channels of a process. A new engine that gets the port of one that
# ended long ago would be "UNAVAILABLE" without an attempt, because an old program had asked that one in vain.
_GRPC_CHANNEL_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))


# With each resource the SDK tells the engine where in the program it is declared, with the whole stack: pytest's is
# deep, and that took a quarter of the time of a program in a test. No test looks at it
pulumi_resource._get_stack_trace = source_pb2.StackTrace


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
