"""Questions to the Java process that hands jobs over, with a program in its place."""

import subprocess
import sys

import pytest

from host_tool.hand_over import HandOver

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


def processes(program: str) -> tuple[HandOver, list[subprocess.Popen[str]]]:
    """The questions, and the processes that they have started."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        started.append(subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    return HandOver(start), started


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
def test_one_that_has_ended_says_nothing_and_the_next_question_starts_another(program: str) -> None:
    hand_over, started = processes(program)
    assert hand_over.check() is None
    assert hand_over.check() is None
    assert len(started) == 2 and all(process.returncode == 0 for process in started)
    hand_over.close()


def test_without_a_question_there_is_no_process() -> None:
    hand_over, started = processes(PROGRAM)
    hand_over.close()
    assert started == []
