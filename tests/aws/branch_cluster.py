"""Clusters of branches in a data center on this machine, by the tool that users have."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from automation.engine import Engine
from branches import names, stack_tags, starts
from branches.stacks import FILE, Stacks, Up
from lab.flights import ENDED
from lab.lab import Lab
from lab.processes import MARK
from lab.rest import Rest, Url
from lab.storage import S3
from ops import state
from stand_ins.aws_cloud import Cloud
from stand_ins.builds import archives
from tests import doors, tool_environment
from tests.aws import stack
from tests.aws.inventory import machines
from tests.aws.rehearsal import SIZES, Login, _logins, run_on
from toolbox import console

NAME = "test-branches"
NOW = datetime.now(UTC).replace(microsecond=0)
"""The lifetime that the tests set: no test waits for an expiry."""


class Branches:
    """The lab, the data center, a backend, and an environment in which the tool uses them."""

    def __init__(self, lab: Lab, cloud: Cloud, patch: pytest.MonkeyPatch) -> None:
        self.lab = lab
        self.cloud = cloud
        self.archives = archives.ensure()
        self._networks = IPv4Network(cloud.vpc_cidr).subnets(new_prefix=20)
        folder = lab.dir / "branches"
        environment = tool_environment.made(folder, "of a rehearsal")
        (folder / "project").mkdir()
        (folder / "project" / "Pulumi.yaml").write_text("name: flink\nruntime: python\n")
        for plugin in stack.PLUGINS:
            plugin.install(folder / "plugins")
        self.state, self._project = folder / "state", folder / "project"
        variables = {**stack.VARIABLES, **environment, MARK: f"{lab.id}/pulumi"}
        for key, value in variables.items():
            patch.setenv(key, value)
        patch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
        self.login = doors.Login.new()
        self._encrypted = self._with_users()

    def _with_users(self) -> dict[str, Any]:
        """The file of all branches with an encrypted user, as docs/branches.md says."""
        for_this_only, ((key, users),) = "ephemeral", self.login.configuration.items()
        file = self._project / FILE.name
        file.write_text(FILE.read_text())
        engine, folder = Engine(), str(self._project)
        engine.run(["stack", "init", for_this_only], folder, {})
        for user, known in users.items():
            for name, value in known.items():
                words = ["config", "set", "--secret", "--path", f"{key}.{user}.{name}", "--stack", for_this_only]
                engine.run(words, folder, {}, stdin=value)
        content: dict[str, Any] = yaml.safe_load(file.read_text())
        engine.run(["stack", "rm", for_this_only, "--yes", "--preserve-config"], folder, {})
        file.unlink()
        return content

    @property
    def stacks(self) -> Stacks:
        """The tool, with its own file except for addresses and sizes, and with an encrypted user."""
        content = copy.deepcopy(self._encrypted)
        known = {
            **stack.at(self.cloud.endpoint),
            **stack.releases(self.archives, self.lab.mirror_url),
            **{key: SIZES[key] for key in ("flink:javaOptions", "flink:jobManagerMemory", "flink:flinkConfig")},
            "flink:operatorCidrs": [f"{self.lab.gateway}/32"],
            "flink:storageEndpoint": self.cloud.endpoint,
            "flink:storagePathStyle": True,
        }
        content["config"] |= known
        return Stacks(Engine(), lambda text: console.say("branches", text), content=content)

    def cluster(self, branch: str) -> BranchCluster:
        """A branch's cluster, not yet created. This machine must reach all VPCs, so each has another network."""
        return BranchCluster(self, branch, str(next(self._networks)))

    def export(self, name: str) -> dict[str, Any]:
        """The deployment of a stack, with its secrets."""
        return state.export(name, self._project, secrets=True)

    def files(self, name: str) -> list[Path]:
        """The stack as recorded in the backend."""
        return [path for path in self.state.rglob("*") if name in str(path.relative_to(self.state)) and path.is_file()]


class BranchCluster:
    """A branch's cluster; also one that `lab.cluster.SlowJob` can use."""

    def __init__(self, branches: Branches, branch: str, cidr: str) -> None:
        self.branch = branch
        self.name = names.stack(branch)
        self.outputs: dict[str, Any] = {}
        self.logins: Mapping[str, Login] = {}
        self._branches = branches
        self._cidr = cidr

    def up(self, *changes: str, ttl: str = stack_tags.TTL, start: starts.From = starts.NOTHING) -> Up:
        """`up`, as after a push."""
        done = self._branches.stacks.up(
            self.branch,
            ttl=stack_tags.ttl(ttl),
            commit="",
            changes=[f"vpcCidr={self._cidr}", *changes],
            now=NOW,
            start=start,
        )
        self.outputs = done.outputs
        self.logins = _logins(self._branches.export(self.name))
        return done

    @property
    def archives(self) -> archives.Archives:
        """The archives that it runs."""
        return self._branches.archives

    @property
    def urls(self) -> list[Url]:
        """Its front door."""
        return self._branches.login.urls(self.outputs, self._branches.lab.dir / "doors" / self.name)

    @property
    def rest(self) -> Rest:
        """Its REST API."""
        return Rest(self.urls, ask_seconds=2)

    def running(self) -> list[str]:
        """Ids of the jobs that have not ended."""
        return [str(it["jid"]) for it in self.rest.get("/jobs/overview")["jobs"] if it["state"] not in ENDED]

    @property
    def s3(self) -> S3:
        """Its bucket, with the deploying identity's rights."""
        cloud = self._branches.cloud
        keys = (stack.VARIABLES["AWS_ACCESS_KEY_ID"], stack.VARIABLES["AWS_SECRET_ACCESS_KEY"])
        return S3(cloud.endpoint, cloud.region, str(self.outputs["bucket"]), *keys)

    @property
    def prefix(self) -> str:
        """The prefix below which its hosts may read and write."""
        return str(self.outputs["savepoints"]).split("/", 3)[3].partition("savepoints")[0]

    def objects(self, uri: str) -> dict[str, str]:
        """Key → ETag of the objects below a URI, with the deploying identity's rights."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        pages = self.s3.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/")
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def asks_s3(self, method: str, uri: str) -> str:
        """S3's answer to a request of a TaskManager's host, with the rights of its role."""
        metadata, cloud = "http://169.254.169.254/latest", self._branches.cloud
        token = self.ssh("tm-0", f"curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {metadata}/api/token")
        at = f"{metadata}/meta-data/iam/security-credentials/"
        header = f"-H 'X-aws-ec2-metadata-token: {token.strip()}'"
        keys = json.loads(self.ssh("tm-0", f"curl -s {header} {at}$(curl -s {header} {at})"))
        sign = f"--aws-sigv4 aws:amz:{cloud.region}:s3 --user {keys['AccessKeyId']}:{keys['SecretAccessKey']}"
        sign += f" -H 'x-amz-security-token: {keys['Token']}'"
        body = "-H 'content-type: text/plain' --data-binary x" if method == "PUT" else ""
        url = f"{cloud.endpoint}/{uri.removeprefix('s3://')}"
        return self.ssh("tm-0", f"curl -s -o /dev/null -w '%{{http_code}}' -X {method} {body} {sign} {url}").strip()

    @property
    def instances(self) -> dict[str, str]:
        """Id by name of its machines."""
        found = machines(self._branches.cloud.endpoint, self._branches.cloud.region)
        return {name: id for name, id in found.items() if name.startswith(f"{self.name}-")}

    def ssh(self, host: str, command: str, *, check: bool = True) -> str:
        """The output of a command on one of its hosts."""
        lab = self._branches.lab
        return run_on(self.logins, host, command, folder=lab.dir / "ssh" / self.name, lab_id=lab.id, check=check)

    def processes(self) -> dict[str, str]:
        """Its daemons' processes and start times; two equal results mean that nothing was restarted."""
        show = "systemctl show -p MainPID,ExecMainStartTimestampMonotonic flink-jobmanager flink-taskmanager"
        return {host: self.ssh(host, show) for host in self.logins}


@contextmanager
def rehearsed() -> Iterator[Branches]:
    """A data center without machines, and a backend without stacks; both are removed completely."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        with Cloud(lab) as cloud, pytest.MonkeyPatch.context() as patch:
            yield Branches(lab, cloud, patch)
    finally:
        lab.down()
