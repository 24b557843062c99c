"""The life of the stack `dev` on AWS, rehearsed by the real engine.

The tests take least time in their order: each finds what it needs. In any other order it first creates that.
"""

from __future__ import annotations

import json
import os
import random
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from automation.steps import Steps
from lab import flights
from lab.cluster import SlowJob, wait_for
from lab.errors import LabError
from lab.flights import Options
from lab.rest import Rest, RestError
from stand_ins.builds import archives, fetch
from tests import doors, engines
from tests.aws import limits, stack
from tests.aws.inventory import client, everything
from tests.aws.rehearsal import BOUNDARY, OTHER_TYPE, STACK, Rehearsal
from tests.documented.blocks import Block, Story
from tests.documented.clone import Clone
from tests.measured import Measured
from tests.polling import polled

pytestmark = pytest.mark.root

WORKERS = 2
PERSON = "person"
"""Who runs the documented commands."""
BOUND = 300
"""Seconds for slow operations: the machine may be busy."""


@pytest.fixture
def nothing(rehearsal: Rehearsal, before: set[str]) -> Rehearsal:
    """The rehearsal, before it has a stack."""
    if everything(rehearsal.cloud.endpoint, rehearsal.cloud.region) != before:
        rehearsal.destroy()
    return rehearsal


@pytest.fixture
def cluster(rehearsal: Rehearsal) -> Rehearsal:
    """The rehearsal, with a cluster."""
    if not rehearsal.logins:
        rehearsal.up("what a test needs")
    rehearsal.wait_until_whole(len(rehearsal.hosts("tm")))
    return rehearsal


@pytest.fixture
def larger(cluster: Rehearsal) -> Rehearsal:
    """The rehearsal, with one more TaskManager than at first."""
    scale(cluster, WORKERS + 1)
    return cluster


@pytest.fixture(scope="module")
def clone(rehearsal: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A fresh clone, in which documented commands work on the rehearsal's stack."""
    environment = rehearsal.stack.environment()
    backend = {name: environment[name] for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE")}
    aws = {
        **stack.VARIABLES,
        "AWS_ACCESS_KEY_ID": PERSON,
        "AWS_ENDPOINT_URL": rehearsal.cloud.endpoint,
        "AWS_DEFAULT_REGION": rehearsal.cloud.region,
    }
    return Clone.make(tmp_path_factory.mktemp("clone"), stack.PLUGINS, {**rehearsal.variables, **backend}, aws=aws)


def scale(cluster: Rehearsal, workers: int) -> None:
    """Change the number of TaskManagers."""
    cluster.changes["flink:workers"] = workers
    if len(cluster.hosts("tm")) != workers:
        cluster.up(f"{workers} workers")
        cluster.wait_until_whole(workers)


def says(text: str) -> None:
    """Print a line."""
    print(f"rehearsal:    {text}", flush=True)


LOOKED = {"jm-0-rollout", "jm-0-cluster"}
"""Steps that check all daemons whenever one of them may have changed."""


def others(steps: Steps, host: str) -> set[str]:
    """Names of what an operation changed, except for one host's resources and steps."""
    names = {name for _, name in steps.changes()}
    return {name for name in names if name != host and not name.startswith(f"{host}-")}


def after_growth(rehearsal: Rehearsal) -> set[str]:
    """Steps on other hosts that depend on the number of workers."""
    return {*(f"{name}-members" for name in rehearsal.hosts("jm")), *LOOKED, f"{STACK}-declared"}


def without(processes: dict[str, str], host: str) -> dict[str, str]:
    return {name: start for name, start in processes.items() if not name.startswith(f"{host} ")}


@contextmanager
def sampled(rehearsal: Rehearsal) -> Iterator[list[int]]:
    """The number of TaskManagers, polled until the end of the block."""
    found: list[int] = []
    rest = Rest(rehearsal.urls, ask_seconds=2)

    def look() -> None:
        with suppress(RestError):
            found.append(int(rest.get("/overview")["taskmanagers"]))

    with polled(look, 0.3):
        yield found


def test_a_preview_shows_everything_and_creates_nothing(nothing: Rehearsal, before: set[str]) -> None:
    rehearsal = nothing
    steps = rehearsal.preview()
    assert set(steps.changes().values()) == {"create"}
    says(f"{len(steps.done)} resources, {len(steps.commands)} of them steps on hosts")
    assert everything(rehearsal.cloud.endpoint, rehearsal.cloud.region) == before
    assert rehearsal.instances() == {}


def test_a_preview_refuses_what_an_account_on_the_free_plan_cannot_launch(
    nothing: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program, which is a part of this process, asks AWS itself
    for name, value in stack.VARIABLES.items():
        monkeypatch.setenv(name, value)
    says_so = (
        "taskManagerType: t3.medium cannot be launched, because account .* is on AWS's free plan: expected t3.small"
    )
    with nothing.rule("plan", "FREE", "PAID"), pytest.raises(LabError, match=says_so):
        nothing.preview()


@pytest.mark.exhaustive  # twelve minutes; the others do the same by the engine
def test_the_documented_commands_make_a_running_cluster_and_replace_machines(nothing: Rehearsal, clone: Clone) -> None:
    """Every block of docs/ that is marked `aws`, in a fresh clone, up to the teardown, which has a test of its own."""
    rehearsal = nothing
    rehearsal.changes.clear()
    story = Story(
        "aws",
        {"ROLE": "person", "ACCOUNT": rehearsal.cloud.aws.client("sts").get_caller_identity()["Account"]},
        without="README.md",
    )
    prepare(rehearsal, clone)

    def here(page: str, heading: str, number: int = 0) -> str:
        return clone.run(story.take(page, heading, number))

    assert "Arn" in here(AWS, "1. Tools, credentials, quota", 1)
    iam = client("iam", rehearsal.cloud.endpoint, rehearsal.cloud.region)
    iam.create_role(RoleName="person", AssumeRolePolicyDocument="{}")
    iam.delete_policy(PolicyArn=limits.policy_arn(BOUNDARY))  # the documented commands create it
    here(AWS, "Rights")
    attached = iam.list_attached_role_policies(RoleName="person")["AttachedPolicies"]
    assert {it["PolicyName"] for it in attached} == {f"flink-{name}" for name in ("read", *limits.DEPLOY)}
    for policy in attached:
        iam.detach_role_policy(RoleName="person", PolicyArn=policy["PolicyArn"])
        iam.delete_policy(PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName="person")
    rehearsal.limit(PERSON)
    # An organization may require tags of what is launched, in the request that launches it
    required = rehearsal.rule("required-tags", "project,owner", "")
    with required:
        said = rehearsal.timed("up: everything, as documented", lambda: here(AWS, "2. The stack"))
    # `up` shows a preview, too
    assert set(re.findall(r"\+ (\d+) to create", said)) == set(re.findall(r"\+ (\d+) created", said))
    rehearsal.login = doors.Login(
        re.findall(r"^password, shown only now: (\S+)$", said, re.MULTILINE)[0],
        clone.run(f"pulumi config get --path frontDoorUsers.{doors.USER}.passwordHash").strip(),
    )
    rehearsal.look()
    check_new(rehearsal)
    assert "https://" in here(AWS, "3. Look, and log in")
    clone.run(clone.run("pulumi stack output login"))
    ssh = clone.run("pulumi stack output ssh").strip()
    assert clone.run(f"{ssh} hostname -s").strip() == "jm-0"
    clone.run(f"{ssh} 'cat > /tmp/job.jar' < {flights.build_jar(rehearsal.archives)}")
    run, listing = submission(story, rehearsal).text.splitlines()
    job = rehearsal.ssh("jm-0", run).rpartition("JobID ")[2].split()[0]
    assert job in rehearsal.ssh("jm-0", listing)
    rehearsal.rest.cancel(job)
    assert "nothing changes" in here("docs/previews.md", "Previews")
    assert "created" not in here(AWS, "Another machine", 0)
    machines = rehearsal.instances()
    rehearsal.timed("up: another machine, as documented", lambda: here(AWS, "Another machine", 1))
    urn, replace = story.take(AWS, "Another machine", 2).text.splitlines()
    urn = clone.run(urn).strip()
    rehearsal.timed("up: the same by --replace", lambda: clone.run(replace.replace("URN", urn)))
    rehearsal.look()
    rehearsal.wait_until_whole(WORKERS)
    now = rehearsal.instances()
    assert [name for name in machines if machines[name] != now.get(name)] == [_full_name(machines, "tm-1")]
    assert {place for block in TEARDOWN for place in [f"{AWS}, {block[0]}, block {block[1]}: not run"]} == set(
        story.left()
    )


AWS = "docs/aws.md"
TEARDOWN = (("Teardown", 0), ("Teardown", 2))
"""Blocks of docs/aws.md that the test of the end runs."""


def prepare(rehearsal: Rehearsal, clone: Clone) -> None:
    """Have the clone's file of the stack differ from the repository's in where things are and how large, as the
    rehearsal's own. Their state is the same.
    """
    file = clone.folder / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump({"config": {**stack.base(STACK), **rehearsal.configuration}}))
    rehearsal.stack.prepare()
    clone.run(f"pulumi stack rm {STACK} --preserve-config")


def submission(story: Story, rehearsal: Rehearsal) -> Block:
    """How docs/aws.md submits a job: with ours, since the archives from registries have no examples in Java."""
    options = Options(
        input=flights.prepare_input(rehearsal.s3, rehearsal.prefix),
        output=f"s3://{rehearsal.s3.bucket}/{rehearsal.prefix}documented",
        records_per_second=200,
    )
    example = "/opt/flink/examples/streaming/StateMachineExample.jar"
    story.fill_in(example, shlex.join(["/tmp/job.jar", *options.arguments()]))
    return story.take(AWS, "4. A job")


def check_new(rehearsal: Rehearsal) -> None:
    """Fail unless it is the cluster of a new stack."""
    assert rehearsal.hosts("jm") == ["jm-0", "jm-1"]
    assert rehearsal.hosts("zk") == ["zk-0", "zk-1", "zk-2"]
    assert rehearsal.hosts("tm") == [f"tm-{number}" for number in range(WORKERS)]
    overviews = [Rest([url]).get("/overview") for url in rehearsal.urls]
    assert [found["taskmanagers"] for found in overviews] == [WORKERS, WORKERS]
    assert [found["slots-total"] for found in overviews] == [2 * WORKERS, 2 * WORKERS]
    assert {found["flink-version"] for found in overviews} == {rehearsal.archives.flink.version}
    check_downloads(rehearsal)


def check_downloads(rehearsal: Rehearsal) -> None:
    """Fail unless the bucket now has copies of what was downloaded, and hosts used them although all began together. A
    host may download on its own: it does if the storage does not answer in time.
    """
    flink, java, proxy = rehearsal.archives.flink, rehearsal.archives.java, archives.caddy()
    # Java's checksum is the one that its place publishes (rehearsal.py)
    made = {f"sha256-{fetch.digest(java.path, 'sha256')}": java.path}
    made |= {f"sha512-{it.sha512}": it.path for it in (flink, proxy)}
    stored = rehearsal.s3.client().list_objects_v2(Bucket=rehearsal.s3.bucket, Prefix=f"{STACK}/archives/")["Contents"]
    assert {entry["Key"].rpartition("/")[2]: entry["Size"] for entry in stored} == {
        name: path.stat().st_size for name, path in made.items()
    }
    served = (rehearsal.lab.dir / "logs" / "mirror.log").read_text()
    name = rehearsal.archives.flink.path.name
    hosts = len([*rehearsal.hosts("jm"), *rehearsal.hosts("tm")])
    assert 1 <= len(re.findall(rf'"GET /{re.escape(name)} HTTP/1\.1" 200', served)) < hosts


def test_a_job_reads_and_writes_the_stacks_own_bucket(cluster: Rehearsal) -> None:
    """Submitted to each JobManager: a standby must find the leader."""
    s3, prefix = cluster.s3, cluster.prefix
    source = flights.prepare_input(s3, prefix)
    jar = flights.build_jar(cluster.archives)
    for number, url in enumerate(cluster.urls):
        output = f"s3://{s3.bucket}/{prefix}results-{number}"
        options = Options(input=source, output=output, name=f"rehearsal-{number}")

        def run(url: str = url, options: Options = options) -> None:
            flights.wait(cluster.urls, flights.submit([url], jar, options, 2 * WORKERS), 600)

        cluster.timed(f"job by jm-{number}", run)
        flights.check(flights.result(s3, output), flights.reference_rows())


def test_a_second_up_changes_nothing(cluster: Rehearsal) -> None:
    running, machines = cluster.processes(), cluster.instances()
    assert cluster.up("no change").changes() == {}
    assert cluster.up("no change, after a refresh", refresh=True).changes() == {}
    assert cluster.processes() == running
    assert cluster.instances() == machines


def test_one_worker_more_touches_no_other_machine(cluster: Rehearsal) -> None:
    scale(cluster, WORKERS)
    running, machines, new = cluster.processes(), cluster.instances(), f"tm-{WORKERS}"
    cluster.changes["flink:workers"] = WORKERS + 1
    steps = cluster.up("one worker more")
    assert set(steps.operations) >= {f"{new}-service"}
    assert others(steps, new) <= after_growth(cluster)
    cluster.wait_until_whole(WORKERS + 1)
    assert without(cluster.processes(), new) == running
    assert {name: machine for name, machine in cluster.instances().items() if name in machines} == machines


def test_a_machine_that_was_lost_comes_back_under_its_name(larger: Rehearsal) -> None:
    cluster = larger
    running, machines, lost = cluster.processes(), cluster.instances(), "tm-1"
    cluster.terminate(_full_name(machines, lost))
    wait_for("one TaskManager less", BOUND, lambda: cluster.overview()["taskmanagers"] == WORKERS)
    steps = cluster.up("one machine lost", refresh=True)
    assert others(steps, lost) <= LOOKED
    cluster.wait_until_whole(WORKERS + 1)
    assert without(cluster.processes(), lost) == without(running, lost)
    now = cluster.instances()
    assert {name for name in machines if machines[name] != now.get(name)} == {_full_name(machines, lost)}


def test_another_instance_type_replaces_machine_by_machine(larger: Rehearsal) -> None:
    """Of another architecture (of moto's images and types; the hosts have this machine's), with an NVMe disk."""
    cluster = larger
    running, machines = cluster.processes(), cluster.instances()
    job = SlowJob.start(cluster, "other-type", seconds=1800, parallelism=2)
    checkpoint = job.checkpoint() or 0
    cluster.changes |= {"flink:taskManagerType": OTHER_TYPE, "flink:taskManagerInstanceStore": True}
    with sampled(cluster) as seen:
        cluster.up("another instance type for the TaskManagers")
    says(f"TaskManagers seen during the replacement: {sorted(set(seen))}")
    cluster.wait_until_whole(WORKERS + 1)
    now = cluster.instances()
    replaced = {name for name in machines if machines[name] != now.get(name)}
    assert replaced == {_full_name(machines, name) for name in cluster.hosts("tm")}
    after = cluster.processes()
    assert {name: after[name] for name in running if not name.startswith("tm-")} == {
        name: start for name, start in running.items() if not name.startswith("tm-")
    }
    wait_for("the job from a checkpoint", BOUND, lambda: (job.restored_from() or 0) >= checkpoint and job.runs())
    for name in cluster.hosts("tm"):
        assert on_its_own_disk(cluster, name)
    # Working state and temporary files are there, and nowhere else
    found = "sudo -n find /var/lib/flink/tmp /var/lib/flink/local-0 -name CURRENT -printf '%H\\n' | sort -u"
    assert {place for name in cluster.hosts("tm") for place in cluster.ssh(name, found).split()} == {
        "/var/lib/flink/local-0"
    }
    job.cancel()
    assert min(seen) >= WORKERS, "never two at once"
    architectures = {machine["Architecture"] for machine in described(cluster, cluster.hosts("tm"))}
    assert architectures == {"arm64"}


def on_its_own_disk(cluster: Rehearsal, name: str) -> bool:
    """Whether Flink's directory on a host is the machine's NVMe disk."""
    found = cluster.ssh(name, "findmnt -nro SOURCE,FSTYPE,OPTIONS /var/lib/flink/local-0; ls -l /dev/disk/by-id")
    mounted, _, names = found.partition("\n")
    source, kind, options = mounted.split()
    store = [line for line in names.splitlines() if "nvme-Amazon_EC2_NVMe_Instance_Storage_" in line]
    return kind == "ext4" and "noatime" in options and any(line.endswith(source.rpartition("/")[2]) for line in store)


def described(cluster: Rehearsal, hosts: Iterable[str]) -> list[dict[str, Any]]:
    """What EC2 says of these hosts' machines."""
    known = cluster.instances()
    ids = [known[_full_name(known, host)] for host in hosts]
    found = client("ec2", cluster.cloud.endpoint, cluster.cloud.region).describe_instances(InstanceIds=ids)
    return [machine for group in found["Reservations"] for machine in group["Instances"]]


@pytest.mark.exhaustive  # another instance type has blank disks, too
def test_a_machine_that_was_stopped_and_started_has_a_blank_disk_and_uses_it(larger: Rehearsal) -> None:
    cluster = larger
    if cluster.changes.get("flink:taskManagerType") != OTHER_TYPE:
        cluster.changes |= {"flink:taskManagerType": OTHER_TYPE, "flink:taskManagerInstanceStore": True}
        cluster.up("machines with an NVMe disk")
    name = f"tm-{WORKERS}"
    cluster.wait_until_whole(WORKERS + 1)
    cluster.ssh(name, "sudo -n touch /var/lib/flink/local-0/before")
    id = cluster.instances()[_full_name(cluster.instances(), name)]
    ec2 = client("ec2", cluster.cloud.endpoint, cluster.cloud.region)
    ec2.stop_instances(InstanceIds=[id])
    wait_for("one TaskManager less", BOUND, lambda: cluster.overview()["taskmanagers"] == WORKERS)
    ec2.start_instances(InstanceIds=[id])
    # By itself; only for a login its new public address is needed
    cluster.wait_until_whole(WORKERS + 1)
    cluster.up("a machine that was stopped and started", refresh=True)
    assert on_its_own_disk(cluster, name)
    assert cluster.ssh(name, "ls -A /var/lib/flink/local-0 | grep -cx before", check=False).strip() == "0"


@pytest.mark.exhaustive  # another instance type for TaskManagers goes the same way
def test_another_type_for_all_the_others_costs_one_failover_each_and_no_data(cluster: Rehearsal) -> None:
    """JobManagers and ZooKeeper servers in parallel; within each role one machine after the other."""
    workers, machines = len(cluster.hosts("tm")), cluster.instances()
    job = SlowJob.start(cluster, "other-types", seconds=1800, parallelism=2)
    checkpoint = job.checkpoint() or 0
    cluster.changes |= {"flink:jobManagerType": "t3a.small", "flink:zookeeperType": "t3a.micro"}
    cluster.up("other instance types for JobManagers and ZooKeeper")
    cluster.wait_until_whole(workers)
    now = cluster.instances()
    replaced = {name for name in machines if machines[name] != now.get(name)}
    assert replaced == {_full_name(machines, name) for role in ("jm", "zk") for name in cluster.hosts(role)}
    # The current leader found the job in ZooKeeper, whose data was on the re-attached volumes
    wait_for("the job from a checkpoint", BOUND, lambda: (job.restored_from() or 0) >= checkpoint and job.runs())
    job.cancel()
    assert cluster.up("no change after it", refresh=True).changes() == {}


@pytest.mark.exhaustive  # test_restarts.py has the same in `make test-all`
def test_one_worker_fewer_touches_no_other_machine(larger: Rehearsal) -> None:
    cluster = larger
    running, leaving = cluster.processes(), f"tm-{WORKERS}"
    cluster.changes["flink:workers"] = WORKERS
    known = after_growth(cluster)
    steps = cluster.up("one worker fewer")
    assert others(steps, leaving) <= known
    cluster.wait_until_whole(WORKERS)
    assert cluster.processes() == without(running, leaving)
    assert not [name for name in cluster.instances() if name.endswith(leaving)]


def test_an_up_that_was_killed_is_completed_by_the_next_one(cluster: Rehearsal) -> None:
    cluster.changes["flink:workers"] = WORKERS + 1
    killed(cluster, 2, 30, lambda: cluster.up("one worker more, killed"))
    cluster.up("one worker more, after the kills")
    complete(cluster, WORKERS + 1)


def killed(cluster: Rehearsal, times: int, writes: int, operation: Callable[[], object]) -> None:
    """Run an operation whose engine is killed after random numbers of writes of its state, at most `writes`."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    chance = random.Random(seed)
    for _ in range(times):
        number = chance.randint(1, writes)
        with engines.killed_after(cluster.state_file, number) as happened:
            try:
                operation()
            except LabError:
                if not happened.is_set():
                    raise
        pending = len(cluster.exported().get("pending_operations") or []) if cluster.state_file.exists() else 0
        says(f"KILL_SEED={seed}: killed after {number} writes, {pending} operations pending")


def complete(cluster: Rehearsal, workers: int) -> None:
    """Nothing is pending, missing or unknown to the state, and the cluster works."""
    cluster.wait_until_whole(workers)
    assert not cluster.exported().get("pending_operations")
    assert cluster.orphans() == []
    assert len(cluster.instances()) == len(cluster.logins)
    assert cluster.up("no change after the kills", refresh=True).changes() == {}


@pytest.mark.exhaustive
def test_ten_kills_in_the_life_of_a_stack_lose_and_leave_nothing(nothing: Rehearsal, before: set[str]) -> None:
    rehearsal = nothing
    rehearsal.changes.clear()
    killed(rehearsal, 4, 80, lambda: rehearsal.up("everything, killed"))
    rehearsal.up("everything, after the kills")
    complete(rehearsal, WORKERS)
    rehearsal.changes |= {"flink:workers": WORKERS + 1, "flink:taskManagerType": OTHER_TYPE}
    killed(rehearsal, 3, 40, lambda: rehearsal.up("a change, killed"))
    rehearsal.up("a change, after the kills")
    complete(rehearsal, WORKERS + 1)
    killed(rehearsal, 3, 60, rehearsal.destroy)
    rehearsal.destroy()
    assert everything(rehearsal.cloud.endpoint, rehearsal.cloud.region) == before
    rehearsal.changes.clear()


def test_destroy_leaves_nothing(cluster: Rehearsal, clone: Clone, before: set[str], measured: Measured) -> None:
    rehearsal = cluster
    killed(rehearsal, 1, 60, rehearsal.destroy)
    clone.run(f"pulumi cancel --yes --stack {STACK} || true")  # the lock of the killed run, if it has left one
    story = Story("aws", {})
    file = clone.folder / f"Pulumi.{STACK}.yaml"
    file.write_text(rehearsal.stack.file.read_text())
    clone.run(f"pulumi stack select {STACK}")  # as it is after the documented `up`
    rehearsal.timed("destroy, as documented", lambda: clone.run(story.take(AWS, *TEARDOWN[0])))
    rehearsal.forget()
    assert file.exists()
    # As AWS may, moto lists terminated instances for a while
    arns = json.loads(clone.run(story.take(AWS, *TEARDOWN[1])))
    assert [arn for arn in arns if ":instance/" not in arn] == []
    left = everything(rehearsal.cloud.endpoint, rehearsal.cloud.region)
    assert (left - before, before - left) == (set(), set())
    rehearsal.cloud.settle()
    assert rehearsal.cloud.hosts == []
    places = (rehearsal.lab.dir / "hosts", rehearsal.lab.dir / "aws" / "volumes")
    assert [path for place in places if place.exists() for path in place.iterdir()] == []
    measured(
        f"the rehearsal on AWS (load {os.getloadavg()[0]:.1f}), seconds: "
        + ", ".join(f"{k} {v:.0f}" for k, v in rehearsal.took.items())
    )


def test_who_deploys_needs_no_other_rights_than_those_documented_and_has_no_others(rehearsal: Rehearsal) -> None:
    """Everything above was done with these rights: AWS would have refused the rest, and here it does."""
    endpoint, deployer = rehearsal.cloud.endpoint, stack.VARIABLES["AWS_ACCESS_KEY_ID"]
    if not rehearsal.took:
        rehearsal.up("what a test needs")
    found = {key: limits.report(endpoint, key) for key in (deployer, PERSON)}
    asked = [it for key in found for it in found[key][0]]
    assert {"ec2:RunInstances", "iam:PassRole", "s3:CreateBucket"} <= {it.action for it in asked}
    assert not [it for it in asked if not it.resource], "compared by the name of the action only"
    says(f"{len({it.action for it in asked})} actions on {len({it.resource for it in asked})} resources")
    assert {key: refused for key, (_, refused) in found.items() if refused} == {}
    check_others(rehearsal, deployer)


def check_others(rehearsal: Rehearsal, key: str) -> None:
    """The same calls are refused for what is not the project's, or gives more rights than the boundary."""
    owner, endpoint, region = client, rehearsal.cloud.endpoint, rehearsal.cloud.region
    own = boto3.Session(aws_access_key_id=key, aws_secret_access_key=key, region_name=region)
    ec2, iam, s3 = (own.client(it, endpoint_url=endpoint) for it in ("ec2", "iam", "s3"))
    theirs, roles, buckets = (owner(it, endpoint, region) for it in ("ec2", "iam", "s3"))
    vpc = theirs.create_vpc(CidrBlock="10.99.0.0/24")["Vpc"]["VpcId"]
    subnet = theirs.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/25")["Subnet"]["SubnetId"]
    group = theirs.create_security_group(GroupName="shop", Description="-", VpcId=vpc)["GroupId"]
    theirs.create_tags(Resources=[vpc, subnet, group], Tags=[{"Key": "project", "Value": "shop"}])
    roles.create_role(RoleName="shop", AssumeRolePolicyDocument="{}")
    buckets.create_bucket(Bucket="pulumi-state", CreateBucketConfiguration={"LocationConstraint": region})
    rule = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    trust = {"RoleName": "flink-unlimited", "AssumeRolePolicyDocument": "{}"}
    tried: dict[str, Callable[[], object]] = {
        "AuthorizeSecurityGroupIngress": lambda: ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=rule
        ),
        "CreateTags": lambda: ec2.create_tags(Resources=[group], Tags=[{"Key": "project", "Value": "flink"}]),
        "DeleteSubnet": lambda: ec2.delete_subnet(SubnetId=subnet),
        "CreateSecurityGroup": lambda: ec2.create_security_group(GroupName="flink-x", Description="-", VpcId=vpc),
        "CreateRole": lambda: iam.create_role(**trust),
        "DeleteRole": lambda: iam.delete_role(RoleName="shop"),
        "PutRolePolicy": lambda: iam.put_role_policy(RoleName="shop", PolicyName="p", PolicyDocument="{}"),
        "CreatePolicy": lambda: iam.create_policy(PolicyName="p", PolicyDocument="{}"),
        "PassRole": lambda: iam.add_role_to_instance_profile(InstanceProfileName="flink-x", RoleName="shop"),
        "ListBucket": lambda: s3.list_objects_v2(Bucket="pulumi-state"),
        "PutObject": lambda: s3.put_object(Bucket="pulumi-state", Key=".pulumi/stacks/flink/prod.json", Body=b""),
    }
    try:
        for action, call in tried.items():
            with pytest.raises(ClientError, match=rf"UnauthorizedOperation.*{action}|AccessDenied.*{action}"):
                call()
    finally:
        roles.delete_role(RoleName="shop")
        buckets.delete_bucket(Bucket="pulumi-state")
        theirs.delete_security_group(GroupId=group)
        theirs.delete_subnet(SubnetId=subnet)
        theirs.delete_vpc(VpcId=vpc)


def _full_name(machines: dict[str, str], host: str) -> str:
    """A host's name in AWS's console."""
    return next(name for name in machines if name == host or name.endswith(f"-{host}"))
