"""How the engine is started, limited and signalled; with a `pulumi` that is a script."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi import automation as auto

from automation import local
from automation.engine import Engine, EngineError, stderr
from automation.workspace import Workspace
from lab import stack
from stand_ins.builds import programs

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """A function: creates a `pulumi` from lines of bash, after those that print its version; returns its root."""

    def made(script: str, version: str = "v3.259.0") -> Path:
        program = tmp_path / "root" / "bin" / "pulumi"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/bash\n[[ $* == version ]] && {{ echo {version}; exit; }}\n{script}\n")
        program.chmod(0o755)
        return tmp_path / "root"

    return made


@pytest.fixture
def waiting(tmp_path: Path) -> str:
    """A line of bash that waits, without a child process."""
    os.mkfifo(tmp_path / "nothing")
    return f"for _ in {{1..600}}; do read -r -t 0.1 <> {tmp_path}/nothing; done"


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.02)


def test_every_command_is_non_interactive_and_has_the_same_variables(fake: Fake, tmp_path: Path) -> None:
    engine = Engine(str(fake("echo $* $PULUMI_SKIP_UPDATE_CHECK $PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER $MORE")))
    workspace = Workspace(tmp_path, engine, variables={"MORE": "more"})
    assert workspace.pulumi("stack", "ls") == "--non-interactive stack ls true true more"


def test_a_secret_goes_over_stdin(fake: Fake, tmp_path: Path) -> None:
    engine = Engine(str(fake('read -r line; echo "$# $line"')))
    assert engine.run(["config", "set"], str(tmp_path), {}, stdin="hidden").stdout == "3 hidden"


def test_the_passphrase_of_a_folder_wins_over_the_users_own(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "theirs")
    local.prepare(tmp_path)
    engine = Engine(str(fake("echo ${PULUMI_CONFIG_PASSPHRASE-none} $PULUMI_CONFIG_PASSPHRASE_FILE")))
    assert engine.run([], str(tmp_path), {}).stdout == "theirs"
    variables = local.variables(tmp_path, home=tmp_path)
    assert engine.run([], str(tmp_path), variables).stdout == f"none {tmp_path}/passphrase"


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(fake: Fake, tmp_path: Path) -> None:
    engine = Engine(str(fake(f"sleep 600 & echo $! > {tmp_path}/child; wait")))
    with pytest.raises(subprocess.TimeoutExpired):
        engine.run([], str(tmp_path), {}, seconds=0.5)
    child = (tmp_path / "child").read_text().strip()
    until(lambda: not Path("/proc", child).exists() or "(sleep) Z" in Path("/proc", child, "stat").read_text())


def test_a_failure_has_what_was_printed_to_stderr(fake: Fake, tmp_path: Path) -> None:
    engine = Engine(str(fake("echo said; echo why >&2; exit 7")))
    with pytest.raises(auto.CommandError) as error:
        engine.run([], str(tmp_path), {})
    assert stderr(error.value) == "why"


def test_a_signal_is_handed_on_and_nothing_is_started_after_it(fake: Fake, tmp_path: Path, waiting: str) -> None:
    engine = Engine(str(fake(f"trap 'echo told > {tmp_path}/told; exit 1' INT; kill -INT $PPID; {waiting}")))
    handler = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            engine.run([], str(tmp_path), {})
    assert (tmp_path / "told").read_text() == "told\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_engine_that_cannot_be_used_is_refused_by_name(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, why in (("v2.9.9", "cannot be used: Minimum version requirement"), ("", "cannot be used")):
        with pytest.raises(EngineError, match=why):
            Engine(str(fake("", version)))
    fake("", "v3.259.0; exit 3")
    with pytest.raises(EngineError, match="`pulumi version` failed with 3"):
        Engine(str(tmp_path / "root"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="no pulumi on PATH"):
        Engine()


def test_an_engine_whose_driver_was_killed_is_ended_and_no_other_is(
    fake: Fake, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi = fake(waiting) / "bin" / "pulumi"
    by_hand = subprocess.Popen([pulumi], start_new_session=True)
    monkeypatch.setenv(stack._DRIVER, str(os.getpid()))
    living = subprocess.Popen([pulumi], start_new_session=True)
    try:
        for process in (living, by_hand):
            until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "pulumi\n")  # noqa: B023
            assert not stack._ended(process.pid)
        # As if it were another process's
        monkeypatch.setenv(stack._DRIVER, "1")
        with subprocess.Popen([pulumi], start_new_session=True) as left:
            until(lambda: Path(f"/proc/{left.pid}/comm").read_text() == "pulumi\n")
            assert stack._ended(left.pid)
            assert left.wait(20) == -signal.SIGKILL
        assert stack._ended(left.pid)
        assert living.poll() is None and by_hand.poll() is None
    finally:
        for process in (living, by_hand):
            process.kill()
            process.wait()


def stack_of_a_lab(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> stack.Stack:
    """The stack `one`, with the engine in `root`."""
    monkeypatch.setattr(programs, "pulumi", lambda: root / "bin" / "pulumi")
    monkeypatch.setattr(stack, "_home", lambda: folder)
    (folder / "project").mkdir()
    return stack.Stack("one", folder, {})


def test_a_labs_state_is_exported_by_the_labs_own_engine(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fake('[[ $* == *--show-secrets* ]] && what=shown; echo "{\\"deployment\\": {\\"it\\": \\"$what\\"}}"')
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # if it does not exist
    one = stack_of_a_lab(root, tmp_path, monkeypatch)
    assert one.exported(secrets=True) == {"it": "shown"}
    assert one.exported(secrets=False) == {"it": ""}
    assert not one.file.exists()


def test_a_lab_without_its_stack_has_an_empty_state(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like a rehearsal's, beside which `gc` looks for other labs' clusters."""
    root = fake("echo \"error: no stack named 'one' found\" >&2; exit 255")
    assert stack_of_a_lab(root, tmp_path, monkeypatch).exported(secrets=False) == {}


def test_the_texts_of_a_secret_have_the_paths_that_the_engine_takes() -> None:
    found = {"pager": {"pagerDuty": "a-key", "severities": ["critical", "info"]}}
    assert dict(stack._leaves("flink:alertReceivers", found)) == {
        'flink:alertReceivers["pager"]["pagerDuty"]': "a-key",
        'flink:alertReceivers["pager"]["severities"][0]': "critical",
        'flink:alertReceivers["pager"]["severities"][1]': "info",
    }
