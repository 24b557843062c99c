"""From which states a branch's jobs start: what is refused, and what becomes of the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError
from moto import mock_aws

from branches import __main__, savepoints, snapshots, stacks, starts
from branches.errors import BranchesError, UsageError
from branches.snapshots import Storage
from branches.starts import From
from ops.errors import OpsError
from ops.savepoints import Job, Savepoint

URI = "s3://prod/x/savepoint-1"
TWO = ("clicks", "departures")


@pytest.mark.parametrize(
    ("start", "declared", "found"),
    [
        (From(), TWO, {}),
        (From([URI]), ["clicks"], {"clicks": URI}),
        (From([f"{URI}/"]), ["clicks"], {"clicks": URI}),
        (From([f"clicks={URI}", f"departures={URI}2"]), TWO, {"clicks": URI, "departures": f"{URI}2"}),
        (From(["s3://b/a=b"]), ["clicks"], {"clicks": "s3://b/a=b"}),
        (From(stack="prod"), TWO, {"clicks": "", "departures": ""}),
        (From(stack="prod", jobs=["clicks"]), TWO, {"clicks": ""}),
    ],
)
def test_which_jobs_start_from_what(start: From, declared: list[str], found: dict[str, str]) -> None:
    assert start.asked(declared) == found


@pytest.mark.parametrize(
    ("start", "declared", "told"),
    [
        (From([URI]), [], "the branch declares no jobs: expected flink:jobs in Pulumi.ephemeral.yaml"),
        (From(stack="prod"), [], "the branch declares no jobs"),
        (From([URI]), TWO, "the branch declares the jobs clicks, departures: expected JOB=URI"),
        (From([f"other={URI}"]), TWO, "no job 'other': expected clicks, departures"),
        (From([f"clicks={URI}", f"clicks={URI}2"]), TWO, "a second state for job clicks: expected one"),
        (
            From(["/tmp/savepoint"]),
            ["clicks"],
            "'/tmp/savepoint' is not a path on a storage: expected one such as s3://",
        ),
        (From(["clicks=s3://b/a b"]), ["clicks"], "'s3://b/a b' is not a path on a storage"),
        (From(["s3://b/$(x)"]), ["clicks"], "is not a path on a storage"),
        (From(stack="prod", jobs=["other"]), TWO, "--job: the branch declares no job 'other'"),
        (From(jobs=["clicks"]), TWO, "--job: expected --from-stack"),
    ],
)
def test_what_cannot_be_is_refused(start: From, declared: list[str], told: str) -> None:
    with pytest.raises(UsageError) as error:
        start.asked(declared)
    assert told in str(error.value)


def resources(job: str, *, started: bool, initial: str = "") -> list[dict[str, Any]]:
    parent = f"urn:pulumi:br-x::flink::flink:flink:Job::job-{job}"

    def urn(kind: str, name: str) -> str:
        return f"urn:pulumi:br-x::flink::flink:flink:Job${kind}::{name}"

    shown = {"jar": "a.jar", **({"initialSavepoint": initial} if initial else {})}
    stash, command = "pulumi:index:Stash", "command:remote:Command"
    found: list[dict[str, Any]] = [
        {"urn": parent, "type": "flink:flink:Job"},
        {"urn": urn(stash, f"job-{job}"), "type": stash, "parent": parent, "inputs": {"input": shown}},
        {"urn": urn("command:local:Command", f"job-{job}-stop"), "type": "command:local:Command", "parent": parent},
    ]
    if started:
        found.append({"urn": urn(command, f"jm-0-job-{job}"), "type": command, "parent": parent})
    return found


def test_a_job_has_started_when_its_step_is_in_the_state() -> None:
    state = {
        "resources": [
            *resources("clicks", started=True, initial=URI),
            *resources("plain", started=True),
            *resources("failed", started=False, initial=URI),
            # Its step ends like the name of another job's
            *resources("job-failed", started=True),
        ]
    }
    assert starts.started(state) == {"clicks": URI, "plain": "", "job-failed": ""}
    assert starts.started({}) == {}


def test_a_job_that_has_started_continues_and_another_state_for_it_is_refused() -> None:
    said: list[str] = []
    assert starts.unstarted({"clicks": URI, "new": ""}, {"clicks": URI}, said.append) == {"new": ""}
    assert starts.unstarted({"clicks": ""}, {"clicks": URI}, said.append) == {}
    assert said == ["job clicks has already started, and continues from its own state"] * 2
    with pytest.raises(
        BranchesError, match=r"has already started, from s3://prod/x/savepoint-1, and continues"
    ) as error:
        starts.unstarted({"clicks": f"{URI}2"}, {"clicks": URI}, said.append)
    assert "Nothing was changed" in str(error.value)


def test_it_is_a_setting_of_the_jobs_in_the_stacks_own_file() -> None:
    content = {"config": {"flink:jobs": {"clicks": {"jar": "a.jar"}, "plain": {"jar": "b.jar"}}, "flink:workers": 1}}
    before = json.dumps(content)
    found = starts.configured(content, {"clicks": URI, "plain": "", "gone": URI})
    assert found["config"]["flink:jobs"] == {
        "clicks": {"jar": "a.jar", "initialSavepoint": URI},
        "plain": {"jar": "b.jar"},
    }
    assert json.dumps(content) == before
    # What is no job is refused by the program
    assert starts.configured({"config": {"flink:jobs": "x"}}, {"clicks": URI}) == {"config": {"flink:jobs": "x"}}


def test_both_options_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        __main__.main(["up", "x", "--from-savepoint", URI, "--from-stack", "prod"])
    assert error.value.code == 2 and "not allowed with" in capsys.readouterr().err


class OtherStack:
    """The other stack's host tool: what runs there, and which savepoints were taken."""

    def __init__(self, **statuses: str) -> None:
        self.statuses, self.taken = statuses, list[str]()

    def listed(self, hosts: object, job: str) -> list[Job]:
        if job not in self.statuses:
            raise OpsError("jm-0: connection refused")
        return [Job(job, self.statuses[job], "", ())]

    def take(self, hosts: object, job: str) -> Savepoint:
        self.taken.append(job)
        return Savepoint(f"s3://prod/{job}/savepoint-1", 0, "hand", 1, True)


STATE = {"resources": [*resources("clicks", started=True), *resources("departures", started=True)]}


def test_savepoints_are_taken_of_jobs_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    other = OtherStack(clicks="RUNNING", departures="RUNNING")
    monkeypatch.setattr(savepoints, "savepoints", other)
    said: list[str] = []
    assert savepoints.taken("prod", STATE, TWO, said.append) == {job: f"s3://prod/{job}/savepoint-1" for job in TWO}
    assert "prod: taking a savepoint of job clicks, which continues" in said
    assert savepoints.taken("prod", {}, [], said.append) == {}


@pytest.mark.parametrize(
    ("statuses", "state", "told"),
    [
        ({"clicks": "RUNNING"}, {}, "--from-stack prod: the stack has no job clicks: it has none"),
        (
            {"clicks": "RUNNING"},
            {"resources": resources("clicks", started=True)},
            "the stack has no job departures: it has clicks",
        ),
        (
            {"clicks": "RUNNING", "departures": "SUSPENDED"},
            STATE,
            "departures is suspended: expected it running, to take a savepoint of it; or give the path of one",
        ),
        ({"clicks": "RUNNING"}, STATE, "--from-stack prod: jm-0: connection refused"),
    ],
)
def test_none_is_taken_unless_all_of_them_run(
    monkeypatch: pytest.MonkeyPatch, statuses: dict[str, str], state: dict[str, Any], told: str
) -> None:
    other = OtherStack(**statuses)
    monkeypatch.setattr(savepoints, "savepoints", other)
    with pytest.raises(BranchesError) as error:
        savepoints.taken("prod", state, TWO, print)
    assert told in str(error.value)
    assert other.taken == []


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "x")
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="prod")
        s3.put_object(Bucket="prod", Key="x/savepoint-1/_metadata", Body=b"")
        s3.put_object(Bucket="prod", Key="x/half/0a", Body=b"")
        s3.put_object(Bucket="prod", Key="jobs/c/clicks/record.json", Body=json.dumps({"origin": URI}).encode())
        s3.put_object(Bucket="prod", Key="jobs/c/new/record.json", Body=json.dumps({"origin": None}).encode())
        yield Storage({"flink:storageRegion": "us-east-1"}, "")


def test_a_complete_snapshot_is_found(storage: Storage) -> None:
    storage.check("clicks", URI)
    storage.check("clicks", f"{URI}/_metadata")


@pytest.mark.parametrize("uri", ["s3://prod/x/savepoint-2", "s3://prod/x/half", "s3://prod/x", "s3://none/x"])
def test_what_is_no_complete_snapshot_is_refused(storage: Storage, uri: str) -> None:
    with pytest.raises(BranchesError, match=r"job clicks: .* has no complete savepoint or checkpoint at") as error:
        storage.check("clicks", uri)
    assert uri in str(error.value) and "Nothing was created" in str(error.value)


class Opened:
    """A branch's stack."""

    name = "c"

    def pulumi(self, *words: str) -> str:
        raise AssertionError("it has no secrets")


def looked(uri: str, **places: str) -> list[str]:
    said: list[str] = []
    config = {"flink:storageRegion": "us-east-1", **{f"flink:{name}": place for name, place in places.items()}}
    snapshots.check(Opened(), config, {"clicks": uri}, said.append)  # type: ignore[arg-type]
    return said


@pytest.mark.parametrize(
    ("uri", "places", "told"),
    [
        ("hdfs://x/y", {}, "is on HDFS, and the branch's hosts read what its places are on (storageUri: S3)"),
        ("hdfs://x/y", {"storageUri": "s3://prod/b"}, "expected a place on HDFS as well (savepointsUri), or"),
        (URI, {"storageUri": "hdfs://x/b", "haUri": "oss://b/x"}, "(storageUri: HDFS, haUri: OSS): expected a place"),
        ("ftp://x/y", {}, "is on no kind of storage that is known, and the branch's hosts read what its places are on"),
    ],
)  # fmt: skip
def test_a_snapshot_on_a_storage_that_the_branch_has_not_is_refused(
    storage: Storage, uri: str, places: dict[str, str], told: str
) -> None:
    with pytest.raises(BranchesError) as error:
        looked(uri, **places)
    assert told in str(error.value) and "Nothing was created" in str(error.value)


def test_what_only_hosts_can_look_at_is_said(storage: Storage) -> None:
    (said,) = looked("hdfs://x/y", storageUri="hdfs://x/b")
    assert said.startswith(
        "job clicks: only the branch's hosts can look at hdfs://x/y. They say whether it is complete"
    )
    assert looked("hdfs://x/y", storageUri="s3://prod", savepointsUri="hdfs://x/b") == [said]


def test_a_snapshot_on_s3_is_looked_at_wherever_the_branch_is(storage: Storage) -> None:
    assert looked(URI) == looked(URI, storageUri="hdfs://x/b", savepointsUri="s3://prod") == []
    with pytest.raises(BranchesError, match="has no complete savepoint or checkpoint at"):
        looked("s3://prod/x/half", storageUri="hdfs://x/b", savepointsUri="s3://prod")
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="prod", Key="x/other/_metadata", Body=b"")
    with pytest.raises(BranchesError, match="would continue from its own state instead of s3://prod/x/other"):
        looked("s3://prod/x/other", storageUri="s3://prod")


def test_a_job_that_an_earlier_cluster_of_the_branch_has_left_would_not_start_from_it(storage: Storage) -> None:
    record = "s3://prod/jobs/c/clicks/record.json"
    storage.check_record("clicks", URI, record)  # it is the same: an `up` was interrupted
    storage.check_record("new", URI, "s3://prod/jobs/c/new/record.json")  # it has no state yet
    storage.check_record("none", URI, "s3://prod/jobs/c/none/record.json")
    with pytest.raises(BranchesError, match="would continue from its own state instead of s3://prod/y") as error:
        storage.check_record("clicks", "s3://prod/y", record)
    assert record in str(error.value)


def test_a_record_that_cannot_be_read_is_an_error_and_no_traceback(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = "s3://prod/jobs/c/broken/record.json"
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="prod", Key="jobs/c/broken/record.json", Body=b"{")
    with pytest.raises(BranchesError, match=f"{record} is not JSON"):
        storage.check_record("broken", URI, record)

    def unreachable(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://s3.example")

    monkeypatch.setattr(storage._client, "get_object", unreachable)
    with pytest.raises(BranchesError, match=r"cannot be asked for .*Nothing was created"):
        storage.check_record("clicks", URI, record)


def test_the_other_stack_is_not_asked_if_all_jobs_have_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(engine: Any) -> None:
        raise AssertionError("the other stack's state was read")

    monkeypatch.setattr(stacks, "recorded", unreadable)
    assert stacks.Stacks(None, print)._taken("prod", "br-x", {}) == {}  # type: ignore[arg-type]
