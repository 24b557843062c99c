"""Two branches at once, each with a separate cluster in this machine's AWS. The tests run in their order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from lab.cluster import SlowJob
from tests.aws.branch_cluster import NOW, BranchCluster, Branches, rehearsed
from tests.aws.inventory import client, everything

pytestmark = pytest.mark.root


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


def test_neither_sees_the_others_hosts_or_storage(branches: Branches, two: Two) -> None:
    for cluster, other in (two, two[::-1]):
        address = other.logins["jm-0"].address
        for port in (22, 8081, 6123):
            # Here all are in one network; in AWS the rules that were sent keep them apart
            said = cluster.ssh(
                "tm-0", f"timeout 3 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo open || echo shut"
            )
            assert said.strip() == "shut", (cluster.name, port)
        metadata = "http://169.254.169.254/latest"
        token = cluster.ssh(
            "tm-0", f"curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {metadata}/api/token"
        )
        at = f"{metadata}/meta-data/iam/security-credentials/"
        header = f"-H 'X-aws-ec2-metadata-token: {token.strip()}'"
        keys = json.loads(cluster.ssh("tm-0", f"curl -s {header} {at}$(curl -s {header} {at})"))
        sign = f"--aws-sigv4 aws:amz:{branches.cloud.region}:s3 --user {keys['AccessKeyId']}:{keys['SecretAccessKey']}"
        sign += f" -H 'x-amz-security-token: {keys['Token']}'"
        codes = {}
        for whose in (cluster, other):
            url = f"{branches.cloud.endpoint}/{whose.outputs['bucket']}/{whose.prefix}probe"
            put = (
                f"curl -s -o /dev/null -w '%{{http_code}}' -X PUT -H 'content-type: text/plain' --data-binary x {sign}"
            )
            codes[whose.name] = cluster.ssh("tm-0", f"{put} {url}").strip()
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


def test_sweep_removes_the_one_whose_minute_is_over_and_nothing_else(
    branches: Branches, two: Two, empty: set[str]
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
