"""The stand-in command plugin: `command:local:Command`, and the plugin as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2

from stand_ins.command_plugin.provider import STAND_IN
from stand_ins.plugin.values import ARCHIVE, ASSET, SIGNATURE, UNKNOWN
from stand_ins.plugins import COMMAND
from tests.measured import Measured
from tests.plugin_client import BOUND, LOCAL, PluginClient, engine, failure, gone, until

# The command


def test_life_of_a_resource(client: PluginClient, tmp_path: Path) -> None:
    log = tmp_path / "log"
    inputs = {
        "create": f'echo create "$PULUMI_COMMAND_STDOUT" | tee -a {log}',
        "update": f'echo update "$PULUMI_COMMAND_STDOUT" | tee -a {log}',
        "delete": f'echo delete "$PULUMI_COMMAND_STDOUT" | tee -a {log}',
    }
    state = client.create(LOCAL, inputs)
    state = client.update(LOCAL, state, {**inputs, "stdin": "x"})
    client.delete(LOCAL, state)
    assert log.read_text() == "create \nupdate create \ndelete update create \n"


def test_preview_runs_nothing(client: PluginClient, tmp_path: Path) -> None:
    state = client.create(LOCAL, {"create": f"touch {tmp_path}/proof"}, preview=True)
    assert state["stdout"] == UNKNOWN
    assert not (tmp_path / "proof").exists()


def test_environment_is_added_to_the_plugins_own(
    client: PluginClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN", "own")
    inputs = {"create": 'echo "$OWN $MORE"; pwd; cat; echo err >&2', "environment": {"MORE": "more"}}
    state = client.create(LOCAL, {**inputs, "dir": str(tmp_path), "stdin": "in"})
    assert state["stdout"] == f"own more\n{tmp_path}\nin"
    assert state["stderr"] == "err"


def test_previous_output_can_be_left_out(client: PluginClient) -> None:
    inputs = {"create": 'echo "[$PULUMI_COMMAND_STDOUT]"', "addPreviousOutputInEnv": False}
    state = client.create(LOCAL, inputs)
    assert client.update(LOCAL, state, {**inputs, "stdin": "x"})["stdout"] == "[]"


def test_interpreter(client: PluginClient) -> None:
    inputs = {"create": "print(6 * 7)", "interpreter": [sys.executable, "-c"]}
    assert client.create(LOCAL, inputs)["stdout"] == "42"


def test_failures(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.create(LOCAL, {"create": "echo out; exit 3"})
    assert failure(error) == 'exit status 3: running "echo out; exit 3":\nout\n'
    with pytest.raises(grpc.RpcError) as error:
        client.create(LOCAL, {"create": "kill -TERM $$"})
    assert failure(error) == 'signal: terminated: running "kill -TERM $$":\n'
    with pytest.raises(grpc.RpcError) as error:
        client.create(LOCAL, {"create": "x", "interpreter": ["/no/such"]})
    assert "/no/such" in failure(error)
    with pytest.raises(grpc.RpcError) as error:
        client.create(LOCAL, {"create": "true", "dir": "/no/such"})
    assert "/no/such" in failure(error)


def test_custom_timeout_ends_the_command(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.create(LOCAL, {"create": "echo begun; sleep 60"}, timeout=3)
    assert failure(error) == 'not done within 3 s: running "echo begun; sleep 60":\nbegun\n'


def test_assets_and_archive(client: PluginClient, tmp_path: Path) -> None:
    inputs = {"create": "echo 1 > one.txt; echo 2 > two.txt", "dir": str(tmp_path)}
    state = client.create(LOCAL, {**inputs, "assetPaths": ["one*"], "archivePaths": ["*.txt", "!one*"]})
    assert set(state["assets"]) == {"one.txt"}
    assert state["assets"]["one.txt"][SIGNATURE] == ASSET
    assert state["archive"][SIGNATURE] == ARCHIVE
    assert set(state["archive"]["assets"]) == {"two.txt"}
    assert len(state["archive"]["hash"]) == 64


def test_cancel_ends_the_process_group(client: PluginClient, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    request = client.create_request(LOCAL, {"create": f"sleep 60 & echo $! > {pid_file}; wait"})
    call = client.stub.Create.future(request)
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    client.cancel()
    with pytest.raises(grpc.RpcError) as error:
        call.result(timeout=BOUND)
    assert failure(error).startswith("cancelled")
    until(lambda: gone(int(pid_file.read_text())))


# The program


class Program:
    """The installed plugin, started as the engine starts it."""

    def __init__(self, path: Path, engine_address: str) -> None:
        began = time.monotonic()
        self.process = subprocess.Popen(
            [path, engine_address], stdout=subprocess.PIPE, text=True, cwd=path.parent, env={"PYTHONPATH": "/nonsense"}
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.seconds = time.monotonic() - began


@pytest.fixture
def program(tmp_path: Path) -> Iterator[tuple[Program, PluginClient]]:
    with engine() as (port, logs):
        it = Program(COMMAND.install(tmp_path / "bin"), f"127.0.0.1:{port}")
        try:
            yield it, PluginClient(it.port, logs)
        finally:
            it.process.kill()
            it.process.wait()


def test_install_is_executable_and_idempotent(tmp_path: Path) -> None:
    path = COMMAND.install(tmp_path / "some where")
    before = path.stat()
    assert path.name == "pulumi-resource-command"
    assert os.access(path, os.X_OK)
    assert COMMAND.install(tmp_path / "some where").stat().st_mtime_ns == before.st_mtime_ns
    assert list(path.parent.iterdir()) == [path]


def test_program_serves_and_leaves_no_trace_in_the_environment(
    program: tuple[Program, PluginClient], measured: Measured
) -> None:
    it, client = program
    client.stub.Configure(provider_pb2.ConfigureRequest())
    assert client.texts() == [STAND_IN]
    assert client.create(LOCAL, {"create": "echo $PYTHONPATH"})["stdout"] == "/nonsense"
    measured(f"the plugin answers {it.seconds:.2f} s after it is started")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_program_ends_its_commands_when_it_is_asked_to_end(
    program: tuple[Program, PluginClient], tmp_path: Path, number: signal.Signals
) -> None:
    it, client = program
    pid_file = tmp_path / "pid"
    request = client.create_request(LOCAL, {"create": f"echo $$ > {pid_file}; sleep 60"})
    call = client.stub.Create.future(request)
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    it.process.send_signal(number)
    with pytest.raises(grpc.RpcError) as error:
        call.result(timeout=BOUND)
    assert failure(error).startswith("cancelled")
    assert it.process.wait(BOUND) == 0
    until(lambda: gone(int(pid_file.read_text())))


def test_program_ends_with_its_engine(tmp_path: Path) -> None:
    plugin = COMMAND.install(tmp_path)
    # The shell acts as the engine: it starts the plugin, prints its process id, and ends without a message to it.
    engine_like = subprocess.run(
        ["/bin/sh", "-c", f"{plugin} > {tmp_path}/port & echo $!; while [ ! -s {tmp_path}/port ]; do sleep 0.05; done"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=BOUND,
    )
    until(lambda: gone(int(engine_like.stdout)))
