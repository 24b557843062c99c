"""The stand-in command plugin: `command:remote:Command` behaves like the official one."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path

import asyncssh
import grpc
import pytest
from pulumi.runtime.proto import engine_pb2

from stand_ins.command_plugin import connection as connection_module
from stand_ins.plugin.values import UNKNOWN, Secret, reveal
from tests.measured import Measured
from tests.plugin_client import BOUND, REMOTE, PluginClient, failure, gone, until
from tests.ssh_server import PASSWORD, SshServer, serving

# Life of a resource


def test_create_gives_output_without_one_trailing_newline(client: PluginClient, ssh: SshServer) -> None:
    command = r"printf 'out\n\n'; printf 'err\n' >&2"
    state = client.create(REMOTE, {"connection": ssh.connection(), "create": command})
    assert (state["stdout"], state["stderr"]) == ("out\n", "err")
    assert state["create"] == command


def test_create_without_command_never_connects(client: PluginClient, ssh: SshServer) -> None:
    state = client.create(REMOTE, {"connection": ssh.connection(), "delete": "true"})
    assert (state["stdout"], state["stderr"]) == ("", "")
    assert ssh.connections == 0


def test_preview_never_connects_and_knows_no_output(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"connection": ssh.connection(), "create": "echo hi"}
    assert client.create(REMOTE, inputs, preview=True)["stdout"] == UNKNOWN
    state = {**client.checked(REMOTE, inputs), "stdout": "hi", "stderr": ""}
    preview = client.update(REMOTE, state, {**inputs, "create": "echo ho"}, preview=True)
    assert (preview["stdout"], preview["stderr"]) == (UNKNOWN, UNKNOWN)
    assert ssh.connections == 0


def test_preview_accepts_unknown_inputs(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"connection": ssh.connection(host=UNKNOWN), "create": UNKNOWN, "triggers": [UNKNOWN]}
    state = client.create(REMOTE, inputs, preview=True)
    assert state["create"] == UNKNOWN
    assert client.create(REMOTE, {"connection": UNKNOWN}, preview=True)["connection"] == Secret(UNKNOWN)


def test_update_runs_update_else_create(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"connection": ssh.connection(), "create": "echo created", "delete": "echo deleted"}
    state = client.create(REMOTE, inputs)
    assert client.update(REMOTE, state, {**inputs, "stdin": "x"})["stdout"] == "created"
    assert client.update(REMOTE, state, {**inputs, "update": "echo updated"})["stdout"] == "updated"
    assert ssh.commands == ["echo created", "echo created", "echo updated"]


def test_update_without_commands_keeps_the_output(client: PluginClient, ssh: SshServer) -> None:
    state = client.create(REMOTE, {"connection": ssh.connection(), "create": "echo hi"})
    assert client.update(REMOTE, state, {"connection": ssh.connection()})["stdout"] == "hi"
    assert ssh.connections == 1


def test_delete_runs_with_the_old_state(client: PluginClient, ssh: SshServer, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    command = f'printf "%s %s" "$PULUMI_COMMAND_STDOUT" "$X" > {proof}'
    inputs = {"connection": ssh.connection(), "create": "echo hi", "environment": {"X": "old"}, "delete": command}
    client.delete(REMOTE, client.create(REMOTE, inputs))
    assert proof.read_text() == "hi old"


def test_delete_without_command_never_connects(client: PluginClient, ssh: SshServer) -> None:
    state = client.create(REMOTE, {"connection": ssh.connection(), "update": "true"})
    client.delete(REMOTE, state)
    assert ssh.connections == 0


# The command's environment and input


def test_previous_output_is_in_the_environment(client: PluginClient, ssh: SshServer) -> None:
    show = 'echo "[$PULUMI_COMMAND_STDOUT][$PULUMI_COMMAND_STDERR][${PULUMI_COMMAND_STDERR+set}]"'
    inputs = {"connection": ssh.connection(), "create": show}
    state = client.create(REMOTE, inputs)
    assert state["stdout"] == "[][][]"
    state = client.update(REMOTE, state, {**inputs, "stdin": "2"})
    assert state["stdout"] == "[[][][]][][]", "stderr was empty: its variable is not even set"
    state = client.update(REMOTE, state, {**inputs, "addPreviousOutputInEnv": False})
    assert state["stdout"] == "[][][]"


def test_environment_and_stdin_reach_the_command(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"environment": {"A": "a b", "B": Secret("ü")}, "stdin": "line\n" * 100_000}
    command = 'printf "%s|%s|" "$A" "$B"; wc -l'
    state = client.create(REMOTE, {"connection": ssh.connection(), "create": command, **inputs})
    assert state["stdout"].replace(" ", "") == "ab|ü|100000"


def test_a_command_without_stdin_sees_its_end(client: PluginClient, ssh: SshServer) -> None:
    assert client.create(REMOTE, {"connection": ssh.connection(), "create": "cat; echo end"})["stdout"] == "end"


def test_a_command_need_not_read_its_stdin(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"connection": ssh.connection(), "create": "instantly done", "stdin": "x" * 3_000_000}
    assert client.create(REMOTE, inputs)["stdout"] == "done"


def _refuse_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in sshd for variables that AcceptEnv does not name."""

    def refuse(self: asyncssh.SSHServerChannel[bytes], packet: asyncssh.packet.SSHPacket) -> bool:
        packet.get_string()
        packet.get_string()
        return False

    monkeypatch.setattr(asyncssh.SSHServerChannel, "_process_env_request", refuse)


def test_environment_that_sshd_refuses_fails_before_the_command_runs(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _refuse_variables(monkeypatch)
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(), "create": "true", "environment": {"A": "secret"}})
    assert failure(error) == 'could not set environment variable "A": ssh: setenv failed'
    assert ssh.commands == []
    assert "AcceptEnv" in client.texts(engine_pb2.ERROR)[0]


def test_previous_output_that_sshd_refuses_is_only_a_warning(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"connection": ssh.connection(), "create": 'echo "[$PULUMI_COMMAND_STDOUT]"'}
    state = client.create(REMOTE, inputs)
    _refuse_variables(monkeypatch)
    assert client.update(REMOTE, state, {**inputs, "stdin": "2"})["stdout"] == "[]"
    assert "PULUMI_COMMAND_STDOUT" in client.texts(engine_pb2.WARNING)[0]


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, {"out", "err"}),
        ("stdoutAndStderr", {"out", "err"}),
        ("stdout", {"out"}),
        ("stderr", {"err"}),
        ("none", set()),
    ],
)
def test_logging_affects_only_what_is_shown(
    client: PluginClient, ssh: SshServer, logging: str | None, shown: set[str]
) -> None:
    inputs = {"connection": ssh.connection(), "create": "echo out; echo err >&2"}
    state = client.create(REMOTE, {**inputs, **({"logging": logging} if logging else {})})
    assert set(client.texts()) == shown
    assert (state["stdout"], state["stderr"]) == ("out", "err")
    assert all(log.ephemeral and log.urn.endswith("::it") for log in client.logs)


# Failures


def test_error_shows_status_command_and_output(client: PluginClient, ssh: SshServer) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(), "create": "echo 'to \"both\"'\necho more >&2; exit 7"})
    assert failure(error) == (
        'Process exited with status 7: running "echo \'to \\"both\\"\'\\necho more >&2; exit 7":\nto "both"\nmore\n'
    )


def test_error_names_the_signal(client: PluginClient, ssh: SshServer) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(), "create": "kill -KILL $$"})
    assert failure(error) == 'Process exited with status 137 from signal KILL: running "kill -KILL $$":\n'


def test_output_that_is_no_utf8_is_no_error(client: PluginClient, ssh: SshServer) -> None:
    state = client.create(REMOTE, {"connection": ssh.connection(), "create": r"printf 'a\377b'"})
    assert state["stdout"] == "a\ufffdb"


def test_a_connection_lost_in_the_middle_names_the_host(client: PluginClient, ssh: SshServer) -> None:
    request = client.create_request(REMOTE, {"connection": ssh.connection(dialErrorLimit=5), "create": "sleep 60"})
    call = client.stub.Create.future(request)
    until(lambda: ssh.commands == ["sleep 60"])
    ssh.drop_connections()
    with pytest.raises(grpc.RpcError) as error:
        call.result(timeout=BOUND)
    assert failure(error).startswith("wait: remote command exited without exit status or exit signal")
    assert f"admin@127.0.0.1:{ssh.port}" in failure(error)
    assert ssh.commands == ["sleep 60"], "a command that had started is not run again"


def test_dial_error_limit_n_means_n_plus_1_attempts(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_FIRST_DELAY", 0.001)
    ssh.refuse_first = 1000
    inputs = {"connection": ssh.connection(dialErrorLimit=3), "create": "true"}
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, inputs)
    assert ssh.connections == 4
    assert failure(error).startswith(f"after 4 failed attempts: admin@127.0.0.1:{ssh.port}: ")
    assert client.texts() == [f"Dial {n}/3 failed: retrying" for n in (1, 2, 3)]
    ssh.refuse_first = ssh.connections + 3
    assert client.create(REMOTE, inputs)["stdout"] == ""


def test_waits_between_attempts_grow_to_five_seconds(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    ssh.refuse_first = 12
    client.create(REMOTE, {"connection": ssh.connection(dialErrorLimit=-1), "create": "true"})
    assert waits[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert waits[10:] == [5.0, 5.0]


def test_a_closed_port_is_named_with_the_cause(client: PluginClient, ssh: SshServer) -> None:
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(port=1), "create": "true"})
    assert failure(error) == "after 1 failed attempts: admin@127.0.0.1:1: Connection refused"


def test_per_dial_timeout_bounds_an_attempt(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(host: str, port: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(connection_module, "_tcp_connect", never)
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(perDialTimeout=0.05), "create": "true"})
    assert failure(error).endswith("no connection within 0.05 s")


def test_custom_timeout_bounds_the_attempts_but_not_the_command(client: PluginClient, ssh: SshServer) -> None:
    assert client.create(REMOTE, {"connection": ssh.connection(), "create": "sleep 3.5; echo ok"}, timeout=3)
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(port=1, dialErrorLimit=-1), "create": "true"}, timeout=0.2)
    assert failure(error) == "admin@127.0.0.1:1: no connection within 0.2 s"


# Keys and hosts


def test_a_host_key_that_matches_is_accepted_and_another_refused(client: PluginClient, ssh: SshServer) -> None:
    assert client.create(REMOTE, {"connection": ssh.connection(), "create": "echo hi"})["stdout"] == "hi"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(hostKey=other), "create": "true"})
    assert "host key mismatch" in failure(error)
    assert ssh.commands == ["echo hi"]


def test_a_host_key_of_another_type_is_refused(client: PluginClient, ssh: SshServer) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    with pytest.raises(grpc.RpcError):
        client.create(REMOTE, {"connection": ssh.connection(hostKey=other), "create": "true"})
    assert ssh.commands == []


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
def test_a_host_key_of_each_type_that_the_inventory_takes(client: PluginClient, kind: str) -> None:
    with serving(kind) as ssh:
        assert client.create(REMOTE, {"connection": ssh.connection(), "create": "echo hi"})["stdout"] == "hi"


def test_a_pinned_rsa_host_key_asks_for_sha_1_which_no_current_sshd_signs_with(client: PluginClient) -> None:
    with serving("ssh-rsa") as ssh:
        with pytest.raises(grpc.RpcError) as error:
            client.create(REMOTE, {"connection": ssh.connection(), "create": "true"})
        # Or that the connection was lost: both sides find no algorithm in common at the same time
        assert failure(error).startswith(f"after 1 failed attempts: admin@127.0.0.1:{ssh.port}: ")
        assert ssh.commands == []
        connection = ssh.connection()
        del connection["hostKey"]
        assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"


def test_without_host_key_any_is_accepted(client: PluginClient, ssh: SshServer) -> None:
    connection = ssh.connection()
    del connection["hostKey"]
    assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"


def test_private_key_with_passphrase(client: PluginClient, ssh: SshServer) -> None:
    encrypted = ssh.client_key.export_private_key(passphrase="open sesame", rounds=50).decode()
    connection = ssh.connection(privateKey=encrypted, privateKeyPassword="open sesame")
    assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": ssh.connection(privateKey=encrypted), "create": "true"})
    assert "assphrase" in failure(error)
    assert ssh.connections == 1, "a key that cannot be opened is no reason to connect, nor to try again"


def test_password(client: PluginClient, ssh: SshServer) -> None:
    connection = ssh.connection(password=PASSWORD)
    del connection["privateKey"]
    assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": {**connection, "password": "wrong"}, "create": "true"})
    assert "unable to authenticate" in failure(error)
    assert "wrong" not in failure(error)


def answers(path: Path) -> bool:
    """Whether the agent listens there: the socket's file exists a moment earlier."""
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0


def test_agent(client: PluginClient, ssh: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("no ssh-agent on this machine")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path = tmp_path / "agent"
    connection = ssh.connection(agentSocketPath=str(path))
    del connection["privateKey"]
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": connection, "create": "true"})
    assert failure(error) == f"admin@127.0.0.1:{ssh.port}: No such file or directory"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(path))
        subprocess.run(
            ["ssh-add", "-q", "-"], input=ssh.private_key, env={"SSH_AUTH_SOCK": str(path)}, text=True, check=True
        )
        assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        del connection["agentSocketPath"]
        assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
    finally:
        agent.terminate()
        agent.wait()


def test_own_keys_of_the_user_are_not_tried(client: PluginClient, ssh: SshServer, tmp_path: Path) -> None:
    connection = ssh.connection()
    del connection["privateKey"]
    with pytest.raises(grpc.RpcError) as error:
        client.create(REMOTE, {"connection": connection, "create": "true"})
    assert "unable to authenticate" in failure(error)


def test_proxy_is_the_only_one_that_the_host_sees(client: PluginClient, ssh: SshServer) -> None:
    with serving() as bastion:
        connection = ssh.connection(proxy=bastion.connection(user="jump"))
        assert client.create(REMOTE, {"connection": connection, "create": "echo hi"})["stdout"] == "hi"
        assert bastion.tunnels == [("127.0.0.1", ssh.port)]
        assert bastion.commands == []


def test_proxy_failures_say_so(client: PluginClient, ssh: SshServer) -> None:
    with serving() as bastion:
        wrong = bastion.connection(hostKey=ssh.host_key_line)
        with pytest.raises(grpc.RpcError) as error:
            client.create(REMOTE, {"connection": ssh.connection(proxy=wrong), "create": "true"})
        assert failure(error).startswith(f"proxy: after 1 failed attempts: admin@127.0.0.1:{bastion.port}: host key")
        beyond = ssh.connection(port=1, proxy=bastion.connection())
        with pytest.raises(grpc.RpcError) as error:
            client.create(REMOTE, {"connection": beyond, "create": "true"})
        assert failure(error).startswith("proxy: after 1 failed attempts: admin@127.0.0.1:1: ")


def test_a_handshake_through_a_proxy_that_is_dropped_once_has_failed_for_good(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a proxy the next attempt is a new connection, and works."""
    monkeypatch.setattr(connection_module, "_FIRST_DELAY", 0.001)
    ssh.refuse_first = 1
    assert (
        client.create(REMOTE, {"connection": ssh.connection(dialErrorLimit=3), "create": "echo hi"})["stdout"] == "hi"
    )
    ssh.refuse_first = ssh.connections + 1
    with serving() as bastion:
        through = ssh.connection(dialErrorLimit=3, proxy=bastion.connection())
        with pytest.raises(grpc.RpcError) as error:
            client.create(REMOTE, {"connection": through, "create": "true"})
        assert failure(error) == f"proxy: after 4 failed attempts: admin@127.0.0.1:{ssh.port}: handshake failed: EOF"
        assert bastion.tunnels == [("127.0.0.1", ssh.port)], "one connection for all attempts"
        assert [text for text in client.texts() if "Dial " in text][-3:] == [
            f"Dial {n}/3 failed: retrying" for n in (1, 2, 3)
        ]


def test_a_port_behind_a_proxy_that_opens_late_is_waited_for(
    client: PluginClient, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_FIRST_DELAY", 0.001)
    with serving() as bastion:
        bastion.refuse_tunnels = 2
        through = ssh.connection(dialErrorLimit=3, proxy=bastion.connection())
        assert client.create(REMOTE, {"connection": through, "create": "echo hi"})["stdout"] == "hi"
        assert len(bastion.tunnels) == 3


# Secrets


def test_secret_inputs_stay_secret_and_do_not_make_the_output_secret(client: PluginClient, ssh: SshServer) -> None:
    inputs = {
        "connection": ssh.connection(),
        "create": Secret("echo hi"),
        "stdin": Secret("s"),
        "environment": {"A": Secret("b")},
    }
    state = client.create(REMOTE, inputs)
    assert state["stdout"] == "hi"
    assert state["create"] == Secret("echo hi")
    assert state["stdin"] == Secret("s")
    assert state["environment"] == {"A": Secret("b")}
    assert isinstance(state["connection"], Secret)
    assert state["connection"].value["privateKey"] == Secret(ssh.private_key)
    assert reveal(state)["connection"]["privateKey"] == ssh.private_key


# Parallel commands, and the end


def test_hundreds_in_flight(client: PluginClient, measured: Measured) -> None:
    count = 300
    with serving() as one, serving() as two:
        hosts = [one, two]
        requests = [
            client.create_request(
                REMOTE, {"connection": hosts[n % 2].connection(dialErrorLimit=10), "create": f"instantly {n}"}
            )
            for n in range(count)
        ]
        began, cpu = time.monotonic(), time.process_time()
        calls = [client.stub.Create.future(request) for request in requests]
        outputs = [call.result(timeout=BOUND).properties["stdout"] for call in calls]
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
    assert outputs == [str(n) for n in range(count)]
    per = cpu / count * 1000
    measured(f"{count} remote commands in flight: {wall:.1f} s, {per:.1f} ms of CPU each, servers included")


def test_large_output_passes(client: PluginClient, ssh: SshServer) -> None:
    size = 20_000_000
    command = f"head -c {size} /dev/zero | tr '\\0' x"
    state = client.create(REMOTE, {"connection": ssh.connection(), "create": command, "logging": "none"})
    assert len(state["stdout"]) == size


def test_cancel_ends_the_remote_process_group(client: PluginClient, ssh: SshServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = f"sleep 60 & echo $! > {pid_file}; wait"
    call = client.stub.Create.future(client.create_request(REMOTE, {"connection": ssh.connection(), "create": command}))
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    client.cancel()
    with pytest.raises(grpc.RpcError) as error:
        call.result(timeout=BOUND)
    assert failure(error).startswith("cancelled")
    until(lambda: gone(int(pid_file.read_text())))
    with pytest.raises(grpc.RpcError):
        client.create(REMOTE, {"connection": ssh.connection(), "create": "echo late"})
    assert "echo late" not in ssh.commands


def test_cancel_ends_the_wait_for_a_host(client: PluginClient, ssh: SshServer) -> None:
    inputs = {"connection": ssh.connection(port=1, dialErrorLimit=-1), "create": "true"}
    call = client.stub.Create.future(client.create_request(REMOTE, inputs))
    until(lambda: bool(client.texts()))
    client.cancel()
    with pytest.raises(grpc.RpcError) as error:
        call.result(timeout=BOUND)
    assert failure(error).startswith("cancelled")
