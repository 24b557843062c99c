"""A rehearsal: the stack `dev` from Pulumi.dev.yaml in a data center on this machine, instead of AWS.

Only addresses and sizes differ from a user's stack on AWS: the API's address, a network that this machine can route,
the archives' mirror, and machines that fit on this machine.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from automation.steps import Steps
from components import private_key
from lab.cluster import UNITS, wait_for
from lab.errors import LabError
from lab.lab import Lab
from lab.processes import MARK
from lab.rest import Rest, Url
from lab.stack import Stack
from lab.storage import S3
from ops.aws import Aws
from stand_ins.aws_cloud import Cloud
from stand_ins.builds import archives
from tests import doors
from tests.aws import limits, stack
from tests.aws.inventory import client, machines
from toolbox import console

NAME = "test-aws"
STACK = "dev"
BOUNDARY = "flink-boundary"
"""The policy that an administrator creates once."""

SIZES = {
    "flink:jobManagerType": "t3.small",
    "flink:taskManagerType": "t3.medium",
    "flink:zookeeperType": "t3.micro",
    "flink:workers": 2,
    # Options that are off by default
    "flink:taskManagerDiskIops": 4000,
    "flink:taskManagerDiskThroughput": 250,
    "flink:zookeeperDataIops": 3500,
    "flink:taskManagerPlacement": "spread",
    "flink:zookeeperPlacement": "partition",
    "flink:versionDays": 7,
    "flink:zookeeperSnapshotDays": 7,
    # As in Pulumi.local.yaml: hosts that share a small machine boot fast and need little
    "flink:javaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "flink:jobManagerMemory": "1024m",
    "flink:zookeeperHeap": "64m",
    "flink:flinkConfig": {"web.refresh-interval": "500 ms"},
}
OTHER_TYPE = "c6gd.large"
"""As large as the TaskManagers' type, of another architecture, and with an NVMe disk of its own."""

HEALS = {
    "flink:taskManagerSpot": True,
    "flink:healingUrl": "https://api.github.com/repos/acme/flink/actions/workflows/heal.yml/dispatches",
}
"""Configuration: spot instances that come back without a person."""
TOKEN = "a-token-for-a-workflow"

PLAINTEXT = "plaintext"
"""The place of a secret's value in an exported state, as JSON."""

T = TypeVar("T")


@dataclass(frozen=True)
class Login:
    """How Pulumi reaches a host."""

    address: str
    user: str
    private_key: str
    host_key: str


class Rehearsal:
    """The lab, the data center and the stack; also a running cluster that `lab.cluster.SlowJob` can use."""

    def __init__(self, lab: Lab, cloud: Cloud) -> None:
        self.lab = lab
        self.cloud = cloud
        self.archives = archives.ensure()
        self.changes: dict[str, Any] = {}
        """Added to the configuration, by `flink:key`, for the next operations."""
        self.took: dict[str, float] = {}
        """Measured seconds."""
        self.login = doors.Login.new()
        """At the front doors."""
        self._urls: list[Url] = []
        self._logins: dict[str, Login] = {}
        limits.make_boundary(cloud.endpoint, BOUNDARY, "boundary-policy")
        self.limit(stack.VARIABLES["AWS_ACCESS_KEY_ID"])

    def limit(self, key: str) -> None:
        """From now on the identity has the rights that docs/iam gives to whoever deploys, and AWS refuses the rest."""
        names = ("read", *limits.DEPLOY, "options")
        limits.limit(self.cloud.endpoint, key, [limits.document(f"{name}-policy") for name in names])

    # The stack

    @property
    def configuration(self) -> dict[str, Any]:
        """What differs from the configuration in the stack's file."""
        known = {
            **SIZES,
            **stack.releases(self.archives, self.lab.mirror_url),
            # For machines of any architecture, with the digest in a file next to it
            "flink:javaUrl": f"{self.lab.mirror_url}/{{arch}}/{self.archives.java.path.name}",
            "flink:javaChecksum": "",
            "flink:permissionsBoundary": limits.policy_arn(BOUNDARY),
            "flink:vpcCidr": self.cloud.vpc_cidr,
            "flink:operatorCidrs": [f"{self.lab.gateway}/32"],
            "flink:storageEndpoint": self.cloud.endpoint,
            "flink:storagePathStyle": True,
            "flink:archiveCopies": True,
        }
        return {**stack.at(self.cloud.endpoint), **known, **self.changes}

    @property
    def variables(self) -> dict[str, str]:
        """Of the engine, with the lab's mark, so that `down` ends also what a killed test has left."""
        return {**stack.VARIABLES, MARK: f"{self.lab.id}/pulumi"}

    @property
    def stack(self) -> Stack:
        """The stack, as configured now."""
        folder = self.lab.dir / "pulumi"
        secrets = {**self.login.configuration}
        if "flink:healingUrl" in self.changes:
            secrets["flink:healingToken"] = TOKEN
        return stack.stack(
            STACK, folder, self.cloud.endpoint, self.configuration, secrets=secrets, variables=self.variables
        )

    def timed(self, what: str, work: Callable[[], T]) -> T:
        """Run it, and print how long it took."""
        with console.step("rehearsal", what):
            began = time.monotonic()
            found = work()
            self.took[what] = time.monotonic() - began
        return found

    def preview(self) -> Steps:
        """`pulumi preview`."""
        return self.timed("preview", self.stack.preview)

    @contextlib.contextmanager
    def rule(self, name: str, value: str, afterwards: str) -> Iterator[None]:
        """A rule of the account (`stand_ins/aws_cloud/plan.py`) until the end of the block."""
        try:
            self._set(name, value)
            yield
        finally:
            self._set(name, afterwards)

    def _set(self, name: str, value: str) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"{self.cloud.endpoint}/lab/{name}?{value}", timeout=60).close()

    def up(self, what: str, *, refresh: bool = False) -> Steps:
        """`pulumi up`; `what` is printed."""
        steps = self.timed(f"up: {what}", lambda: self.stack.up(refresh=refresh))
        self.look()
        return steps

    def look(self) -> None:
        """Have the logins of the hosts that the state has."""
        self._logins = _logins(self.stack.state())
        self._urls = self.login.urls(self.stack.outputs(), self.lab.dir / "doors")

    def destroy(self) -> Steps:
        """`pulumi destroy`."""
        steps = self.timed("destroy", self.stack.destroy)
        self.forget()
        return steps

    @property
    def state_file(self) -> Path:
        """The stack's state in its backend."""
        return self.lab.dir / "pulumi" / "state" / ".pulumi" / "stacks" / "flink" / f"{STACK}.json"

    def exported(self) -> dict[str, Any]:
        """The stack's state, without secrets."""
        return self.stack.exported(secrets=False)

    def orphans(self) -> list[str]:
        """What AWS has with the stack's tags, and the state does not know."""
        found = Aws(STACK, self.exported(), variables=stack.VARIABLES).orphans().found
        return [f"{it.type} {it.id}" for it in found]

    def forget(self) -> None:
        """The stack has no hosts any more."""
        self._logins = {}

    # The cluster

    @property
    def logins(self) -> dict[str, Login]:
        """Pulumi's connection to each host, as of the last `up`."""
        return self._logins

    def hosts(self, role: str) -> list[str]:
        """Names of the hosts of a role, by its prefix: jm, tm or zk."""
        return sorted(name for name in self._logins if name.startswith(f"{role}-"))

    @property
    def urls(self) -> list[Url]:
        """Its front doors."""
        return list(self._urls)

    @property
    def rest(self) -> Rest:
        """Its REST API."""
        return Rest(self.urls, ask_seconds=2)

    @property
    def s3(self) -> S3:
        """The stack's bucket, for a person with the right to read and write data; who deploys has none."""
        uri = str(self.stack.outputs()["savepoints"])
        return S3(self.cloud.endpoint, self.cloud.region, uri.split("/")[2], "analyst", "analyst")

    @property
    def prefix(self) -> str:
        """The prefix below which the hosts may read and write."""
        uri = str(self.stack.outputs()["savepoints"])
        return uri.split("/", 3)[3].removesuffix("savepoints")

    def overview(self) -> dict[str, Any]:
        """The response of its REST API."""
        found: dict[str, Any] = self.rest.get("/overview")
        return found

    def wait_until_whole(self, workers: int, seconds: float = 300) -> None:
        """Wait until exactly this number of TaskManagers is registered, with all slots."""

        def whole() -> bool:
            found = self.overview()
            return bool(found["taskmanagers"] == workers and found["slots-total"] == 2 * workers)

        wait_for(f"{workers} TaskManagers", seconds, whole)

    # The machines

    def ssh(self, name: str, command: str, check: bool = True) -> str:
        """The output of a command on a host; its host key is checked against Pulumi's."""
        return run_on(self._logins, name, command, folder=self.lab.dir / "ssh", lab_id=self.lab.id, check=check)

    def processes(self) -> dict[str, str]:
        """Unit on host → process and start time; two equal results mean that nothing was restarted."""
        found = {}
        show = "systemctl show -p Id,MainPID,ExecMainStartTimestampMonotonic " + " ".join(UNITS)
        for name in self._logins:
            for block in self.ssh(name, show).strip().split("\n\n"):
                values = dict(line.split("=", 1) for line in block.splitlines())
                if values["MainPID"] != "0":
                    found[f"{name} {values['Id']}"] = f"{values['MainPID']} {values['ExecMainStartTimestampMonotonic']}"
        return found

    def logs(self, lines: int = 25) -> dict[str, str]:
        """The end of each daemon's journal, if its host is reachable."""
        found = {}
        for name in self._logins:
            for unit in UNITS:
                with contextlib.suppress(LabError, OSError, subprocess.SubprocessError):
                    text = self.ssh(name, f"sudo -n journalctl -u {unit} -n {lines} --no-pager -o cat").strip()
                    if "No entries" not in text:
                        found[f"{name} {unit}"] = text
        return found

    def instances(self) -> dict[str, str]:
        """Id of the running instance with this name."""
        return machines(self.cloud.endpoint, self.cloud.region)

    def terminate(self, name: str) -> None:
        """Terminate a machine without Pulumi."""
        ec2 = client("ec2", self.cloud.endpoint, self.cloud.region)
        ec2.terminate_instances(InstanceIds=[self.instances()[name]])


def run_on(
    logins: Mapping[str, Login], name: str, command: str, *, folder: Path, lab_id: str, check: bool = True
) -> str:
    """The output of a command on the host `name`; `folder` gets the key. With `check` raises LabError."""
    login = logins[name]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, known = folder / "key", folder / "known_hosts"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(login.private_key)
    known.write_text("".join(f"{each.address} {each.host_key}\n" for each in logins.values()))
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null"]
    options += ["IdentitiesOnly=yes", "ConnectTimeout=10", "LogLevel=ERROR"]
    flags = [word for option in options for word in ("-o", option)]
    argv = ["ssh", "-F", "none", "-i", str(key), *flags, f"{login.user}@{login.address}", "--", command]
    environment = {"PATH": "/usr/bin:/bin", MARK: f"{lab_id}/ssh"}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=environment)
    if check and done.returncode:
        raise LabError(f"{name}: `{command}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _logins(state: dict[str, Any]) -> dict[str, Login]:
    """By host, from the connection of its first step."""
    found = {}
    for resource in state["resources"]:
        name = resource["urn"].rpartition("::")[2]
        if resource["type"] == "command:remote:Command" and name.endswith("-probe"):
            connection = _plain(resource["inputs"]["connection"])
            found[name.removesuffix("-probe")] = Login(
                _plain(connection["host"]),
                _plain(connection["user"]),
                private_key.for_openssh(_plain(connection["privateKey"])),
                _plain(connection["hostKey"]),
            )
    return found


def _plain(value: Any) -> Any:
    """A value of an exported state, also a secret one."""
    return json.loads(value[PLAINTEXT]) if isinstance(value, dict) and PLAINTEXT in value else value
