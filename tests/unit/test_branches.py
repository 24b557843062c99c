"""Names, tags, configuration, comments and the command line of branches' stacks."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pulumi import automation as auto
from pulumi.automation._cmd import CommandResult

import settings
from automation import workspace
from automation.deployment import AWS_PROVIDER
from automation.engine import Engine
from branches import __main__, comment, configuration, markdown, names, stack_tags, stacks, starts
from branches.errors import BranchesError, LockedError, UsageError
from branches.stack_tags import Mark
from branches.stacks import Entry, Sweep, Up
from components import forms
from components.aws import infrastructure
from components.aws import names as aws_names
from components.errors import ConfigError
from components.host import Role
from components.naming import Labels
from ops.errors import BusyError
from ops.password import hashed
from tests.unit.test_summary import plain

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MARK = Mark("feature/x", "c0ffee", NOW + timedelta(hours=8))

BRANCHES = [
    # ordinary
    "main", "dev", "prod", "local", "ephemeral", "feature/login", "feature-login", "feature--login", "feature_login",
    "feature.login", "Feature/Login", "FEATURE/LOGIN", "release/2.3.0", "release-2-3-0", "dependabot/pip/boto3-1.40.1",
    "br-dev", "br-feature--login", "1", "007", "a",
    # words with a meaning elsewhere
    "HEAD", "@", "master", "default", "organization", "null", "true", "refs/heads/main", "con", "nul",
    # leading dashes and other ends
    "-x", "--force", "-", "x-", "--", "feature/-rf", "a/b--c", "_", "feature/x.lock.y",
    # other letters
    "größe/straße", "grosse/strasse", "日本語", "日本", "функция/вход", "emoji-🚀", "e\u0301", "\u00e9", "\u202egnp",
    # special characters of shells, Markdown and YAML
    "$(rm -rf)".replace(" ", "-"), "`id`", "a'b\"c", "a|b", "<!--x-->", "{stack}", "#1", "a;b&c", "%2F", "a=b", "!x",
    # long ones
    "x" * 200, "x" * 199 + "y", "x" * 37, "x" * 38, "/".join(["abc"] * 50), "ы" * 200,
    # that look like the names of others
    "feature-login-1f2e3d4c", "1f2e3d4c", "\udcff\udcfe",
]  # fmt: skip
ILLEGAL = [
    "", "a b", "a..b", "a~1", "a^", "a:b", "a?b", "a*", "[a", "a\\b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock",
    "a.lock/b", "a.", "a@{1}", "a\tb", "a\x7fb", "a\nb",
]  # fmt: skip


def git_takes(branch: str) -> bool:
    words = ["git", "check-ref-format", f"refs/heads/{branch}"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_there_are_more_than_fifty_names() -> None:
    assert len(set(BRANCHES)) == len(BRANCHES) > 50


@pytest.mark.parametrize("branch", BRANCHES, ids=ascii)
def test_every_legal_name_is_that_of_a_valid_stack(branch: str) -> None:
    assert git_takes(branch)
    stack = names.stack(branch)
    assert stack == names.stack(branch)
    assert len(stack) <= names.LONGEST
    # The engine (sdk/go/common/tokens/stack_name.go), a host's name, the cluster's id, a role, a bucket, tags
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", stack)
    host = f"tm-999.{aws_names.domain(stack)}"
    assert len(host) <= 64 and all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", it) for it in host.split("."))
    assert forms.CLUSTER_ID.fits(stack)
    region = "ap-southeast-1"
    assert re.fullmatch(r"[\w+=,.@-]{1,64}", aws_names.role(stack, region))
    bucket = infrastructure.bucket_name(settings.PROJECT, stack, "123456789012", region)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket)
    tags = Labels(project="flink", stack=stack, owner="x", expires=stack_tags.written(NOW)).tags(f"{stack}-tm-999")
    assert all(re.fullmatch(r"[\w .:/=+@-]{1,256}", text) for text in tags.values())
    # A label of a domain with -- in third place means something else (RFC 5891)
    assert stack[2:4] != "--"
    assert len(names.label(branch).encode()) <= names.LONGEST_TAG


def test_no_two_branches_have_the_same_stack_nor_that_of_a_long_lived_one() -> None:
    made = [names.stack(branch) for branch in BRANCHES]
    assert len(set(made)) == len(made)
    assert len({names.label(branch) for branch in BRANCHES}) == len(BRANCHES)
    long_lived = {path.name.split(".")[1] for path in workspace.REPO.glob("Pulumi.*.yaml")}
    assert {"dev", "prod", "local", "ephemeral"} <= long_lived
    assert not set(made) & long_lived
    roles = {aws_names.role(stack, "eu-central-1") for stack in made}
    buckets = {infrastructure.bucket_name("flink", stack, "123456789012", "eu-central-1") for stack in made}
    assert len(roles) == len(buckets) == len(made)


@pytest.mark.parametrize(
    ("branch", "stack"),
    [
        ("dev", "br-dev"),
        ("feature/login", "br-feature--login"),
        ("dependabot/pip/x", "br-dependabot--pip--x"),
        ("Fix_it", "br-fix-it-HASH"),
        ("größe", "br-groe-HASH"),
        ("日本", "br-HASH"),
        ("x" * 200, f"br-{'x' * 28}-HASH"),
    ],
    ids=ascii,
)
def test_names_can_be_read(branch: str, stack: str) -> None:
    assert re.fullmatch(stack.replace("HASH", "[0-9a-f]{8}"), names.stack(branch))


def test_a_branch_that_is_called_like_anothers_digest_has_another_stack() -> None:
    taken = names.stack("Feature").removeprefix(names.PREFIX)
    assert names.stack(taken) != names.stack("Feature")


@pytest.mark.parametrize("branch", ILLEGAL, ids=ascii)
def test_what_git_refuses_is_refused(branch: str) -> None:
    assert not git_takes(branch)
    with pytest.raises(UsageError, match="git refuses such a name"):
        names.stack(branch)


# Tags


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("8h", 28800), ("3d", 259200), ("30d", 2592000)]
)
def test_a_ttl_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    assert stack_tags.ttl(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "8", "h", "0h", "-1h", "8 h", "1.5h", "8H", "31d", "999999999d", "1w", "٣h"])
def test_any_other_ttl_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--ttl"):
        stack_tags.ttl(text)


def test_a_mark_is_read_as_it_was_written() -> None:
    tags = MARK.tags()
    assert list(tags)[-1] == stack_tags.EPHEMERAL
    assert stack_tags.ours(tags) and stack_tags.read("s", tags) == MARK
    nameless = Mark("x", "", NOW)
    assert all(nameless.tags().values()) and stack_tags.read("s", nameless.tags()) == nameless


@pytest.mark.parametrize(
    "change",
    [
        {stack_tags.EXPIRES: "soon"},
        {stack_tags.EXPIRES: "2030-01-31"},
        {stack_tags.EXPIRES: ""},
        {stack_tags.EXPIRES: "9999-12-31T23:59:59-12:00"},
        {stack_tags.EXPIRES: "0001-01-01T00:00:00+12:00"},
        {stack_tags.BRANCH: ""},
    ],
)
def test_a_mark_that_was_changed_is_an_error_with_a_way_on(change: dict[str, str]) -> None:
    with pytest.raises(BranchesError, match=r"stack br-x: .*`pulumi stack tag set"):
        stack_tags.read("br-x", {**MARK.tags(), **change})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (86400 * 3, "3 d"), (-90, "-1 min 30 s")],
)
def test_spans_are_said_in_their_two_largest_units(seconds: int, text: str) -> None:
    assert stack_tags.duration(timedelta(seconds=seconds)) == text


# Configuration


def configured(content: dict[str, Any], *changes: str) -> dict[str, Any]:
    made = configuration.of_stack(
        {"config": content}, stack="br-x", expires="2030-01-31T20:00:00Z", changes=changes, schema=settings.schema()
    )
    config: dict[str, Any] = made["config"]
    return config


AWS = {"flink:provider": "aws"}


def as_text(config: dict[str, Any]) -> dict[str, str]:
    """As Pulumi passes it."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def test_every_branch_has_what_the_program_takes_and_what_is_its_own(tmp_path: Path) -> None:
    content = yaml.safe_load((workspace.REPO / configuration.FILE).read_text())
    loaded = {}
    for branch in ("feature/a", "feature/b"):
        stack = names.stack(branch)
        made = configuration.of_stack(
            content, stack=stack, expires="2030-01-31T20:00:00Z", changes=[], schema=settings.schema()
        )["config"]
        # The file leaves to its users who logs in
        with pytest.raises(
            ConfigError, match=r"1 problem; .*\n.*frontDoorUsers: is missing: expected at least one user"
        ):
            settings.load(as_text(made), stack=stack, root=tmp_path)
        made["flink:frontDoorUsers"] = {"anna": {"passwordHash": hashed("a password", 10), "role": "operator"}}
        loaded[stack] = settings.load(as_text(made), stack=stack, root=tmp_path, secrets={"frontDoorUsers"})
    for stack, found in loaded.items():
        aws = found.site
        assert aws is not None
        assert (aws.ephemeral, aws.expires, aws.create_bucket) == (True, "2030-01-31T20:00:00Z", True)
        assert found.cluster.cluster_id == aws.prefix == stack
        assert found.cluster.tls and found.cluster.front_door_port == 443
        counts = {role: group.count for role, group in aws.groups.items()}
        assert counts == {
            Role.JOBMANAGER: 1,
            Role.TASKMANAGER: 1,
            Role.ZOOKEEPER: 0,
            Role.CLIENT: 0,
            Role.MONITORING: 0,
        }
        assert aws.groups[Role.TASKMANAGER].spot and not aws.groups[Role.JOBMANAGER].spot


def test_changes_have_the_types_of_their_keys_and_the_stacks_name() -> None:
    made = configured(
        {**AWS, "workers": 1, "flink:storageUri": "s3://b/{stack}"},
        "workers=2", "flink:flinkVersion=2.2", "flinkConfig={a.b: 1}", "aws:region=eu-west-1", "clusterId=x-{stack}",
    )  # fmt: skip
    assert made == {
        **AWS,
        "flink:workers": 2,
        "flink:storageUri": "s3://b/br-x",
        "flink:flinkVersion": "2.2",
        "flink:flinkConfig": {"a.b": 1},
        "aws:region": "eu-west-1",
        "flink:clusterId": "x-br-x",
        "flink:ephemeral": True,
        "flink:expires": "2030-01-31T20:00:00Z",
    }


@pytest.mark.parametrize("written", [True, "true"], ids=["in YAML", "by `pulumi config set`"])
def test_a_file_may_say_what_every_branch_is(written: object) -> None:
    assert configured({**AWS, "flink:ephemeral": written})["flink:ephemeral"] is True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("workers", "expected KEY=VALUE"),
        ("=2", "expected KEY=VALUE"),
        ("workrs=2", "not a key of this program"),
        ("expires=never", "`--ttl` sets it"),
        ("flink:ephemeral=false", "always ephemeral"),
        ("storageUri=s3://shared/prefix", "no two branches may share it"),
        ("clusterId=one", "no two branches may share it"),
        ("storageSecretKey=hunter2", "every user of this machine can read"),
        ("aws:secretKey=hunter2", "every user of this machine can read"),
        ("flinkConfig={a", "is unreadable"),
    ],
)
def test_changes_that_cannot_be_are_refused(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        configured(AWS, change)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        {"flink:clusterId": "one"},
        {"flink:storageUri": "s3://b/all"},
        {"bucketName": "one"},
        {"flink:inventory": "hosts.yaml"},
        {"flink:ephemeral": False},
        {"flink:expires": "never"},
    ],
)
def test_a_file_that_gives_all_branches_the_same_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(BranchesError, match=re.escape(configuration.FILE)):
        configured({**AWS, **content})


def test_what_secrets_are_encrypted_with_comes_from_the_state_unless_the_file_has_some() -> None:
    salted = {"encryptionsalt": "v1:x", "secretsprovider": "passphrase", "encryptedkey": "y"}
    assert configuration.without_encryption({**salted, "config": {"a:b": "c"}}) == {"config": {"a:b": "c"}}
    secret = {**salted, "config": {"flink:x": {"secure": "v1:z"}}}
    assert configuration.without_encryption(secret) == secret
    nested = {**salted, "config": {"flink:x": {"a": [{"secure": "v1:z"}]}}}
    assert configuration.without_encryption(nested) == nested


# Comments

OUTPUTS = {
    "webUi": ["http://192.0.2.1:8081"],
    "hosts": {"jobmanager": {"jm-0": "192.0.2.1"}, "taskmanager": {"tm-0": "192.0.2.2"}, "zookeeper": {}},
    "login": "(umask 077; pulumi stack output sshPrivateKey --show-secrets --stack br-feature--x > flink.key)",
    "ssh": "ssh -i flink.key admin@192.0.2.1",
    "tunnel": "ssh -i flink.key -N -L 8081:jm-0:8081 admin@192.0.2.1",
    "sshPrivateKey": "[secret]",
}


def test_a_comment_says_where_it_is_what_to_do_and_when_it_goes() -> None:
    text = comment.markdown("feature/x", "br-feature--x", MARK, OUTPUTS, NOW)
    for part in (
        "<http://192.0.2.1:8081>",
        "2030-01-31T20:00:00Z, in 8 h",
        "1 jobmanager, 1 taskmanager |",
        "`c0ffee`",
        OUTPUTS["login"],
        f"{OUTPUTS['ssh']} 'sudo -iu flink /opt/flink/bin/flink run -d",
        OUTPUTS["tunnel"],
        "\npython -m branches down -- feature/x\n```",
    ):
        assert str(part) in text
    assert "[secret]" not in text


def test_a_comment_leads_to_the_front_door() -> None:
    door = {**OUTPUTS, "webUi": ["https://192.0.2.1"], "frontDoorAuthority": "-----BEGIN CERTIFICATE-----"}
    text = comment.markdown("feature/x", "br-feature--x", MARK, door, NOW)
    assert "<https://192.0.2.1>" in text and "https://localhost:8443" in text and "8081, if" not in text
    assert "\npulumi stack output frontDoorAuthority --stack br-feature--x > br-feature--x.pem\n" in text
    assert "BEGIN" not in text


@pytest.mark.parametrize("branch", BRANCHES, ids=ascii)
def test_a_branchs_name_is_neither_markdown_nor_a_command_in_a_comment(branch: str) -> None:
    text = comment.markdown(branch, names.stack(branch), MARK, OUTPUTS, NOW)
    text.encode()
    heading = next(line for line in text.splitlines() if line.startswith("### "))
    fence = re.match(r"### A cluster for branch (`+)", heading)
    assert fence and heading.endswith(fence[1]) and heading.count(fence[1]) == 2
    assert text.count("<!--") == branch.count("<!--") * 2
    *_, block = re.split(r"^`{3,}sh\n", text, flags=re.MULTILINE)
    command = re.split(r"^`{3,}$", block, flags=re.MULTILINE)[0].strip().splitlines()[-1]
    if branch.isprintable():
        done = subprocess.run(
            ["bash", "-c", f"python() {{ printf '%s\\0' \"$@\"; }}; {command}"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split("\0")[:-1] == ["-m", "branches", "down", "--", branch]


HOSTILE_OUTPUTS: list[tuple[str, Any]] = [
    ("webUi", ["http://x> <script>alert(1)</script>", "javascript:alert(1)", "x](https://evil.example) | @everyone"]),
    ("webUi", "http://192.0.2.1:8081"),
    ("webUi", [1, None, {"a": "www.evil.example"}]),
    ("webUi", ["http://192.0.2.1:8081"] * 100_000),
    ("webUi", ["http://" + "x" * 100_000]),
    ("hosts", {"| <b>@everyone www.evil.example": {"a": "b"}}),
    ("hosts", {"jobmanager": 3, "taskmanager": None, "zookeeper": "x"}),
    ("hosts", {f"role{number}": {"a": "b"} for number in range(100_000)}),
    ("hosts", "none"),
    ("jobs", {"| <b>@x": {"state": "| <b>@everyone www.evil.example", "from": "x | `<script>"}, "n": None, "m": {}}),
    ("jobs", {f"job{number}": {"state": "x" * 1000, "from": "y" * 1000} for number in range(10_000)}),
    ("jobs", [1]),
    *((key, value) for key in ("login", "ssh", "tunnel") for value in (
        "x\n```\n<script>alert(1)</script>", "x" * 100_000, {"a": "b"}, None, "a\u202eb", "x\n" * 50_000
    )),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), HOSTILE_OUTPUTS)
def test_an_output_is_neither_markdown_nor_too_long_in_a_comment(key: str, value: Any) -> None:
    text = comment.markdown("feature/x", "br-feature--x", MARK, {**OUTPUTS, key: value}, NOW)
    assert len(text) <= markdown.ROOM
    outside = plain(text)
    assert "<script" not in outside and "<b>" not in outside and "javascript" not in outside
    assert not re.search(r"@(?!<!-- -->)\w|(?i:\bwww\.)|\]\(", outside)
    table = [line.replace(r"\|", "") for line in outside.splitlines() if line.startswith("|")]
    assert all(re.fullmatch(r"\|[^|]*\|[^|]*\|", line) for line in table), table
    assert "python -m branches down -- feature/x\n```\n" in text


def test_a_comment_says_from_which_state_jobs_have_started() -> None:
    jobs = {"counts": {"state": "running", "id": "0a", "from": "s3://prod/x"}, "new": {"state": "running", "from": ""}}
    text = comment.markdown("feature/x", "br-feature--x", MARK, {**OUTPUTS, "jobs": jobs}, NOW)
    assert "| jobs | `counts` running, started from `s3://prod/x`; `new` running |" in text


def test_a_command_that_is_too_long_is_named_and_not_cut() -> None:
    text = comment.markdown("feature/x", "br-feature--x", MARK, {**OUTPUTS, "ssh": "x" * 100_000}, NOW)
    assert "xxx" not in text and "pulumi stack output ssh --stack br-feature--x" in text


def test_a_comment_of_a_long_branch_fits() -> None:
    text = comment.markdown("x" * 100_000, "br-x", MARK, OUTPUTS, NOW)
    assert len(text) <= markdown.ROOM
    plain(text)


class FakeWorkspace:
    """Stacks with tags; a stack without has been removed since it was listed, and one whose tags are None fails."""

    def __init__(self, tags: dict[str, dict[str, str] | None]) -> None:
        self._tags = tags

    def list_stacks(self) -> list[auto.StackSummary]:
        return [auto.StackSummary(name=name, current=False) for name in ["br-gone", *self._tags]]

    def pulumi(self, *arguments: str) -> str:
        name = arguments[-1]
        if name not in self._tags:
            raise auto.StackNotFoundError(CommandResult(stdout="", stderr=f"no stack named '{name}' found", code=255))
        if self._tags[name] is None:
            raise auto.CommandError(CommandResult(stdout="", stderr="could not read the tags", code=255))
        return json.dumps(self._tags[name])


def test_one_stack_does_not_keep_the_others_from_being_listed_and_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    late = {**MARK.tags(), stack_tags.EXPIRES: "9999-12-31T23:59:59-12:00"}
    found = FakeWorkspace({"br-a": MARK.tags(), "br-b": late, "br-c": None})
    monkeypatch.setattr(stacks, "recorded", lambda _: contextlib.nullcontext(found))
    known = stacks.Stacks(cast(Engine, None), lambda _: None)
    entries = known.list()
    assert [(entry.stack, bool(entry.mark), bool(entry.trouble)) for entry in entries] == [
        ("br-a", True, False),
        ("br-b", False, True),
        ("br-c", False, True),
    ]
    assert "9999-12-31T23:59:59-12:00" in entries[1].trouble and "could not read the tags" in entries[2].trouble
    swept = known.sweep(now=NOW + timedelta(days=30), dry_run=True)
    assert [entry.stack for entry in swept.removed] == ["br-a"]
    assert [entry.stack for entry, _ in swept.failed] == ["br-b", "br-c"]


ON_AWS = {"resources": [{"type": AWS_PROVIDER, "urn": "u"}]}


@pytest.mark.parametrize(
    ("locked", "searched", "said"), [(False, True, False), (True, False, False), (None, False, True)]
)
def test_only_of_a_stack_that_is_known_to_be_unlocked_sweep_lists_orphans(
    monkeypatch: pytest.MonkeyPatch, locked: bool | None, searched: bool, said: bool
) -> None:
    """A running `up` has created machines that its state does not have yet. S3 does not show whether there is one."""
    found, told, asked = FakeWorkspace({"br-a": MARK.tags()}), list[str](), list[str]()
    monkeypatch.setattr(found, "export", lambda _: ON_AWS, raising=False)
    monkeypatch.setattr(stacks, "recorded", lambda _: contextlib.nullcontext(found))
    monkeypatch.setattr(stacks, "_locked", lambda _: locked)
    known = stacks.Stacks(cast(Engine, None), told.append)
    monkeypatch.setattr(known, "_orphans", lambda name, *_: asked.append(name))
    swept = known.sweep(now=NOW)
    assert [entry.stack for entry in swept.kept] == ["br-a"] and asked == ["br-a"] * searched
    assert [line.startswith("br-a: not searched for AWS resources") for line in told] == [True] * said


def test_a_state_that_another_run_changes_is_reported_like_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    def settle(_: object) -> None:
        raise BusyError("stack br-a: its state changed meanwhile")

    monkeypatch.setattr("branches.stacks.pending.settle", settle)
    with pytest.raises(LockedError, match=r"changed meanwhile\. Wait until that run has ended"):
        stacks.Stacks(cast(Engine, None), lambda _: None)._settle(cast(Any, None))


# The command line


class FakeStacks:
    """Answers, and records its calls."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.error: Exception | None = None
        self.entries = [
            Entry("br-a", Mark("a", "", NOW - timedelta(hours=1)), "", 3, NOW, True),
            Entry("br-b", None, "stack br-b: no marks", None, None, None),
        ]
        self.failed = True

    def up(self, branch: str, **options: Any) -> Up:
        self._note(branch, options)
        return Up(names.stack(branch), MARK, True, {"create": 2}, OUTPUTS)

    def down(self, branch: str) -> str:
        self._note(branch)
        return "br-x" if branch == "x" else ""

    def sweep(self, *, now: datetime, dry_run: bool) -> Sweep:
        self._note(dry_run)
        return Sweep(self.entries[:1], [(self.entries[1], "no marks")] if self.failed else [], [])

    def list(self) -> Sequence[Entry]:
        return self.entries

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.error:
            raise self.error


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStacks]:
    it = FakeStacks()
    monkeypatch.setattr(__main__, "_stacks", lambda: it)
    monkeypatch.setattr(__main__, "_now", lambda: NOW)
    yield it


def test_up_prints_the_comment_or_writes_it_or_prints_json(
    fake: FakeStacks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "comment.md"
    assert __main__.main(["up", "feature/x", "--ttl", "3d", "--commit", "beef", "--set", "workers=2"]) == 0
    assert capsys.readouterr().out.startswith("### A cluster for branch `feature/x`\n")
    assert __main__.main(["up", "--comment", str(file), "--", "--x"]) == 0
    assert capsys.readouterr().out == ""
    assert file.read_text().startswith("### A cluster for branch `--x`\n")
    assert __main__.main(["up", "feature/x", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stack"], found["expires"]) == ("br-feature--x", "2030-01-31T20:00:00Z")
    first = fake.asked[0][1]
    expected = {"ttl": timedelta(days=3), "commit": "beef", "changes": ["workers=2"], "now": NOW}
    assert first == {**expected, "start": starts.From([], "", [])}
    uri = "s3://prod/savepoint-1"
    assert __main__.main(["up", "x", "--from-savepoint", f"a={uri}", "--from-savepoint", f"b={uri}"]) == 0
    assert fake.asked[-1][1]["start"] == starts.From([f"a={uri}", f"b={uri}"], "", [])
    assert __main__.main(["up", "x", "--from-stack", "prod", "--job", "a"]) == 0
    assert fake.asked[-1][1]["start"] == starts.From([], "prod", ["a"])
    assert fake.asked[1][0] == "--x" and fake.asked[1][1]["ttl"] == timedelta(hours=8)


def test_down_says_whether_there_was_something(fake: FakeStacks, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["down", "x"]) == 0
    assert "br-x has been removed" in capsys.readouterr().out
    assert __main__.main(["down", "--json", "y"]) == 0
    assert json.loads(capsys.readouterr().out) == {"stack": None, "removed": False}


def test_sweep_ends_with_4_when_something_is_left(fake: FakeStacks, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["sweep"]) == 4
    out = capsys.readouterr().out
    assert "removed: br-a (branch a, expires 1 h ago)" in out and "NOT REMOVED: br-b: no marks" in out
    fake.failed = False
    assert __main__.main(["sweep", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dryRun"] is True
    assert fake.asked == [(False,), (True,)]


def test_list_is_a_table_or_json(fake: FakeStacks, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["list"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:2] == ["STACK", "BRANCH"]
    assert rows[1] == ["br-a", "a", "-", "2030-01-31T11:00:00Z", "(1", "h", "ago)", "3", "2030-01-31T12:00:00Z", "yes"]
    assert rows[2] == ["br-b", "?", "?", "?", "?", "-", "?"]
    assert "no marks" in err
    assert __main__.main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["expiresInSeconds"] == -3600 and found[1]["trouble"] == "stack br-b: no marks"
    fake.entries = []
    __main__.main(["list"])
    assert "no stacks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("x"), 2), (LockedError("x"), 3), (BranchesError("x"), 1), (KeyboardInterrupt(), 130)],
)
def test_errors_end_in_their_codes_and_on_stderr(
    fake: FakeStacks, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    fake.error = error
    assert __main__.main(["down", "x"]) == code
    out, err = capsys.readouterr()
    assert not out and err


@pytest.mark.parametrize("argv", [[], ["up"], ["up", "x", "--ttl", "1w"], ["preview"], ["sweep", "x"], ["nothing"]])
def test_wrong_usage_ends_with_2(fake: FakeStacks, argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert __main__.main(argv) == 2
    except SystemExit as error:
        assert error.code == 2


@pytest.mark.parametrize("command", ["", "preview", "up", "down", "sweep", "list"])
def test_there_is_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        __main__.main([*command.split(), "--help"])
    assert error.value.code == 0
    out = capsys.readouterr().out
    assert ("exit codes:" in out and "examples:" in out) or command


def test_the_project_is_called_as_it_is_everywhere() -> None:
    assert workspace.PROJECT == settings.PROJECT
    assert yaml.safe_load((workspace.REPO / "Pulumi.yaml").read_text())["name"] == workspace.PROJECT


def test_where_there_is_no_engine_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert __main__.main(["list"]) == 1
    assert "no pulumi on PATH" in capsys.readouterr().err


def test_the_commit_of_this_checkout_is_known() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}|", stacks.head())


def test_a_stack_can_be_removed_where_the_program_cannot_even_be_imported() -> None:
    loads = "import sys, branches.__main__; print([it for it in ('settings', 'components') if it in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loads], cwd=workspace.REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
