"""Tasks run in parallel in the order of their needs, and the error names the first failure."""

import io
import re
import threading

import pytest

from tests.plugin_client import BOUND, gone, until
from toolbox import console, parallel
from toolbox.parallel import Task, TaskError


def test_results_come_back_by_name() -> None:
    assert parallel.run([Task("a", lambda: 1), Task("b", lambda: 2)]) == {"a": 1, "b": 2}


def test_nothing_to_do_is_fine() -> None:
    assert parallel.run([]) == {}


def test_independent_tasks_overlap() -> None:
    meeting = threading.Barrier(3)
    parallel.run([Task(name, lambda: meeting.wait(timeout=BOUND)) for name in "abc"])


def test_a_task_starts_only_when_its_needs_are_done() -> None:
    order: list[str] = []
    parallel.run(
        [
            Task("c", lambda: order.append("c"), needs=("a", "b")),
            Task("b", lambda: order.append("b"), needs=("a",)),
            Task("a", lambda: order.append("a")),
        ]
    )
    assert order == ["a", "b", "c"]


def test_a_failure_names_the_task_says_what_to_do_and_starts_nothing_more() -> None:
    started: list[str] = []

    def broken() -> None:
        raise RuntimeError("no route to host")

    with pytest.raises(TaskError) as caught:
        parallel.run(
            [
                Task("image", broken, hint="check the network"),
                Task("hosts", lambda: started.append("hosts"), needs=("image",)),
            ]
        )
    message = str(caught.value)
    assert "image: no route to host" in message
    assert "check the network" in message
    assert "hosts" in message.splitlines()[-1]
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert started == []


def test_after_a_failure_running_tasks_are_stopped_and_awaited() -> None:
    begun, told = threading.Event(), []

    def broken() -> None:
        begun.wait(BOUND)
        raise RuntimeError("first")

    def patient() -> None:
        begun.set()
        while not parallel.stopping():
            threading.Event().wait(0.01)
        told.append(True)
        raise RuntimeError("second")

    with pytest.raises(TaskError, match="broken: first"):
        parallel.run([Task("broken", broken), Task("patient", patient)])
    assert told == [True]


def test_a_run_inside_a_task_leaves_the_outer_run_alone() -> None:
    def inner() -> bool:
        parallel.run([Task("x", int)])
        return parallel.stopping()

    assert parallel.run([Task("outer", inner)]) == {"outer": False}
    assert not parallel.stopping()


def test_a_failure_ends_the_programs_that_other_tasks_run_also_in_a_run_inside() -> None:
    began = threading.Event()
    programs: list[int] = []

    def broken() -> None:
        assert began.wait(BOUND)
        raise RuntimeError("first")

    def busy() -> None:
        argv = ["bash", "-c", "sleep 3600 & echo $! $$; wait"]
        parallel.run([Task("inner", lambda: parallel.command(argv, on_line=note))])

    def note(line: str) -> None:
        programs.extend(int(word) for word in line.split())
        began.set()

    with pytest.raises(TaskError, match="broken: first"):
        parallel.run([Task("busy", busy), Task("broken", broken)])
    assert len(programs) == 2
    until(lambda: all(gone(program) for program in programs))


def test_a_command_returns_its_output_and_has_no_stdin() -> None:
    heard: list[str] = []
    script = "echo one; echo $X >&2; cat"
    assert parallel.command(["bash", "-c", script], env={"X": "two"}, on_line=heard.append) == "one\ntwo\n"
    assert heard == ["one", "two"]


def test_a_command_that_fails_says_what_ran_and_the_end_of_its_output() -> None:
    with pytest.raises(parallel.CommandError) as caught:
        parallel.command(["bash", "-c", "seq 100; exit 3"])
    assert "ended with status 3" in str(caught.value)
    assert str(caught.value).endswith("\n99\n100")
    assert "\n80\n" not in str(caught.value)


def test_a_command_that_is_not_there_or_takes_too_long_is_an_error_that_says_so() -> None:
    with pytest.raises(parallel.CommandError, match="/nowhere cannot be run: No such file"):
        parallel.command(["/nowhere"])
    with pytest.raises(parallel.CommandError, match="took longer than 0 s"):
        parallel.command(["sleep", "60"], timeout=0.3)


@pytest.mark.parametrize(
    "wrong",
    [
        [Task("a", int), Task("a", int)],
        [Task("a", int, needs=("nowhere",))],
        [Task("a", int, needs=("b",)), Task("b", int, needs=("a",))],
    ],
)
def test_names_used_twice_unknown_needs_and_circles_are_refused(wrong: list[Task]) -> None:
    with pytest.raises(ValueError):
        parallel.run(wrong)


def test_a_step_says_when_it_begins_how_long_it_took_and_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.step("engine", "building pulumi") as step:
        step.result = "cached"
    first, last = capsys.readouterr().out.splitlines()
    assert first == "engine:      building pulumi …"
    assert re.fullmatch(r"engine: {6}building pulumi: cached, [\d.]+ s", last)


def test_a_step_that_fails_says_so_and_passes_the_error_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), console.step("image", "making it"):
        raise KeyError("x")
    assert "making it: failed after" in capsys.readouterr().out


def test_a_long_step_is_heard_of_with_its_detail(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "HEARTBEAT_SECONDS", 0.01)
    heard = threading.Event()
    write = console._write

    def listen(stream: io.TextIOBase, topic: str, text: str, colour: str = "") -> None:
        write(stream, topic, text, colour)  # type: ignore[arg-type]
        if text.startswith("still"):
            heard.set()

    monkeypatch.setattr(console, "_write", listen)
    with console.step("engine", "building pulumi") as step:
        step.detail = "40 of 900 packages"
        assert heard.wait(BOUND)
    assert re.search(r"still building pulumi \(40 of 900 packages\), [\d.]+ s so far", capsys.readouterr().out)


def test_no_colour_codes_when_nobody_is_watching(capsys: pytest.CaptureFixture[str]) -> None:
    console.fail("lab", "one\ntwo")
    console.say("lab", "three")
    captured = capsys.readouterr()
    assert captured.err == "lab:         one\nlab:         two\n"
    assert captured.out == "lab:         three\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 05 s")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text
