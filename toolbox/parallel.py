"""Runs tasks in parallel, each in a thread, as soon as the tasks that it needs are complete."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from toolbox.errors import ToolError


@dataclass(frozen=True)
class Task:
    """A task: `fn` takes no arguments and runs after the tasks named in `needs`."""

    name: str
    fn: Callable[[], Any]
    needs: tuple[str, ...] = ()
    hint: str = ""
    """What to do after a failure, if the error itself cannot know it."""


class TaskError(ToolError):
    """A task failed: the message names it, the reason, and what to do."""


class CommandError(ToolError):
    """A program failed or took too long: the message contains its command and the end of its output."""


_runs: ContextVar[tuple[threading.Event, ...]] = ContextVar("runs", default=())
"""One event for each `run` of this thread (they nest): set when that run is being stopped."""


def stopping() -> bool:
    """Whether the run is being stopped (a task failed, or Ctrl-C): long loops in a task check this, and return."""
    return any(event.is_set() for event in _runs.get())


def _sorted(tasks: Sequence[Task]) -> TopologicalSorter[str]:
    """The order of the tasks' names; `ValueError` for a duplicate name, an unknown need, or a cycle."""
    needs = {task.name: task.needs for task in tasks}
    if len(needs) != len(tasks):
        raise ValueError("two tasks have the same name")
    if unknown := {need for task in tasks for need in task.needs} - needs.keys():
        raise ValueError(f"unknown task {', '.join(sorted(unknown))}, which others need")
    order = TopologicalSorter(needs)
    order.prepare()
    return order


def _explain(task: Task, error: BaseException, skipped: list[str]) -> str:
    parts = [f"{task.name}: {error or type(error).__name__}"]
    if task.hint:
        parts.append(f"What to do: {task.hint}")
    if skipped:
        parts.append(f"Not started because of this: {', '.join(skipped)}")
    return "\n".join(parts)


def run(tasks: Sequence[Task]) -> dict[str, Any]:
    """Run all tasks, in parallel where `needs` allows, and return their results by name.

    After the first failure no further task starts, programs started by `command` are terminated, and `TaskError`
    names the task that failed first. Ctrl-C does the same and is raised again.
    """
    order = _sorted(tasks)
    waiting = {task.name: task for task in tasks}
    names = dict(waiting)
    results: dict[str, Any] = {}
    running: dict[Future[Any], str] = {}
    failed: tuple[str, BaseException] | None = None
    stop = threading.Event()
    outer = _runs.set((*_runs.get(), stop))
    pool = ThreadPoolExecutor(max_workers=max(1, len(tasks)), thread_name_prefix="task")
    try:
        while order.is_active():
            if not stopping():
                for name in order.get_ready():
                    running[pool.submit(copy_context().run, waiting.pop(name).fn)] = name
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                if (error := future.exception()) is None:
                    results[name] = future.result()
                    order.done(name)
                elif failed is None:
                    failed = (name, error)
                    stop.set()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        _runs.reset(outer)
    if failed is not None:
        name, error = failed
        raise TaskError(_explain(names[name], error, sorted(waiting))) from error
    if waiting:
        raise TaskError(f"not started, because the run was stopped: {', '.join(sorted(waiting))}")
    return results


def _end(process: subprocess.Popen[str]) -> None:
    """Terminate the program and its children (its process group): by SIGTERM first, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _wait(process: subprocess.Popen[str], timeout: float) -> str:
    """Wait for the program, or terminate it; returns the problem, or an empty text."""
    deadline = time.monotonic() + timeout
    try:
        while process.poll() is None:
            if stopping():
                return "was terminated because the run is being stopped"
            if time.monotonic() > deadline:
                return f"took longer than {timeout:.0f} s and was terminated"
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.2)
    finally:
        if process.returncode is None:
            _end(process)
    return f"ended with status {process.returncode}" if process.returncode else ""


def command(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 900,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program with no stdin and return what it printed (stdout and stderr together, as text).

    `env` is added to this process's environment; `timeout` is in seconds; `on_line` receives each line immediately.
    Raises `CommandError` if it does not exist, fails, takes too long, or the run is being stopped.
    """
    words = [os.fspath(word) for word in argv]
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"{words[0]} cannot be run: {error.strerror}") from error
    lines: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if on_line:
                on_line(line.rstrip("\n"))

    reader = threading.Thread(target=read, name=f"output of {words[0]}", daemon=True)
    reader.start()
    problem = _wait(process, timeout)
    reader.join(timeout=5)  # bounded: a process that the program left behind may keep the pipe open
    if problem:
        raise CommandError("\n".join([f"{shlex.join(words)} {problem}", *"".join(lines[-20:]).splitlines()]))
    return "".join(lines)
