"""Questions to the Java process that hands jobs over, with a program in its place."""

import subprocess
import sys

import pytest

from host_tool.hand_over import HandOver
from host_tool.output import Failure
from host_tool.store import Store

PROGRAM = """
import sys
for line in sys.stdin:
    print("same", "1", "counts", sep="\\t")
    if line.strip() == "check":
        print("refused", "2", "opaque", "its plan cannot be opened", sep="\\t")
        print("end", flush=True)
    else:
        print("failed", flush=True)
"""


def processes(program: str, seconds: float = 60) -> tuple[HandOver, list[subprocess.Popen[str]]]:
    """The questions, and the processes that they have started."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    return HandOver(start, seconds), started


def test_one_process_answers_all_questions_and_what_it_says_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    hand_over, started = processes(PROGRAM)
    assert (hand_over.check(), hand_over.check()) == (["2"], ["2"])
    assert hand_over.carry() is None
    hand_over.close()
    assert [process.returncode for process in started] == [0]
    out, said = capfd.readouterr()
    assert out == "", "the tool's own answer"
    assert said.splitlines()[:2] == ["same\t1\tcounts", "refused\t2\topaque\tits plan cannot be opened"]


@pytest.mark.parametrize("program", ["", "import sys; sys.stdin.readline(); print('refused\t1\ta\tb')"])
def test_one_that_ends_says_nothing_and_the_next_question_starts_another(program: str) -> None:
    hand_over, started = processes(program)
    assert hand_over.check() is None
    assert hand_over.check() is None
    assert len(started) == 2 and all(process.returncode == 0 for process in started)
    hand_over.close()


def test_without_a_question_there_is_no_process() -> None:
    hand_over, started = processes(PROGRAM)
    hand_over.close()
    assert started == []


ONCE = """
import sys
sys.stdin.readline()
print("end", flush=True)
"""


def test_one_that_has_ended_after_an_answer_is_followed_by_another() -> None:
    """The JobManagers are down then: who says that it failed has them restarted for nothing."""
    hand_over, started = processes(ONCE)
    assert hand_over.check() == []
    started[0].wait()
    assert hand_over.carry() == []
    hand_over.close()
    assert [process.returncode for process in started] == [0, 0]


def test_one_that_does_not_answer_is_ended() -> None:
    hand_over, started = processes("import time; time.sleep(600)", seconds=0.1)
    assert hand_over.carry() is None
    assert [process.returncode for process in started] == [-15]


def test_much_that_nobody_has_read_keeps_nobody_waiting() -> None:
    hand_over, started = processes("import sys\nprint('end')\nfor _ in range(100000): print('more')")
    assert hand_over.check() == []
    hand_over.close()
    assert started[0].returncode is not None


def test_a_storage_whose_process_has_ended_says_so_and_closes() -> None:
    """It asks by the same conversation."""
    pipe = subprocess.PIPE
    ended = subprocess.Popen([sys.executable, "-c", ""], stdin=pipe, stdout=pipe, text=True)
    ended.wait()
    store = Store(lambda: ended)
    with pytest.raises(Failure, match="the Java process has ended"):
        store.read("s3://bucket/a")
    store.close()
