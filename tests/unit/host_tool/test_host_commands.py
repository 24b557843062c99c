"""The tool as hosts run it: its usage, its start, and the supported Python versions."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import host_tool
from host_tool import commands
from host_tool.rollout import Rollout

SLOW = {"argparse", "asyncio", "dataclasses", "http", "json", "pathlib", "ssl", "typing", "urllib"}
"""Modules that take long to import."""
SOURCES = Path(host_tool.__file__).parent


def test_usage_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in [*commands.HOST_COMMANDS, *commands.CLUSTER_COMMANDS]:
        assert name in text
    assert commands.main([]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fly"], "unknown command 'fly'"),
        (["healthy", "rest"], "healthy: expected rest, registered, zookeeper and a port, found rest"),
        (["healthy", "well", "1"], "expected rest, registered, zookeeper"),
        (["joins", "--within", "x", "rest", "1"], "expected a number of seconds, found x"),
        (["rollout", "now"], "rollout takes only --check, found now"),
        (["rollout"], "rollout expects its values as JSON on stdin"),
        (["leftovers", "list", "x"], "leftovers: expected purge"),
    ],
)
def test_wrong_usage_is_said(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("{"))
    assert commands.main(words) == 2
    assert told in capsys.readouterr().err


def test_a_failure_is_said_in_the_name_of_the_host(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"host": "zk-0", "servers": ["127.0.0.1"], "port": 1, "seconds": 0}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(values)))
    assert commands.main(["ensemble"]) == 1
    assert "zk-0: the ensemble is not complete after 0 s" in capsys.readouterr().err


def test_sigterm_ends_a_rollout_by_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which lets it put back what it has stopped."""
    values = {"host": "jm-0", "user": "flink", "seconds": 1, "pending": [], "jobmanagers": [], "taskmanagers": []}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**values, "restPort": 1})))
    monkeypatch.setattr(Rollout, "apply", lambda self: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="jm-0: ended by SIGTERM: run `up` again at once"):
            commands.main(["rollout"])
    finally:
        signal.signal(signal.SIGTERM, before)


def run(python: str, code: str) -> str:
    done = subprocess.run(
        [python, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(SOURCES.parent)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_asked_most_imports_nothing_that_takes_long() -> None:
    code = "from host_tool.commands import main; main(['healthy', 'rest', '1']); print(*sys.modules)"
    assert not SLOW & {name.partition(".")[0] for name in run(sys.executable, code).split()}


def _pythons() -> list[str]:
    """The versions on this machine; ruff checks the syntax for the oldest, in any case."""
    found = [path for minor in range(9, 20) if (path := shutil.which(f"python3.{minor}"))]
    # pyenv has names for versions that are not installed
    works = [
        path for path in found if not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode
    ]
    return [*works, sys.executable]


@pytest.mark.parametrize("found", _pythons(), ids=lambda path: Path(path).name)
def test_it_runs_with_pythons_of_hosts(found: str) -> None:
    names = [path.stem for path in SOURCES.glob("*.py") if path.stem not in ("__main__", "flink_host")]
    assert run(found, f"import host_tool\nfrom host_tool import {', '.join(set(names) - {'__init__'})}") == ""
