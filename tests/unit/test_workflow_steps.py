"""The steps of the workflows, run by bash, with a GitHub in a file and a `branches` whose result the test sets."""

import http.server
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stand_ins.builds import programs
from tests.serving import serving
from tests.unit import workflows
from tests.unit.fake_branches import CRASH
from tests.unit.workflows import REPOSITORY, RUN, Runner

SUMMARIES = {0: "preview ended with 0\n", 10: "preview ended with 10\n", 20: "preview ended with 20\n"}
COMMIT = "de0fac2e4500dabe0009e67214ff5f5447ce83dd"
BRANCH = "feature/Größe-$(touch owned)"
"""Allowed by git, and dangerous in a shell."""

TESTED = {
    # The files that run this, and the tests beside it
    ("check.yml", "make check"),
    ("check.yml", "make engine"),
    ("check.yml", "make test"),
    ("nightly.yml", "make test-all"),
    ("drift.yml", "Issue"),
    ("drift.yml", "Preview with a refresh"),
    ("ephemeral.yml", "Comment"),
    ("ephemeral.yml", "Down"),
    ("ephemeral.yml", "Up"),
    ("ephemeral.yml", "What the pull request wants now"),
    ("ephemeral.yml", "Who asks, and for what"),
    ("preview.yml", "Comment"),
    ("preview.yml", "Preview"),
    ("heal.yml", "Heal"),
    ("sweep.yml", "Sweep"),
}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    yield Runner(tmp_path)
    assert not (workflows.ROOT / "owned").exists(), "a step ran a stranger's text"


def context(**more: Any) -> dict[str, Any]:
    github = {"token": "t0ken", "repository": REPOSITORY, "server_url": "https://github.com", "run_id": "1"}
    event = {"pull_request": {"number": 12}, "repository": {"default_branch": "main"}}
    variables = {
        "PULUMI_BACKEND_URL": "s3://state",
        "PULUMI_STACKS": '["dev", "prod"]',
        "HEAL_STACKS": '["dev", "prod"]',
    }
    return {
        "github": {**github, "event": event},
        "vars": variables,
        "secrets": {"PULUMI_CONFIG_PASSPHRASE": "secret", "PULUMI_ACCESS_TOKEN": ""},
        **more,
    }


def bodies(runner: Runner, number: int = 12) -> list[str]:
    return [it["body"] for it in runner.on_github().get("comments", {}).get(str(number), [])]


def test_every_step_that_runs_something_is_run_here() -> None:
    assert set(workflows.steps()) == TESTED


# Previews


@pytest.mark.parametrize(("code", "summary"), SUMMARIES.items())
def test_a_preview_is_a_summary_and_a_check_that_passes(runner: Runner, code: int, summary: str) -> None:
    runner.branches(code)
    done = runner.run("preview.yml", "Preview", context(matrix={"stack": "dev"}))
    assert done.code == 0, done.said
    assert done.calls == [["preview", "--stack", "dev", "--summary", done.outputs["summary"]]]
    assert Path(done.outputs["summary"]).read_text() == done.summary == summary
    assert ("::warning" in done.said) is (code == 20)
    assert not done.saw_token


@pytest.mark.parametrize("code", [1, 2, 3, CRASH])
def test_a_preview_that_fails_says_why_instead_of_the_one_before(runner: Runner, code: int) -> None:
    runner.branches(code)
    done = runner.run("preview.yml", "Preview", context(matrix={"stack": "dev"}))
    assert done.code == 1
    assert Path(done.outputs["summary"]).read_text() == done.summary == failed_preview("dev", code)


def failed_preview(stack: str, code: int) -> str:
    said = f"The preview of stack `{stack}` failed.\n" if code == CRASH else f"preview ended with {code}\n"
    return f"{said}\nExit code {code}: [log]({RUN}).\n"


def comment_on(runner: Runner, text: str, stack: str = "dev") -> None:
    summary = runner.folder / "summary.md"
    summary.write_text(text)
    given = context(matrix={"stack": stack}, steps={"preview": {"outputs": {"summary": str(summary)}}})
    done = runner.run("preview.yml", "Comment", given)
    assert done.code == 0, done.said


def test_a_comment_is_written_once_and_edited_from_then_on(runner: Runner) -> None:
    # Our own comments, more than fit on a page, and another user's with the mark
    others = [{"id": 1 + i, "user": {"login": "alice"}, "body": "nice"} for i in range(5)]
    forged = {"id": 9, "user": {"login": "mallory"}, "body": "<!-- flink:preview:dev -->\nno changes"}
    runner.github({"comments": {"12": [*others, forged]}})
    comment_on(runner, "first\n")
    comment_on(runner, "of another stack\n", stack="dev2")
    comment_on(runner, "@second $(touch owned) `x`\n")
    assert bodies(runner)[:6] == [*(["nice"] * 5), forged["body"]]
    assert bodies(runner)[6:] == [
        "<!-- flink:preview:dev -->\n@second $(touch owned) `x`\n",
        "<!-- flink:preview:dev2 -->\nof another stack\n",
    ]


def test_of_two_comments_with_the_mark_one_is_edited(runner: Runner) -> None:
    two = [
        {"id": 5 + i, "user": {"login": "github-actions[bot]"}, "body": "<!-- flink:preview:dev -->\n"} for i in (0, 1)
    ]
    runner.github({"comments": {"12": two}})
    comment_on(runner, "new\n")
    assert bodies(runner) == ["<!-- flink:preview:dev -->\nnew\n", two[1]["body"]]


@pytest.mark.parametrize("length", [60_000, 65_536, 100_000])
def test_a_comment_is_no_longer_than_github_takes(runner: Runner, length: int) -> None:
    text = "ü" * (length - 1) + "\n"
    comment_on(runner, text)
    (body,) = bodies(runner)
    assert body.startswith("<!-- flink:preview:dev -->\nüüü")
    assert (text in body) is (length == 60_000)
    assert body.endswith("The rest does not fit into a comment.\n") is (length != 60_000)


def test_the_comment_step_also_runs_after_a_preview_that_failed() -> None:
    step = workflows.steps()["preview.yml", "Comment"]
    condition = workflows.EXPRESSION.sub(r"\1", step["if"])
    for summary in ("summary.md", ""):
        found = workflows.value(condition, {"steps": {"preview": {"outputs": {"summary": summary}}}})
        assert bool(found) is bool(summary)


# Clusters: who may request one


def asks(
    runner: Runner,
    event: str,
    action: str,
    *,
    body: str = "",
    permission: str = "write",
    labels: tuple[str, ...] = (),
    fork: bool = False,
    branch: str = BRANCH,
) -> workflows.Done:
    pull = {"isCrossRepository": fork, "headRefName": branch, "headRefOid": COMMIT, "state": "OPEN"}
    runner.github({"pulls": {"12": pull}, "permissions": {"alice": permission}, "labels": {"12": list(labels)}})
    payload: dict[str, Any] = {"action": action, "sender": {"login": "alice"}}
    payload |= {"issue": {"number": 12}, "comment": {"body": body}} if body else {"pull_request": {"number": 12}}
    github = {**context()["github"], "event_name": event, "event": payload}
    return runner.run("ephemeral.yml", "Who asks, and for what", {"github": github})


def labels_of(runner: Runner) -> list[str]:
    found: list[str] = runner.on_github()["labels"]["12"]
    return found


@pytest.mark.parametrize("body", ["/cluster up", "/cluster up\r\nplease", "/cluster up\nthanks"])
def test_a_comment_of_somebody_who_may_push_labels_and_starts(runner: Runner, body: str) -> None:
    done = asks(runner, "issue_comment", "created", body=body, labels=("a", "b"))
    assert done.code == 0, done.said
    assert done.outputs["branch"] == BRANCH
    assert labels_of(runner) == ["a", "b", "cluster"]


@pytest.mark.parametrize("labels", [("a", "b", "cluster"), ("cluster",), ()])
def test_a_comment_takes_the_label_away_and_starts(runner: Runner, labels: tuple[str, ...]) -> None:
    done = asks(runner, "issue_comment", "created", body="/cluster down", labels=labels)
    assert (done.code, done.outputs["branch"]) == (0, BRANCH), done.said
    assert "cluster" not in labels_of(runner)


@pytest.mark.parametrize("permission", ["read", "none", "triage"])
def test_nobody_else_starts_one_by_a_comment(runner: Runner, permission: str) -> None:
    done = asks(runner, "issue_comment", "created", body="/cluster up", permission=permission)
    assert (done.code, done.outputs, labels_of(runner)) == (0, {}, []), done.said


def test_a_label_of_somebody_who_may_not_push_is_taken_away(runner: Runner) -> None:
    done = asks(runner, "pull_request", "labeled", permission="read", labels=("cluster",))
    assert (done.code, done.outputs, labels_of(runner)) == (0, {}, []), done.said


@pytest.mark.parametrize("permission", ["write", "admin"])
def test_a_label_of_somebody_who_may_push_starts(runner: Runner, permission: str) -> None:
    done = asks(runner, "pull_request", "labeled", permission=permission, labels=("cluster",))
    assert (done.outputs["branch"], labels_of(runner)) == (BRANCH, ["cluster"]), done.said


@pytest.mark.parametrize("action", ["synchronize", "reopened", "closed", "unlabeled"])
def test_a_push_and_an_end_continue_with_what_was_requested(runner: Runner, action: str) -> None:
    done = asks(runner, "pull_request", action, permission="none", labels=("cluster",))
    assert (done.code, done.outputs["branch"], labels_of(runner)) == (0, BRANCH, ["cluster"]), done.said


def test_a_comment_on_a_pull_request_from_a_fork_starts_nothing(runner: Runner) -> None:
    done = asks(runner, "issue_comment", "created", body="/cluster up", permission="admin", fork=True)
    assert (done.code, done.outputs, labels_of(runner)) == (0, {}, []), done.said


@pytest.mark.parametrize("body", ["/cluster", "/cluster upp", "/cluster up; rm", "/cluster $(touch owned)"])
def test_what_is_not_understood_starts_nothing(runner: Runner, body: str) -> None:
    done = asks(runner, "issue_comment", "created", body=body)
    assert (done.code, done.outputs, labels_of(runner)) == (0, {}, []), done.said


def test_branches_that_differ_in_case_only_have_groups_of_their_own(runner: Runner) -> None:
    groups = [
        asks(runner, "pull_request", "synchronize", branch=branch).outputs["group"] for branch in ("a", "A", "a", "a/b")
    ]
    assert groups[0] == groups[2]
    assert len({group.lower() for group in groups}) == 3


# Clusters: created and removed


@pytest.mark.parametrize(
    ("state", "labels", "command", "ref"),
    [
        ("OPEN", ("docs", "cluster"), "up", COMMIT),
        ("OPEN", ("docs",), "down", "main"),
        ("CLOSED", ("cluster",), "down", "main"),
        ("MERGED", ("cluster",), "down", "main"),
    ],
)
def test_a_run_does_what_the_pull_request_wants_when_its_turn_comes(
    runner: Runner, state: str, labels: tuple[str, ...], command: str, ref: str
) -> None:
    runner.github({"pulls": {"12": {"state": state, "headRefOid": COMMIT}}, "labels": {"12": labels}})
    done = runner.run("ephemeral.yml", "What the pull request wants now", cluster(""))
    assert (done.code, done.outputs) == (0, {"command": command, "ref": ref}), done.said


def cluster(command: str, **outputs: str) -> dict[str, Any]:
    return context(
        needs={"asked": {"outputs": {"branch": BRANCH}}},
        steps={"expected": {"outputs": {"command": command, "ref": COMMIT}}, command: {"outputs": outputs}},
    )


def test_up_receives_the_branch_the_commit_and_the_time(runner: Runner) -> None:
    done = runner.run("ephemeral.yml", "Up", cluster("up"))
    comment = done.outputs["comment"]
    assert done.calls == [["up", "--ttl", "8h", "--commit", COMMIT, "--comment", comment, "--", BRANCH]]
    assert (done.code, Path(comment).read_text(), done.saw_token) == (0, "up ended with 0\n", False)


def test_the_time_can_be_another(runner: Runner) -> None:
    given = cluster("up")
    given["vars"]["EPHEMERAL_TTL"] = "2d"
    assert runner.run("ephemeral.yml", "Up", given).calls[0][1:3] == ["--ttl", "2d"]


@pytest.mark.parametrize("code", [1, 2, 3, CRASH])
def test_the_comment_reports_an_up_that_failed(runner: Runner, code: int) -> None:
    runner.branches(code)
    done = runner.run("ephemeral.yml", "Up", cluster("up"))
    text = Path(done.outputs["comment"]).read_text()
    assert done.code == code
    assert text.startswith("The cluster of this branch could not" if code == CRASH else f"up ended with {code}\n")
    assert f"Commit {COMMIT}, exit code {code}: [log]({RUN})." in text


@pytest.mark.parametrize("code", [0, 1, 3])
def test_down_says_what_became_of_it(runner: Runner, code: int) -> None:
    runner.branches(code)
    done = runner.run("ephemeral.yml", "Down", cluster("down"))
    text = Path(done.outputs["comment"]).read_text()
    assert done.calls == [["down", "--", BRANCH]]
    assert (done.code, "has been removed" in text, done.saw_token) == (code, code == 0, False)
    assert (f"exit code {code}" in text) is (code != 0)


def test_the_comment_of_a_cluster_is_one(runner: Runner) -> None:
    for command in ("up", "down"):
        done = runner.run("ephemeral.yml", command.title(), cluster(command))
        assert runner.run("ephemeral.yml", "Comment", cluster(command, **done.outputs)).code == 0
    assert bodies(runner) == ["<!-- flink:cluster -->\nThe cluster of this branch has been removed.\n"]


# Nightly


@pytest.mark.parametrize(("dry", "options"), [(True, ["--dry-run"]), (False, []), ("", [])])
def test_a_sweep_removes_unless_it_shall_only_say(runner: Runner, dry: bool | str, options: list[str]) -> None:
    done = runner.run("sweep.yml", "Sweep", context(inputs={"dry-run": dry}))
    assert (done.code, done.calls) == (0, [["sweep", *options]]), done.said
    assert done.summary == "```\nsweep ended with 0\n```\n"


@pytest.mark.parametrize("code", [1, 3, 4])
def test_a_sweep_that_leaves_something_fails_with_its_report(runner: Runner, code: int) -> None:
    runner.branches(code)
    done = runner.run("sweep.yml", "Sweep", context(inputs={"dry-run": ""}))
    assert done.code == code
    assert f"sweep ended with {code}" in done.summary
    assert ("::error" in done.said) is (code == 4)


def heal(runner: Runner, stack: str = "") -> workflows.Done:
    return runner.run("heal.yml", "Heal", context(inputs={"stack": stack, "instance": "i-1"}))


def test_healing_looks_at_all_stacks_and_waits_for_the_one_that_has_lost_a_machine(runner: Runner) -> None:
    every = [["heal", "--stack", name, "--wait", "1s"] for name in ("dev", "prod")]
    assert heal(runner).calls == every
    assert heal(runner, "prod").calls == [["heal", "--stack", "prod", "--wait", "20m"], every[0]]


@pytest.mark.parametrize("stack", ["other", "dev\nprod", "$(touch owned)", "-x"])
def test_healing_is_for_listed_stacks_only(runner: Runner, stack: str) -> None:
    done = heal(runner, stack)
    assert (done.code, done.calls) == (1, []), done.said


@pytest.mark.parametrize(("stack", "code", "result"), [("dev", 1, 1), ("dev", 3, 1), ("", 3, 0), ("", 1, 1)])
def test_healing_fails_where_a_person_has_to_look_and_blocks_no_other_stack(
    runner: Runner, stack: str, code: int, result: int
) -> None:
    runner.branches(dev=code, prod=0)
    done = heal(runner, stack)
    assert (done.code, len(done.calls)) == (result, 2), done.said
    assert ("::error title=dev::" in done.said) is bool(result)


def drift(runner: Runner, **codes: int) -> workflows.Done:
    """A night in which the previews have these results."""
    folder = runner.temp / "drift"
    for path in folder.glob("*"):
        path.unlink()
    if folder.exists():
        folder.rmdir()
    runner.branches(99, **codes)
    done = runner.run("drift.yml", "Preview with a refresh", context())
    assert done.code == 0, done.said
    assert [call[:4] for call in done.calls] == [["preview", "--refresh", "--stack", stack] for stack in codes]
    assert not done.saw_token
    return runner.run("drift.yml", "Issue", context(steps={"preview": {"outputs": done.outputs}}))


def test_without_drift_there_is_no_issue(runner: Runner) -> None:
    assert drift(runner, dev=0, prod=0).code == 0
    assert runner.on_github()["issues"] == []


def test_drift_is_one_issue_that_is_edited_and_closed(runner: Runner) -> None:
    assert drift(runner, dev=0, prod=20).code == 0
    (issue,) = runner.on_github()["issues"]
    assert "| `dev` | no drift |\n| `prod` | **drift of resources that hold data or are protected** |" in issue["body"]
    number = issue["number"]
    assert [text.splitlines()[1] for text in bodies(runner, number)] == [
        "preview ended with 0",
        "preview ended with 20",
    ]

    assert drift(runner, dev=10, prod=10).code == 0
    (issue,) = runner.on_github()["issues"]
    assert (issue["number"], issue["state"]) == (number, "open")
    assert "| `dev` | drift |\n| `prod` | drift |" in issue["body"]
    assert [text.splitlines()[1] for text in bodies(runner, number)] == ["preview ended with 10"] * 2

    assert drift(runner, dev=0, prod=0).code == 0
    assert [it["state"] for it in runner.on_github()["issues"]] == ["closed"]

    assert drift(runner, dev=0, prod=10).code == 0
    assert [it["state"] for it in runner.on_github()["issues"]] == ["closed", "open"]


@pytest.mark.parametrize("code", [1, 3, CRASH])
def test_an_unreadable_stack_is_reported_and_blocks_no_other(runner: Runner, code: int) -> None:
    done = drift(runner, dev=code, prod=10)
    assert done.code == 1, "otherwise the failure of the nightly check would not be noticed"
    (issue,) = runner.on_github()["issues"]
    assert "| `dev` | the preview failed |\n| `prod` | drift |" in issue["body"]
    first, second = bodies(runner, issue["number"])
    assert first == f"<!-- flink:preview:dev -->\n{failed_preview('dev', code)}"
    assert "preview ended with 10" in second


# GitLab


class GitLab(http.server.ThreadingHTTPServer):
    """The notes of one merge request, two to a page."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Notes)
        self.notes: list[dict[str, Any]] = []
        self.refuse = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v4"


class Notes(http.server.BaseHTTPRequestHandler):
    server: GitLab

    def log_message(self, format: str, *args: object) -> None:
        """Does nothing."""

    def answer(self, content: object, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def text(self) -> str:
        body: str = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        return body

    def allowed(self) -> bool:
        if self.headers["PRIVATE-TOKEN"] == "glpat" and not self.server.refuse:
            return True
        self.answer({"message": "403 Forbidden"}, 403)
        return False

    def do_GET(self) -> None:
        if not self.allowed():
            return
        if self.path == "/api/v4/user":
            return self.answer({"username": "bot"})
        path, _, query = self.path.partition("?")
        assert path == "/api/v4/projects/5/merge_requests/12/notes"
        page = int(query.rpartition("page=")[2]) - 1
        return self.answer(self.server.notes[2 * page : 2 * page + 2])

    def do_POST(self) -> None:
        text = self.text()
        if self.allowed():
            new = {"id": 100 + len(self.server.notes), "author": {"username": "bot"}, "body": text}
            self.server.notes.append(new)
            self.answer(new, 201)

    def do_PUT(self) -> None:
        text = self.text()
        if self.allowed():
            (note,) = (it for it in self.server.notes if it["id"] == int(self.path.rpartition("/")[2]))
            note["body"] = text
            self.answer(note)


@pytest.fixture
def gitlab() -> Iterator[GitLab]:
    with serving(GitLab()) as server:
        yield server


def gitlab_job(runner: Runner, gitlab: GitLab, name: str, **more: str) -> workflows.Done:
    """Run the script of a job of the example, in this checkout, without its installation."""
    job = workflows.gitlab()[name]
    variables: Mapping[str, str] = {
        "CI_API_V4_URL": gitlab.url,
        "CI_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "12",
        "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": BRANCH,
        "CI_COMMIT_SHA": COMMIT,
        "CI_JOB_URL": RUN,
        "GITLAB_TOKEN": "glpat",
        "PULUMI_STACKS": "dev prod",
        "HEAL_STACKS": "dev prod",
        **more,
    }
    # In a separate folder: the job leaves its files in its working directory
    script = "\n".join(line.replace("docs/ci/", f"{workflows.ROOT}/docs/ci/") for line in job["script"])
    return runner.bash(f'cd "$RUNNER_TEMP"\n{script}', variables)


@pytest.mark.parametrize("code", [0, 10, 20, 1, 2, 3, CRASH])
def test_gitlab_gets_a_note_for_each_stack_and_edits_it(runner: Runner, gitlab: GitLab, code: int) -> None:
    mark = "<!-- flink:preview:dev -->"
    gitlab.notes += [{"id": 1 + i, "author": {"username": "alice"}, "body": mark} for i in range(3)]
    for prod in (10, code):
        runner.branches(99, dev=0, prod=prod)
        done = gitlab_job(runner, gitlab, "preview")
        assert [call[:3] for call in done.calls] == [["preview", "--stack", stack] for stack in ("dev", "prod")], (
            done.said
        )
        assert done.code == (0 if prod in SUMMARIES else 1), done.said
    said = SUMMARIES[code] if code in SUMMARIES else failed_preview("prod", code)
    assert [it["body"] for it in gitlab.notes[3:]] == [
        f"{mark}\npreview ended with 0\n",
        f"<!-- flink:preview:prod -->\n{said}",
    ]
    assert all(it["body"] == mark for it in gitlab.notes[:3])


@pytest.mark.parametrize("code", [0, 1, 3, CRASH])
def test_gitlab_gets_a_cluster_and_loses_it(runner: Runner, gitlab: GitLab, code: int) -> None:
    runner.branches(code)
    up = gitlab_job(runner, gitlab, "cluster")
    assert up.calls == [["up", "--ttl", "8h", "--commit", COMMIT, "--comment", "comment.md", "--", BRANCH]], up.said
    assert up.code == code
    (note,) = gitlab.notes
    assert (f"up ended with {code}\n" in note["body"]) is (code != CRASH)
    assert (f"Commit {COMMIT}, exit code {code}: [log]({RUN})." in note["body"]) is (code != 0)

    down = gitlab_job(runner, gitlab, "cluster-stop")
    assert (down.code, down.calls) == (code, [["down", "--", BRANCH]]), down.said
    (note,) = gitlab.notes
    assert f"exit code {code}" in note["body"]


@pytest.mark.parametrize("code", [0, 1, 4])
def test_a_nightly_sweep_of_gitlab_ends_as_the_tool_does(runner: Runner, gitlab: GitLab, code: int) -> None:
    runner.branches(code)
    done = gitlab_job(runner, gitlab, "sweep")
    assert (done.code, done.calls) == (code, [["sweep"]])


@pytest.mark.parametrize("code", [0, 10, 20, 1, 3])
def test_drift_is_a_failed_job_of_gitlab_after_a_look_at_all_stacks(runner: Runner, gitlab: GitLab, code: int) -> None:
    runner.branches(99, dev=code, prod=0)
    done = gitlab_job(runner, gitlab, "drift")
    assert (done.code, len(done.calls)) == (int(code != 0), 2)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_healing_is_a_failed_job_of_gitlab_after_a_look_at_all_stacks(
    runner: Runner, gitlab: GitLab, code: int
) -> None:
    runner.branches(99, dev=code, prod=0)
    done = gitlab_job(runner, gitlab, "heal")
    assert (done.code, len(done.calls)) == (int(code != 0), 2)


def test_a_note_that_gitlab_refuses_is_an_error_without_the_token(runner: Runner, gitlab: GitLab) -> None:
    gitlab.refuse = True
    done = gitlab_job(runner, gitlab, "cluster")
    assert done.code == 1
    assert "403" in done.said and "merge request 12" in done.said
    assert "glpat" not in done.said and "Traceback" not in done.said


# With the real tool, as far as possible without a cloud


def test_the_words_for_the_tool_are_words_that_it_takes(runner: Runner, gitlab: GitLab) -> None:
    from branches.__main__ import parser

    said = [
        runner.run("preview.yml", "Preview", context(matrix={"stack": "dev"})),
        runner.run("ephemeral.yml", "Up", cluster("up")),
        runner.run("ephemeral.yml", "Down", cluster("down")),
        runner.run("drift.yml", "Preview with a refresh", context()),
        runner.run("sweep.yml", "Sweep", context(inputs={"dry-run": True})),
        runner.run("sweep.yml", "Sweep", context(inputs={"dry-run": False})),
        heal(runner, "dev"),
        *(
            gitlab_job(runner, gitlab, name)
            for name in ("preview", "cluster", "cluster-stop", "sweep", "drift", "heal")
        ),
    ]
    calls = [call for done in said for call in done.calls]
    assert len(calls) == 18
    for call in calls:
        parser().parse_args(call)


@pytest.fixture
def real(runner: Runner) -> Runner:
    """With the real tool, and an engine that can only print its version."""
    runner.real_branches()
    runner.program("pulumi", f"[[ $* == version ]] && echo v{programs.PULUMI}")
    return runner


def test_the_real_tool_refuses_a_time_that_is_none(real: Runner) -> None:
    given = cluster("up")
    given["vars"]["EPHEMERAL_TTL"] = "soon"
    done = real.run("ephemeral.yml", "Up", given)
    assert (done.code, "soon" in done.said) == (2, True), done.said
    text = Path(done.outputs["comment"]).read_text()
    assert "--ttl 'soon' is not a valid lifetime" in text and "exit code 2" in text


def test_the_real_tool_refuses_a_stack_that_has_no_file(real: Runner) -> None:
    done = real.run("preview.yml", "Preview", context(matrix={"stack": "nobodys"}))
    assert (done.code, "nobodys" in done.said) == (1, True), done.said
    assert "there is no Pulumi.nobodys.yaml" in done.summary and "Exit code 2" in done.summary


def test_the_real_tool_fails_where_there_is_no_engine(runner: Runner) -> None:
    runner.real_branches()
    done = runner.run("ephemeral.yml", "Down", cluster("down"))
    assert (done.code, "no pulumi on PATH" in done.said, "Traceback" in done.said) == (1, True, False), done.said
    assert "exit code 1" in Path(done.outputs["comment"]).read_text()
