"""Summaries of previews with events made here: what is dangerous, what must be escaped, what does not fit."""

import re
from typing import Any

import pytest
from pulumi import automation as auto
from pulumi.automation.events import ResourcePreEvent, StepEventMetadata, StepEventStateMetadata

from branches import changes, markdown, summary
from branches.changes import Changes, Kind, Verdict
from branches.previews import Preview

HOSTILE = (
    "see www.evil.example and WWW.evil.example, (www.evil.example) http://evil.example ftp://evil.example",
    "``` </details> <script>alert(1)</script> @everyone [x](https://evil.example) <!-- | **bold** \n# head",
    "--> <b>",
    "`",
    "```diff\n```\n<details>",
)


def step(op: str, kind: str, name: str, *, old: Any = None, new: Any = None, **more: Any) -> auto.EngineEvent:
    """An event of one step; `old` and `new` are inputs."""
    urn = f"urn:pulumi:dev::flink::flink:aws:Machines${kind}::{name}"

    def state(inputs: Any) -> StepEventStateMetadata | None:
        if inputs is None:
            return None
        return StepEventStateMetadata(
            type=kind, urn=urn, id="id", parent="urn:pulumi:dev::flink::flink:aws:Machines::dev", provider="p",
            custom=True, inputs=inputs, outputs={}, protect=more.get("protect", False),
        )  # fmt: skip

    metadata = StepEventMetadata(
        op=auto.OpType(op), urn=urn, type=kind, provider="p", old=state(old), new=state(new), diffs=more.get("diffs")
    )
    return auto.EngineEvent(sequence=0, timestamp=0, resource_pre_event=ResourcePreEvent(metadata=metadata))


@pytest.mark.parametrize("kind", changes.HOLDS_DATA)
@pytest.mark.parametrize("ops", [["delete"], ["create-replacement", "replace", "delete-replaced"]])
def test_what_holds_data_is_dangerous_to_lose(kind: str, ops: list[str]) -> None:
    events = [step("update", "aws:ec2/instance:Instance", "tm-0", old={"a": 1}, new={"a": 2}, diffs=["a"])]
    events += [step(op, kind, "it", old={}, new=None if "delete" in op else {}) for op in ops]
    found = changes.read(events)
    assert found.verdict is Verdict.DANGEROUS
    assert [one.name for one in found.resources] == ["it", "tm-0"], "each once, the worst first"
    text = summary.markdown(found, stack="dev")
    assert text.index("[!CAUTION]") < text.index("tm-0")
    assert text.count("is deleted" if ops == ["delete"] else "is replaced") == 1


def test_what_is_protected_is_dangerous_to_lose() -> None:
    found = changes.read([step("delete", "aws:ec2/vpc:Vpc", "net", old={}, protect=True)])
    assert found.verdict is Verdict.DANGEROUS
    assert not changes.read([step("delete", "aws:ec2/vpc:Vpc", "net", old={})]).warnings


def test_a_changed_script_is_one_line_for_all_hosts() -> None:
    """Each with the copy of its scripts and the steps that use it; another copy is a file of a job."""
    copy, command = "command:remote:CopyToRemote", "command:remote:Command"
    events = [step("update", copy, "jm-0-jar-flights", old={"source": "a"}, new={"source": "b"})]
    for number in range(12):
        events.append(step("update", copy, f"tm-{number}-scripts", old={"source": "a"}, new={"source": "b"}))
        events.append(step("update", command, f"tm-{number}-trust", old={"stdin": "a"}, new={"stdin": "b"}))
    text = summary.markdown(changes.read(events), stack="dev")
    assert "nothing restarts" in text
    assert "- TaskManager: `tm-0` … `tm-11` (12 hosts): scripts, trust\n" in text
    assert "`jm-0-jar-flights` (CopyToRemote)" in text


def test_what_stays_or_is_only_read_is_no_change() -> None:
    found = changes.read([step(op, "aws:ec2/vpc:Vpc", op, old={}, new={}) for op in ("same", "read", "refresh")])
    assert (found.verdict, found.same, found.resources) == (Verdict.NONE, 3, [])
    assert "nothing changes (3 resources" in summary.markdown(found, stack="dev")


RUN = 'sudo -n timeout -k 10 720 bash -s -- apply "${SSH_CONNECTION%% *}" i-0abc runs='


@pytest.mark.parametrize(
    ("name", "changed", "restarts"),
    [
        ("tm-0-service", {"stdin": "seconds=2"}, []),
        ("tm-0-service", {"stdin": "wants=2", "create": f"{RUN}0b"}, ["tm-0"]),
        ("tm-0-service", {"stdin": "unknown", "create": "unknown"}, ["tm-0"]),
        ("zk-0-restart", {"stdin": "wants=2", "create": f"{RUN}0b"}, []),
    ],
)
def test_a_daemon_restarts_only_for_what_it_runs(name: str, changed: dict[str, Any], restarts: list[str]) -> None:
    old: dict[str, Any] = {"stdin": "seconds=1", "create": f"{RUN}0a"}
    event = step("update", "command:remote:Command", name, old=old, new={**old, **changed}, diffs=[*changed])
    assert changes.read([event]).restarts == restarts


def test_a_state_that_does_not_say_what_runs_may_mean_a_restart() -> None:
    old, new = {"create": RUN.removesuffix(" runs=")}, {"create": f"{RUN}0a"}
    event = step("update", "command:remote:Command", "tm-0-service", old=old, new=new)
    assert changes.read([event]).restarts == ["tm-0"]


def test_a_host_more_in_a_list_is_one_line() -> None:
    old, new = ({"input": {"hosts": [f"tm-{n}" for n in range(count)]}} for count in (100, 101))
    found = changes.read([step("update", "pulumi:index:Stash", "dev-declared", old=old, new=new)])
    assert found.settings == [changes.Line("hosts", None, "tm-100")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["tm-a", "tm-10", "tm-9", "tm-1"], ["tm-1", "tm-9", "tm-10", "tm-a"]),
        # Rules for operators, with IPv4 and IPv6
        (["jm-ssh-2001-db8--32", "jm-ssh-198.51.100.0-24", "jm-ssh-10-2"],
         ["jm-ssh-10-2", "jm-ssh-2001-db8--32", "jm-ssh-198.51.100.0-24"]),
        (["tm-\u00b2", "tm-\u0663", "tm-", "tm-" + "9" * 5000, "tm-1"],
         ["tm-1", "tm-" + "9" * 5000, "tm-", "tm-\u00b2", "tm-\u0663"]),
    ],
)  # fmt: skip
def test_any_names_have_an_order(names: list[str], expected: list[str]) -> None:
    assert sorted(names, key=changes.by_number) == expected
    events = [step("create", "command:remote:Command", f"{name}-service", new={}) for name in names]
    assert f"`{expected[0]}`" in summary.markdown(changes.read(events), stack="dev")


@pytest.mark.parametrize("value", HOSTILE)
def test_nothing_in_a_value_breaks_out(value: str) -> None:
    events = [
        step("update", "aws:ec2/instance:Instance", value, old={value: "x"}, new={value: value}, diffs=[value]),
        step("create", value.replace("::", ""), "it", new={}),
        step("delete", "aws:ebs/volume:Volume", value, old={}),
        step("update", "pulumi:index:Stash", "d", old={"input": {}}, new={"input": {value: {value: value}}}),
    ]
    text = summary.markdown(changes.read(events), stack=value)
    outside = plain(text)
    assert "<script" not in outside and "<b>" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"@(?!<!-- -->)\w", outside)
    assert not re.search(r"(?i)\bwww\.|://", outside), "no address becomes a link"
    assert outside.count("<details>") == outside.count("</details>")


def plain(text: str) -> str:
    """The text without fences and code, as rendered."""
    lines, fence = [], ""
    for line in text.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif match := re.match(r"(```+)", line):
            fence = match[1]
        else:
            lines.append(re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line))
    assert not fence, "every fence is closed"
    return "\n".join(lines)


@pytest.mark.parametrize("limit", [300, 1000, 5000, 65_536])
@pytest.mark.parametrize("count", [1, 50, 3000])
def test_it_never_gets_longer_than_a_comment_may_be(limit: int, count: int) -> None:
    found = Changes()
    events = [
        step(op, "aws:ec2/instance:Instance", f"machine-{op}-{n}", old={"v": "x" * 500}, new={"v": f"```{n}"})
        for n in range(count)
        for op in ("update", "replace")
    ]
    found = changes.read(events)
    text = summary.markdown(found, stack="dev", limit=limit)
    assert len(text) <= limit
    outside = plain(text)
    assert outside.count("<details>") == outside.count("</details>")
    if count == 3000:
        assert "do not fit" in text


def test_what_a_comment_has_no_room_for_is_said_elsewhere() -> None:
    def preview(count: int) -> Preview:
        names = [f"machine-{number}-{'x' * 100}" for number in range(count)]
        return Preview(
            "dev", changes.read([step("create", "aws:ec2/instance:Instance", name, new={}) for name in names])
        )

    assert preview(1).left_out == ""
    many = preview(1000)
    assert "machine-999-" not in many.markdown and "machine-999-" in many.left_out
    assert len(many.markdown) <= markdown.ROOM


@pytest.mark.parametrize("value", HOSTILE)
def test_a_failure_is_a_block_whatever_is_said(value: str) -> None:
    text = markdown.failure(f"The preview of {markdown.code(value)} failed", f"cause\n{value}\nway on")
    assert "\ncause\n" in text and text.endswith("\nway on\n" + text.splitlines()[-1] + "\n")
    assert "<" not in plain(text) and "@" not in plain(text)


def test_a_failure_that_is_too_long_is_cut() -> None:
    text = markdown.failure("Failed", "cause\n" + "x\n" * 100_000)
    assert "\ncause\n" in text and len(text) < markdown.LIMIT - 500 and "The log of this run contains the rest." in text
    plain(text)


def test_a_failure_of_a_long_name_is_cut() -> None:
    text = markdown.failure(f"The cluster {markdown.code('x' * 100_000)} failed", "cause")
    assert len(text) <= markdown.ROOM


def test_the_numbers_for_programs_are_those_of_the_text() -> None:
    events = [step("create", "aws:ec2/vpc:Vpc", "a", new={}), step("delete", "aws:ec2/vpc:Vpc", "b", old={})]
    found = changes.read(events).json()
    assert found["verdict"] == "changes"
    assert found["counts"] == {"delete": 1, "replace": 0, "restart": 0, "update": 0, "create": 1, "same": 0}
    assert [one["change"] for one in found["resources"]] == [Kind.DELETE.value, Kind.CREATE.value]


def told(old: dict[str, Any], new: dict[str, Any]) -> Changes:
    op = "create" if not old else "delete" if not new else "update"
    inputs = [{"input": each} if each else None for each in (old, new)]
    return changes.read([step(op, "pulumi:index:Stash", "job-counts", old=inputs[0], new=inputs[1])])


JOB = {"jar": "a.jar sha256:1", "upgradeMode": "savepoint", "state": "running", "onDelete": "savepoint"}
OLD = {**JOB, "flink": "2.2.0"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ({}, JOB, "starts; if it ran here before, from the state in which it stopped"),
        ({}, {**JOB, "initialSavepoint": "s3://b/sp"}, "starts from s3://b/sp"),
        (JOB, {**JOB, "jar": "b.jar sha256:2"}, "stops with a savepoint, and starts from it"),
        (JOB, {**JOB, "jar": "b", "upgradeMode": "last-state"}, "is cancelled, and starts from its newest checkpoint"),
        (
            {**JOB, "upgradeMode": "stateless"},
            {**JOB, "jar": "b", "upgradeMode": "stateless"},
            "is cancelled, and starts without its state",
        ),
        (
            JOB,
            {**JOB, "parallelism": 4, "upgradeMode": "blue-green"},
            "starts beside what runs, from a savepoint of it",
        ),
        (JOB, {**JOB, "state": "suspended"}, "stops with a savepoint, and is suspended"),
        ({**JOB, "state": "suspended"}, JOB, "starts from the state in which it was suspended"),
        ({**JOB, "state": "suspended"}, {**JOB, "state": "suspended", "jar": "b"}, "stays suspended"),
        (JOB, {**JOB, "onDelete": "drain"}, "continues to run"),
        (JOB, {**JOB, "savepointNonce": "2"}, "continues to run, and a savepoint is taken"),
        (JOB, {**JOB, "parallelism": 4}, "is rescaled while it runs, if its scheduler is adaptive; otherwise it stops"),
        (OLD, {**OLD, "flink": "2.3.0"}, "is handed over to the other release of Flink; if that refuses it, it stops"),
        (OLD, {**OLD, "flink": "2.3.0", "jar": "b"}, "stops with a savepoint, and starts from it"),
        # A stack of an earlier version does not say the release
        (JOB, {**JOB, "flink": "2.3.0"}, "continues to run"),
        (JOB, {}, "stops with a savepoint, which stays"),
        (JOB, {**JOB, "jar": "b", "allowNonRestoredState": True}, "stops with a savepoint, and starts from it; state"),
        ({**JOB, "state": "suspended", "onDelete": "cancel"}, {}, "is no longer declared; its state stays"),
        (
            {**JOB, "upgradeMode": "stateless"},
            {**JOB, "upgradeMode": "stateless", "state": "suspended"},
            "is cancelled without its state, and is suspended",
        ),
        ({}, {**JOB, "upgradeMode": "stateless", "initialSavepoint": "s3://b/sp"}, "starts from s3://b/sp"),
    ],
)
def test_a_reviewer_reads_what_becomes_of_a_job(old: dict[str, Any], new: dict[str, Any], what: str) -> None:
    found = told(old, new)
    assert found.jobs["counts"].what.startswith(what) and found.verdict is Verdict.CHANGES
    assert f"| `counts` | {what}" in re.sub(r"\\|<!-- -->", "", summary.markdown(found, stack="dev"))


def test_a_job_whose_state_is_lost_is_dangerous() -> None:
    found = told({**JOB, "onDelete": "cancel"}, {})
    assert found.verdict is Verdict.DANGEROUS and found.warnings == ["job counts is cancelled: its state is not kept"]
    # That its changes lose state from now on, and this one does
    found = told(JOB, {**JOB, "jar": "b", "upgradeMode": "stateless"})
    assert found.warnings == ["job counts is cancelled, and starts without its state"]
    assert told(JOB, {**JOB, "upgradeMode": "stateless"}).verdict is Verdict.CHANGES


def test_jobs_are_a_table_with_what_a_reviewer_has_to_know() -> None:
    stash = "pulumi:index:Stash"
    found = changes.read(
        [
            step("update", stash, "job-clicks", old={"input": JOB}, new={"input": {**JOB, "jar": "b.jar sha256:2"}}),
            step("delete", stash, "job-departures", old={"input": JOB}),
            step("create", stash, "job-flights", new={"input": JOB}),
        ]
    )
    text = re.sub(r"\\|<!-- -->", "", summary.markdown(found, stack="prod"))
    assert text[text.index("#### Jobs") : text.index("  job clicks")].startswith(
        "#### Jobs\n\n"
        "| job | what becomes of it and its state | changed |\n|---|---|---|\n"
        "| `clicks` | stops with a savepoint, and starts from it | jar |\n"
        "| `departures` | stops with a savepoint, which stays |  |\n"
        "| `flights` | starts; if it ran here before, from the state in which it stopped |  |\n\n"
        "A job that is failing is upgraded from its newest checkpoint."
    )
    assert "Under another name it is another job" in text
    assert found.json()["jobs"]["clicks"] == "stops with a savepoint, and starts from it"


def test_a_jobs_settings_are_shown_beside_the_clusters() -> None:
    cluster = step(
        "update", "pulumi:index:Stash", "dev-declared", old={"input": {"slots": 1}}, new={"input": {"slots": 2}}
    )
    old, new = ({"input": {**JOB, "args": ["--window", time, "--name", "a b"]}} for time in ("60", "90"))
    found = changes.read([cluster, step("update", "pulumi:index:Stash", "job-counts", old=old, new=new)])
    assert [line.path for line in found.settings] == ["slots", "job counts / args"]
    assert (found.settings[1].old, found.settings[1].new) == ("--window 60 --name 'a b'", "--window 90 --name 'a b'")
