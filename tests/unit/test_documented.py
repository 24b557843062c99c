"""How the documents say where their command blocks run (tests/documented)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import blocks, cli
from toolbox.paths import REPO


def test_every_block_says_where_it_is_run_or_that_it_is_not() -> None:
    for block in blocks.all_blocks():
        assert block.kind in blocks.KINDS, f"{block.place}: expected one of {blocks.KINDS} after `sh`"
        if block.kind == "untested":
            assert block.page in blocks.UNTESTED, f"{block.page}: say why in UNTESTED"
    assert set(blocks.UNTESTED) == {block.page for block in blocks.all_blocks() if block.kind == "untested"}


def test_existing_hosts_and_aws_have_no_untested_block_but_for_what_only_a_person_can_do() -> None:
    untested = {block.place[:2] for block in blocks.all_blocks() if block.kind == "untested"}
    assert {place for place in untested if place[0] in ("README.md", "docs/operations.md")} == {
        ("README.md", "Quick start"),
        ("docs/operations.md", "What dead clusters have left"),
        ("docs/operations.md", "An `up` that was killed"),
    }


def test_blocks_are_found_with_their_place() -> None:
    text = "# A\n```sh own-hosts\nx\n```\n## B\n```yaml\n# C\n```\n```sh own-hosts jm-0\ny\nz\n```\n```sh\n```\n"
    found = blocks.read("p", text)
    assert [(it.place, it.kind, it.host, it.text) for it in found] == [
        (("p", "A", 0), "own-hosts", "", "x\n"),
        (("p", "B", 0), "own-hosts", "jm-0", "y\nz\n"),
        (("p", "B", 1), "", "", "\n"),
    ]


def test_a_story_knows_what_it_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks.read("p", "# A\n```sh aws\nx WORD\n```\n```sh aws\ny\n```\n```sh own-hosts\nz\n```\n")
    monkeypatch.setattr(blocks, "all_blocks", lambda: found)
    story = blocks.Story("aws", {"WORD": "w", "OTHER": "o"})
    assert story.take("p", "A").text == "x w\n"
    assert story.left() == ["p, A, block 1: not run", "'OTHER' is in no block"]
    with pytest.raises(KeyError):
        story.take("p", "A", 2)


@pytest.mark.parametrize("words", ["import aws", "stack tag set a b", "console", "policy ls", ""])
def test_an_unknown_command_is_refused(words: str, tmp_path: Path) -> None:
    argv = [sys.executable, str(REPO / "tests/documented/cli.py"), *words.split()]
    done = subprocess.run(argv, cwd=tmp_path, env={"ENGINE": "false"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "does not know" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stack init dev", "stack init"),
        ("--non-interactive stack export --stack x", "stack export"),
        ("config set --path a b", "config set"),
        ("up --refresh", "up"),
        ("stack --show-urns", "stack"),
    ],
)
def test_a_command_is_recognised_among_its_options(words: str, expected: str) -> None:
    assert cli._command(words.split()) == expected


def test_a_local_login_does_not_reach_the_users_own_state(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "engine").chmod(0o755)
    argv = [sys.executable, str(REPO / "tests/documented/cli.py"), "login", "--local"]
    env = {"ENGINE": str(tmp_path / "engine"), "HOME": "/a/home"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "login file:///a/home\n"
