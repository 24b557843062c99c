"""Two branches at once, each with a separate cluster in this machine's AWS. The tests run in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from branches.errors import BranchesError
from branches.starts import From
from drill import records
from lab.cluster import SlowJob, wait_for
from tests.aws.branch_cluster import NOW, BranchCluster, Branches, rehearsed
from tests.aws.inventory import client, everything

# test_branch_stacks.py has what AWS has of them, test_rehearsal.py a cluster on hosts. Two of them take eight minutes
pytestmark = [pytest.mark.root, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def branches() -> Iterator[Branches]:
    with rehearsed() as it:
        yield it


@pytest.fixture(scope="module")
def empty(branches: Branches) -> set[str]:
    """The inventory of an empty account."""
    return everything(branches.cloud.endpoint, branches.cloud.region)


Two = tuple[BranchCluster, BranchCluster]


@pytest.fixture(scope="module")
def both(branches: Branches, empty: set[str]) -> Two:
    """Two branches whose names differ only in the case of one letter; their clusters may not exist."""
    return branches.cluster("feature/login"), branches.cluster("feature/Login")


@pytest.fixture
def two(both: Two) -> Two:
    """The clusters of both; a test that removes one leaves it to the next to create it again."""
    for cluster in both:
        if not cluster.instances:
            assert cluster.up().created
    return both


@pytest.fixture(scope="module")
def savepoint() -> dict[str, str]:
    """The savepoint from which a branch has started: its `uri`, and key → ETag of its objects."""
    return {}


def own(branches: Branches, cluster: BranchCluster) -> set[str]:
    """Names of a stack's resources that must be unique in AWS."""

    ec2 = client("ec2", branches.cloud.endpoint, branches.cloud.region)
    mine = [{"Name": "tag:stack", "Values": [cluster.name]}]
    found = {it["VpcId"] for it in ec2.describe_vpcs(Filters=mine)["Vpcs"]}
    found |= {it["GroupId"] for it in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]}
    found |= {it["GroupName"] for it in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]}
    found |= {str(cluster.outputs[key]) for key in ("bucket", "clusterId", "checkpoints", "savepoints")}
    return found | set(cluster.instances)


def test_each_has_its_own_cluster_names_and_storage(branches: Branches, two: Two) -> None:
    first, second = two
    assert first.name != second.name
    for cluster in two:
        assert sorted(cluster.logins) == ["jm-0", "tm-0"]
        overview = cluster.rest.get("/overview")
        assert (overview["taskmanagers"], overview["slots-total"]) == (1, 2)
        assert cluster.outputs["clusterId"] == cluster.name
        assert cluster.name in str(cluster.outputs["bucket"])
    mine, theirs = own(branches, first), own(branches, second)
    assert len(mine) >= 8 and not mine & theirs
    listed = {entry.stack: entry for entry in branches.stacks.list()}
    assert set(listed) == {first.name, second.name}
    assert {entry.mark.branch for entry in listed.values() if entry.mark} == {first.branch, second.branch}


def test_neither_sees_the_others_hosts_or_storage(two: Two) -> None:
    for cluster, other in (two, two[::-1]):
        address = other.logins["jm-0"].address
        for port in (22, 443, 8081, 6123):
            # Here all are in one network; in AWS the rules that were sent keep them apart
            said = cluster.ssh(
                "tm-0", f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo shut"
            )
            assert said.strip() == "shut", (cluster.name, port)
        codes = {
            whose.name: cluster.asks_s3("PUT", f"s3://{whose.outputs['bucket']}/{whose.prefix}probe")
            for whose in (cluster, other)
        }
        assert codes == {cluster.name: "200", other.name: "403"}


def test_a_push_to_one_leaves_the_other_and_its_job_alone(two: Two) -> None:
    first, second = two
    jobs = [SlowJob.start(cluster, f"job-of-{cluster.name}", seconds=60) for cluster in two]
    assert [len(cluster.rest.get("/jobs")["jobs"]) for cluster in two] == [1, 1]
    before, machines = second.processes(), second.instances
    done = first.up("taskManagerConfig={taskmanager.network.retries: 3}", ttl="9h")
    assert not done.created and done.changes.get("update")
    assert (second.processes(), second.instances) == (before, machines)
    jobs[1].finish()  # every flight was counted once
    assert not [it for it in first.rest.get("/jobs")["jobs"] if it["id"] == jobs[1].job_id]


def counting(cluster: BranchCluster) -> tuple[str, str]:
    """The setting of a job that counts its records, and its output."""
    output = f"s3://{cluster.outputs['bucket']}/{cluster.prefix}declared-counts"
    args = ["--output", output, "--records", "1000000", "--records-per-second", "200", "--hurry-file", records.HURRY]
    # The open files of production's output belong to production
    args += ["--sink-uid", f"write-{cluster.name}"]
    jar = str(records.build_jar(cluster.archives))
    job = {"jar": jar, "parallelism": 1, "args": args, "allowNonRestoredState": True}
    return f"jobs={json.dumps({'counts': job})}", output


def lines(cluster: BranchCluster, output: str) -> list[tuple[int, int]]:
    """Number and count of the job's records that are published."""
    bucket, found = str(cluster.outputs["bucket"]), []
    # Others are beginnings of files, which come and go
    for key in (it for it in cluster.objects(output) if "/part-" in it):
        text = cluster.s3.client().get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        found += [(int(number), int(count)) for number, count, _ in (line.split(",") for line in text.splitlines())]
    return sorted(found)


def test_a_branch_continues_from_the_state_of_another_stacks_job_and_only_reads_it(
    two: Two, savepoint: dict[str, str]
) -> None:
    branch, production = two
    wait_for("the end of other tests' jobs", 300, lambda: not branch.running() and not production.running())
    setting, theirs = counting(production)
    production.up(setting)
    (running,) = production.running()
    setting, output = counting(branch)
    wait_for("the first records", 300, lambda: len(lines(production, theirs)) > 1500)

    before = branch.processes()
    for start, told in (
        (From(stack="nowhere"), "nowhere"),
        (From(stack=production.name, jobs=["other"]), "the branch declares no job 'other'"),
        (From([f"s3://{production.outputs['bucket']}/nothing"]), "has no complete savepoint or checkpoint at"),
    ):
        with pytest.raises(BranchesError, match=told):
            branch.up(setting, start=start)
    assert branch.processes() == before and not branch.running()

    branch.up(setting, start=From(stack=production.name))
    (job,) = branch.running()
    uri = branch.rest.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]["external_path"]
    assert f"/{production.name}/" in uri
    savepoint |= {"uri": uri, **production.objects(uri)}
    assert len(savepoint) > 1
    # It continues the counts, and production continues
    found = wait_for("records of the branch", 300, lambda: lines(branch, output))
    assert found[0][0] > 1500
    assert all(count == number // records.KEYS + 1 for number, count in found)
    assert production.running() == [running]
    # Reading is the only right
    codes = [branch.asks_s3(method, f"{uri}/_metadata") for method in ("GET", "PUT", "DELETE")]
    codes.append(branch.asks_s3("GET", f"s3://{production.outputs['bucket']}/{next(iter(production.objects(theirs)))}"))
    assert codes == ["200", "403", "403", "403"]
    # Another `up` changes nothing of it, with or without the option
    assert branch.up(setting, start=From(stack=production.name)).changes == {}
    assert branch.up(setting).changes == {}
    assert branch.running() == [job]
    with pytest.raises(BranchesError, match="has already started, from s3://"):
        branch.up(setting, start=From([f"s3://{production.outputs['bucket']}/other"]))


def test_sweep_removes_the_one_whose_minute_is_over_and_nothing_else(
    branches: Branches, two: Two, empty: set[str], savepoint: dict[str, str]
) -> None:
    first, second = two
    before, kept = second.processes(), own(branches, second)
    first.up("taskManagerConfig={taskmanager.network.retries: 3}", ttl="1m")
    assert not branches.stacks.sweep(now=NOW + timedelta(seconds=59)).removed
    assert [it.stack for it in branches.stacks.sweep(now=NOW + timedelta(minutes=1), dry_run=True).removed] == [
        first.name
    ]
    assert first.instances
    swept = branches.stacks.sweep(now=NOW + timedelta(minutes=1))
    assert ([it.stack for it in swept.removed], swept.failed) == ([first.name], [])
    assert first.instances == {} and branches.files(first.name) == []
    left = everything(branches.cloud.endpoint, branches.cloud.region) - empty
    assert not [it for it in left if first.name in it]
    assert second.processes() == before and own(branches, second) == kept
    assert second.rest.get("/overview")["taskmanagers"] == 1
    if savepoint:
        assert {"uri": savepoint["uri"], **second.objects(savepoint["uri"])} == savepoint, "it is still whole"


def test_down_leaves_nothing(branches: Branches, both: Two, empty: set[str]) -> None:
    if not any(cluster.instances for cluster in both):
        both[0].up()
    for cluster in both:
        there = bool(cluster.instances)
        assert branches.stacks.down(cluster.branch) == (cluster.name if there else "")
    now = everything(branches.cloud.endpoint, branches.cloud.region)
    assert (now - empty, empty - now) == (set(), set())
    assert not [file for cluster in both for file in branches.files(cluster.name)]
    assert branches.stacks.list() == []
    branches.cloud.settle()
    assert branches.cloud.hosts == []
