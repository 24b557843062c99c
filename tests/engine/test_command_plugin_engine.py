"""The stand-in command plugin under the real Pulumi engine: behavior that needs both."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import ResourceOptions, automation
from pulumi_command import local, remote

from stand_ins.builds import programs
from stand_ins.command_plugin.assets import content_hash
from stand_ins.command_plugin.provider import STAND_IN
from stand_ins.plugin.values import ARCHIVE, SIGNATURE
from stand_ins.plugins import COMMAND
from tests import engines
from tests.engine_stack import EngineStack, Program
from tests.measured import Measured
from tests.plugin_client import BOUND, until
from tests.ssh_server import SshServer


@pytest.fixture(scope="session")
def search_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with the engine and the plugin on it."""
    plugin = COMMAND.install(tmp_path_factory.mktemp("bin"))
    return os.pathsep.join([str(plugin.parent), str(programs.pulumi().parent), os.environ["PATH"]])


@pytest.fixture
def stack(tmp_path: Path, search_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineStack]:
    monkeypatch.setenv("PATH", search_path)
    directory = tmp_path / "stack"
    directory.mkdir()
    yield EngineStack(directory)


def command(ssh: SshServer, name: str = "it", opts: ResourceOptions | None = None, **more: Any) -> remote.Command:
    connection = remote.ConnectionArgs(
        host="127.0.0.1",
        port=ssh.port,
        user="admin",
        private_key=ssh.private_key,
        host_key=ssh.host_key_line,
        dial_error_limit=0,
    )
    return remote.Command(name, connection=connection, opts=opts, **more)


def test_life_of_a_command(stack: EngineStack, ssh: SshServer) -> None:
    """Preview never connects, a second up runs nothing, an update runs `update`, destroy runs `delete`."""

    def program(stdin: str) -> Program:
        def run() -> None:
            made = command(
                ssh,
                create="cat",
                update='echo "$PULUMI_COMMAND_STDOUT then $(cat)"',
                delete='echo "bye $PULUMI_COMMAND_STDOUT"',
                stdin=stdin,
            )
            after = command(ssh, "after", create=made.stdout.apply(lambda text: f"echo after {text}"))
            pulumi.export("after", after.stdout)

        return run

    assert stack.preview(program("one")).totals == {"create": 3}
    assert ssh.connections == 0
    stack.up(program("one"))
    assert stack.outputs()["after"] == "after one"
    assert ssh.commands == ["cat", "echo after one"]
    assert stack.printed.split("Diagnostics:")[1].count(STAND_IN) == 1

    second = stack.up(program("one"))
    assert second.totals == {"same": 3}
    assert stack.preview(program("two")).totals == {"update": 2, "same": 1}
    assert len(ssh.commands) == ssh.connections == 2

    third = stack.up(program("two"))
    assert stack.outputs()["after"] == "after one then two"
    assert third.totals == {"update": 2, "same": 1}
    stack.destroy()
    assert ssh.commands[4:] == ['echo "bye $PULUMI_COMMAND_STDOUT"']


def test_triggers_run_the_old_delete_after_the_new_create(stack: EngineStack, ssh: SshServer) -> None:
    def program(version: int) -> Program:
        def run() -> None:
            command(
                ssh,
                create=f"echo create {version}",
                update=f"echo update {version}",
                delete=f"echo delete {version}",
                triggers=[version],
            )

        return run

    stack.up(program(1))
    result = stack.up(program(2))
    assert result.totals == {"replace": 1, "same": 1}
    assert ssh.commands == ["echo create 1", "echo create 2", "echo delete 1"]


def test_a_failed_update_keeps_the_old_state(stack: EngineStack, ssh: SshServer) -> None:
    def program(create: str) -> Program:
        def run() -> None:
            command(ssh, create=create)

        return run

    stack.up(program("echo good"))
    with pytest.raises(automation.CommandError) as error:
        stack.up(program("echo bad; exit 4"))
    assert 'Process exited with status 4: running "echo bad; exit 4":' in str(error.value)
    state = stack.state()
    assert state["it"]["inputs"]["create"] == "echo good"
    assert state["it"]["outputs"]["stdout"] == "good"
    assert stack.up(program("echo good")).totals == {"same": 2}
    assert ssh.commands == ["echo good", "echo bad; exit 4"]


def test_refused_inputs_stop_the_run_before_anything_happens(stack: EngineStack, ssh: SshServer) -> None:
    def program() -> None:
        class Misspelt(pulumi.CustomResource):
            def __init__(self) -> None:
                super().__init__("command:local:Command", "it", {"crate": "true"})

        Misspelt()

    with pytest.raises(automation.CommandError, match=r"Unrecognized field 'crate' on 'local\.CommandInputs'"):
        stack.up(program)
    assert ssh.connections == 0


def test_no_secret_is_in_the_state_or_in_what_is_printed(stack: EngineStack, ssh: SshServer) -> None:
    secret = "s3cret-in-stdin"

    def program() -> None:
        made = command(ssh, create="wc -c", stdin=pulumi.Output.secret(secret))
        pulumi.export("count", made.stdout)

    stack.up(program)
    assert stack.outputs()["count"].strip() == str(len(secret)), "an output is not secret merely because an input is"
    state = stack.state()
    key = "".join(ssh.private_key.split("\n")[1:3])
    for text in (state["text"], stack.printed):
        for hidden in (secret, key[:40], key[-40:]):
            assert hidden not in text
    assert state["it"]["inputs"]["connection"].keys() == {SIGNATURE, "ciphertext"}
    assert state["it"]["outputs"]["connection"].keys() == {SIGNATURE, "ciphertext"}
    assert state["it"]["outputs"]["stdin"].keys() == {SIGNATURE, "ciphertext"}


def test_deleted_with_its_machine_runs_no_delete(stack: EngineStack, ssh: SshServer, tmp_path: Path) -> None:
    proof = tmp_path / "proof"

    def program(version: int) -> Program:
        def run() -> None:
            machine = local.Command(
                "machine", create=f"echo up {version}", delete=f"echo {version} >> {proof}", triggers=[version]
            )
            command(
                ssh,
                create=machine.stdout.apply(lambda text: f"echo on {text}"),
                delete="echo never",
                triggers=[machine.stdout],
                opts=ResourceOptions(deleted_with=machine),
            )

        return run

    stack.up(program(1))
    stack.up(program(2))
    assert ssh.commands == ["echo on up 1", "echo on up 2"]
    ssh.drop_connections()
    stack.destroy()
    assert ssh.commands == ["echo on up 1", "echo on up 2"]
    assert proof.read_text() == "1\n2\n"


def test_the_hash_of_a_directory_is_the_engines(stack: EngineStack, ssh: SshServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    deep = source / "-".join("directory" for _ in range(8)) / "-".join("file" for _ in range(12))
    deep.parent.mkdir(parents=True)
    deep.write_text("a path of more than 100 bytes")
    (source / "a.txt").write_text("a" * 1000)
    (source / "empty").touch()
    to = tmp_path / "to"

    def program() -> None:
        connection = remote.ConnectionArgs(host="127.0.0.1", port=ssh.port, private_key=ssh.private_key)
        remote.CopyToRemote("it", connection=connection, source=pulumi.FileArchive(f"{source}/"), remote_path=str(to))

    stack.up(program)
    assert (to / "a.txt").read_text() == "a" * 1000
    of_engine = stack.state()["it"]["inputs"]["source"]["hash"]
    assert of_engine == content_hash({SIGNATURE: ARCHIVE, "path": f"{source}/"})
    assert stack.up(program).totals == {"same": 2}
    (to / "a.txt").unlink()
    (source / "a.txt").write_text("b")
    stack.up(program)
    assert (to / "a.txt").read_text() == "b"


def test_an_interrupted_up_leaves_a_state_to_continue_from(stack: EngineStack, ssh: SshServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def program(create: str) -> Program:
        def run() -> None:
            first = command(ssh, "first", create="echo first")
            command(ssh, "second", create=create, opts=ResourceOptions(depends_on=first))

        return run

    failures: list[BaseException] = []

    def interrupted() -> None:
        try:
            stack.up(program(f"echo $$ > {pid_file}; exec sleep 600"))
        except automation.CommandError as error:
            failures.append(error)

    thread = threading.Thread(target=interrupted)
    thread.start()
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    [engine_pid] = engines.running()
    os.kill(engine_pid, signal.SIGINT)
    thread.join(BOUND)
    assert not thread.is_alive()
    assert "cancelled" in str(failures[0])
    until(lambda: not Path("/proc", pid_file.read_text().strip()).exists())
    state = stack.state()
    assert "first" in state
    assert "second" not in state
    assert not state["pending"]
    result = stack.up(program("echo second"))
    assert result.totals == {"create": 1, "same": 2}
    assert ssh.commands.count("echo first") == 1


def test_many_commands(stack: EngineStack, ssh: SshServer, measured: Measured) -> None:
    def program(count: int) -> Program:
        def run() -> None:
            for n in range(count):
                command(ssh, f"c{n}", create=f"instantly {n}")

        return run

    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        work()
        seconds[name] = time.monotonic() - began

    timed("preview of 300", lambda: stack.preview(program(300)))
    timed("up of 100", lambda: stack.up(program(100), parallel=100))
    timed("the same again", lambda: stack.up(program(100), parallel=100))
    assert sorted(ssh.commands) == sorted(f"instantly {n}" for n in range(100))
    figures = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
    measured(f"remote commands by the engine: {figures} (load {os.getloadavg()[0]:.1f})")
