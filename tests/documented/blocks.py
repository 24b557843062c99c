"""The command blocks of the documents, and which of them were run.

The info string of a block says where it runs: `sh own-hosts` on the operator's machine, `sh own-hosts jm-0` on that
host, `sh aws` and `sh aws jm-0` the same for a stack on AWS, `sh untested` nowhere (`UNTESTED` says why). A block
without one fails a unit test; one that no test runs fails the test of its kind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolbox.paths import REPO

KINDS = ("own-hosts", "aws", "untested")

UNTESTED = {
    "README.md": "`make up` and the others are how the tests themselves are run, or make labs",
    "docs/aws-first-run.md": "is for a person with a real account; docs/aws.md has the commands that tests run",
    "docs/aws.md": "needs an account of a person: single sign-on, and quotas, of which moto knows none for EC2;"
    " tests/aws/test_refused_machines.py sets noCapacity",
    "docs/bench.md": "takes an hour; tests/unit/test_drill.py tests the options",
    "docs/branches.md": "tests/aws/test_branch_stacks.py and tests/engine/test_branches_engine.py run these commands",
    "docs/ci.md": "needs GitHub or GitLab, and an account; tests/unit/test_workflow_steps.py runs the workflows",
    "docs/configuration.md": "asks for a secret; tests/lab/test_restarts.py sets one",
    "docs/drill.md": "takes an hour; tests/lab/test_drill_quick.py runs the quick part",
    "docs/operations.md": "needs a dead cluster (tests/lab/test_doctor_and_gc.py) or a run that was killed"
    " (tests/engine/test_killed_runs.py, tests/aws/test_killed_stack.py)",
    "docs/jobs.md": "needs a declared job; tests/lab/test_jobs.py runs these commands on a lab",
    "docs/security.md": "needs a terminal for the password; tests/engine/test_front_door.py has a front door",
    "docs/monitoring.md": "needs a monitoring host; tests/engine/test_monitoring.py asks a Prometheus as it does",
    "docs/logs.md": "needs a monitoring host; tests/engine/test_logs.py asks the store, and sends by OTLP",
    "docs/lab.md": "commands of the lab, whose tests are in tests/lab and tests/hosts",
}
"""Why blocks of a page that are marked `untested` are not run."""


@dataclass(frozen=True)
class Block:
    """A block of commands, and where in the documents it is."""

    page: str
    heading: str
    number: int
    """Among the blocks of commands below that heading, from 0."""
    kind: str
    host: str
    """Empty: the operator's machine."""
    text: str

    @property
    def place(self) -> tuple[str, str, int]:
        """What identifies it."""
        return self.page, self.heading, self.number


_LINE = re.compile(r"^(?P<fence>```)(?P<info>.*)$|^#+ (?P<heading>.+)$")


def read(page: str, text: str) -> list[Block]:
    """The blocks of a page whose language is `sh`."""
    found: list[Block] = []
    heading, info = "", None
    lines: list[str] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if info is not None:
            if match and match["fence"]:
                words = [*info.split(), "", "", ""]
                if words[0] == "sh":
                    number = sum(block.heading == heading for block in found)
                    found.append(Block(page, heading, number, words[1], words[2], "\n".join(lines) + "\n"))
                info = None
            else:
                lines.append(line)
        elif match and match["fence"]:
            info, lines = match["info"], []
        elif match:
            heading = match["heading"]
    return found


def all_blocks() -> list[Block]:
    """All blocks of README.md and docs/."""
    pages: list[Path] = [REPO / "README.md", *sorted(REPO.glob("docs/**/*.md"))]
    return [block for page in pages for block in read(str(page.relative_to(REPO)), page.read_text())]


class Story:
    """The blocks of a kind, which a test runs one after the other: of all pages, of one, or of all but one."""

    def __init__(self, kind: str, words: Mapping[str, str], *, page: str = "", without: str = "") -> None:
        self._left = {
            block.place: block
            for block in all_blocks()
            if block.kind == kind and page in ("", block.page) and block.page != without
        }
        self._words = dict(words)
        self._unused = set(words)

    def take(self, page: str, heading: str, number: int = 0) -> Block:
        """A block that is to be run now, with what a reader has to fill in. KeyError if there is no such block."""
        block = self._left.pop((page, heading, number))
        text = block.text
        for word, value in self._words.items():
            if word in text:
                self._unused.discard(word)
                text = text.replace(word, value)
        return Block(block.page, block.heading, block.number, block.kind, block.host, text)

    def fill_in(self, word: str, value: str) -> None:
        """What a reader knows only now."""
        self._words[word] = value
        self._unused.add(word)

    def left(self) -> list[str]:
        """Blocks that were not run, and words that were in none."""
        blocks = [f"{page}, {heading}, block {number}: not run" for page, heading, number in self._left]
        return blocks + [f"{word!r} is in no block" for word in sorted(self._unused)]
