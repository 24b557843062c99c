"""The documented way on existing hosts, word for word: every block of README.md and docs/ that is marked `own-hosts`,
in a fresh clone, by the real engine, on a lab's hosts. What stands in for what: tests/documented.
"""

import base64
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lab import flights
from lab.cluster import wait_for
from lab.flights import Options
from lab.lab import Lab
from lab.rest import Rest
from lab.stack import release
from stand_ins.builds import archives
from stand_ins.plugins import COMMAND, TLS
from tests import doors
from tests.documented.blocks import Block, Story
from tests.documented.clone import Clone
from toolbox.paths import REPO

README, OPERATIONS = "README.md", "docs/operations.md"


@pytest.fixture
def lab() -> Iterator[Lab]:
    """The hosts of the README's inventory, and a client host."""
    it = Lab("test-documented")
    it.down()  # an earlier run may have been killed
    try:
        it.up(workers=2, clients=1)
        yield it
    finally:
        it.down()


@pytest.fixture
def clone(lab: Lab, tmp_path: Path) -> Clone:
    """The clone, with the reader's SSH key and an inventory as in the README."""
    it = Clone.make(tmp_path, [COMMAND, TLS], {})
    (it.folder / "keys").mkdir(mode=0o700)
    key = it.folder / "keys" / "id_ed25519"
    key.touch(mode=0o600)
    key.write_text(lab.private_key.read_text())
    (it.folder / "inventory.yaml").write_text(inventory(lab))
    return it


def inventory(lab: Lab) -> str:
    """The README's, with the addresses and host keys of the lab; the client host is added as operations.md says."""
    text = (REPO / README).read_text().partition("```yaml\n")[2].partition("```")[0]
    for host in lab.hosts:
        line = re.compile(rf'(name: {host.name}, .*address: )[\d.]+(, hostKey: ")[^"]+"')
        filled = rf'\g<1>{host.address}\g<2>{lab.machine(host).host_key}"'
        if line.search(text):
            text = line.sub(filled, text)
        else:
            known = {"name": host.name, "role": host.role, "address": host.address}
            text += f"  - {{{', '.join(f'{k}: {v}' for k, v in known.items())}"
            text += f', hostKey: "{lab.machine(host).host_key}"}}\n'
    assert {host["name"] for host in yaml.safe_load(text)["hosts"]} == {host.name for host in lab.hosts}
    return text


def only_here(lab: Lab) -> list[str]:
    """Commands for what a lab has and people have not: its mirror of the archives, its S3 server, and small memory."""
    found = archives.ensure()
    values = {
        key: value
        for name in ("flink", "zookeeper", "java")
        for key, value in release(lab, name, getattr(found, name)).items()
    }
    values |= release(lab, "caddy", archives.caddy())
    values |= {
        "flink:storageEndpoint": lab.s3.endpoint,
        "flink:storagePathStyle": "true",
        "flink:javaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "flink:jobManagerMemory": "1024m",
        "flink:zookeeperHeap": "64m",
    }
    return [shlex.join(["pulumi", "config", "set", "--", key, str(value)]) for key, value in values.items()]


@pytest.mark.exhaustive  # twenty minutes; the steps behind the commands have tests of their own
def test_every_documented_command_for_existing_hosts_works_as_it_is_written(lab: Lab, clone: Clone) -> None:
    story = Story(
        "own-hosts",
        {
            "198.51.100.0/24": f"{lab.gateway}/32",
            "s3://my-bucket/": f"s3://{lab.s3.bucket}/",
            "eu-central-1": lab.s3.region,
            "AKIA...": lab.s3.access_key,
        },
    )

    def here(page: str, heading: str, number: int = 0, typed: str = "") -> str:
        return clone.run(story.take(page, heading, number), typed)

    def on(host: str, line: str, typed: str = "") -> str:
        print(f"{host}$ {line}", flush=True)
        said = lab.ssh(host, f"exec 2>&1; {line}", typed, timeout=300).stdout
        print(said, flush=True)
        return said

    def on_its_host(page: str, heading: str, number: int = 0) -> str:
        block: Block = story.take(page, heading, number)
        return "".join(on(block.host, line) for line in block.text.splitlines())

    # From nothing to a cluster
    prepared = here(README, "3. Stack", 0, typed=lab.s3.secret_key)
    clone.run("\n".join(only_here(lab)))
    said = here(README, "3. Stack", 1)
    count = int(re.findall(r"\+ (\d+) created", said)[0])
    assert f"+ {count} to create" in said
    assert "webUi" in said and "savepoints" in said
    assert lab.s3.secret_key not in said
    assert lab.s3.secret_key not in (clone.folder / "Pulumi.onprem.yaml").read_text()
    assert f"{count} unchanged" in clone.run("pulumi up")

    # Look
    assert re.search("^onprem: Flink .* leads, 2 of 2 TaskManagers", here(OPERATIONS, "Look", 0), re.MULTILINE)
    assert re.search(r"^flink-bundle-onprem-\w+\.tar\.gz \(\d+ files, ", here(OPERATIONS, "Look", 1), re.MULTILINE)
    said = on_its_host(OPERATIONS, "Look", 2)
    assert "active (running)" in said and '"taskmanagers":2' in said and "table inet flink" in said
    assert re.search("^(leader|follower)$", on_its_host(OPERATIONS, "Look", 3), re.MULTILINE)
    assert "flink_taskmanager" in on_its_host(OPERATIONS, "Look", 4)
    said = on_its_host(OPERATIONS, "On a host", 0)
    assert "current" in said and "healthy" in said
    assert "yes" in on_its_host(OPERATIONS, "On a host", 1)

    # Work
    jar = base64.b64encode(flights.build_jar(archives.ensure()).read_bytes()).decode()
    for host in ("jm-0", "cl-0"):
        lab.ssh(host, "base64 -d > /tmp/job.jar", jar)
    options = Options(
        input=flights.prepare_input(lab.s3, ""), output=f"s3://{lab.s3.bucket}/out", records_per_second=200
    )
    story.fill_in("job.jar", shlex.join(["/tmp/job.jar", *options.arguments()]))
    block = story.take(OPERATIONS, "Jobs and state")
    run, stop, again = block.text.splitlines()
    job = on(block.host, run).rpartition("JobID ")[2].split()[0]
    # As whoever has read the password, and trusts the authority
    login = doors.Login(re.findall(r"^password, shown only now: (\S+)$", prepared, re.MULTILINE)[0], "")
    rest = Rest(login.urls(json.loads(clone.run("pulumi stack output --json")), clone.home / "trusted"))
    wait_for("the job", 120, lambda: rest.get(f"/jobs/{job}/checkpoints")["counts"]["completed"])
    said = on(block.host, stop.replace("JOB_ID", job))
    savepoint = re.findall(r"Savepoint completed. Path: (\S+)", said)[0]
    assert savepoint.startswith(f"s3://{lab.s3.bucket}/flink/savepoints/")
    job = on(block.host, again.replace("SAVEPOINT", savepoint)).rpartition("JobID ")[2].split()[0]
    on_its_host(OPERATIONS, "Client hosts", 0)
    listing, run, sql = (block := story.take(OPERATIONS, "Client hosts", 1)).text.splitlines()
    assert job in on(block.host, listing)
    assert "has been submitted" in on(block.host, run)
    assert "Flink SQL" in on(block.host, sql, "QUIT;\n")

    # Change, look for drift, repair
    on_its_host(OPERATIONS, "Restart one daemon")
    assert " updated" in here(OPERATIONS, "Change something")
    here(OPERATIONS, "Configuration drift")
    assert here(OPERATIONS, "Upgrades and reboots").count("no host of stack onprem waits for a reboot") == 2
    here(OPERATIONS, "What dead clusters have left")
    here(OPERATIONS, "Checkpoints of ended jobs")

    # The other way to start, and the end
    for host, unit in (("jm-1", "jobmanager"), ("tm-0", "taskmanager"), ("tm-1", "taskmanager")):
        lab.ssh(host, f"sudo -n systemctl stop flink-{unit}")
    on_its_host(OPERATIONS, "start-cluster.sh", 0)
    assert "Starting" in on_its_host(OPERATIONS, "start-cluster.sh", 1)
    said = here(OPERATIONS, "Take it down")
    assert re.search(r"- \d+ deleted", said) and "NOT CLEANED" not in said
    for each in lab.hosts:
        assert lab.ssh(each, "systemctl is-system-running").stdout.strip() == "running"
    assert clone.run("pulumi stack ls").count("onprem") == 0
    assert story.left() == []
