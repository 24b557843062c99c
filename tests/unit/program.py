"""A stack for unit tests: an inventory of seven hosts in a folder, its configuration, and the program under Pulumi's
mocks.
"""

import json
import runpy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pulumi
import pytest
import yaml

import settings
from components.circles import Circle

PRIVATE_KEY = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAMc5q0pskpMPIXOLiCY1ixNlFyl/+uS5eOPvICJBdLjgAAAIgggzHrIIMx
6wAAAAtzc2gtZWQyNTUxOQAAACAMc5q0pskpMPIXOLiCY1ixNlFyl/+uS5eOPvICJBdLjg
AAAECosz2WegbBpnVXprEnumOiHSwlnLmNvrjVh+BdYDM6nwxzmrSmySkw8hc4uIJjWLE2
UXKX/65Ll44+8gIkF0uOAAAABHRlc3QB
-----END OPENSSH PRIVATE KEY-----
"""  # nobody's
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB1Vhm1DVGfYwVPRHZVVbpxVNyGDQKzwxlnNdYAAPfg3"
ROLES = {
    "jm": ("jobmanager", 10, 2048),
    "zk": ("zookeeper", 20, 1024),
    "tm": ("taskmanager", 100, 2560),
    "cl": ("client", 30, 2048),
    "mon": ("monitoring", 40, 2048),
}


def host(name: str, /, **changes: Any) -> dict[str, Any]:
    """An inventory entry for a name such as tm-0."""
    prefix, _, number = name.partition("-")
    role, first, memory = ROLES[prefix]
    entry = {
        "name": name,
        "role": role,
        "address": f"10.9.9.{first + int(number)}",
        "hostKey": HOST_KEY,
        "cpus": 2,
        "memoryMiB": memory,
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


SEVEN = ("jm-0", "jm-1", "tm-0", "tm-1", "zk-0", "zk-1", "zk-2")


def write_inventory(folder: Path, *hosts: dict[str, Any], ssh: dict[str, Any] | None = None) -> None:
    """An inventory and its key in `folder`; seven ordinary hosts unless others are given."""
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(PRIVATE_KEY)
    content = {
        "ssh": ssh or {"user": "admin", "privateKeyFile": "key"},
        "hosts": list(hosts) or [host(n) for n in SEVEN],
    }
    (folder / "inventory.yaml").write_text(yaml.safe_dump(content))


def configuration(folder: Path, **changes: Any) -> dict[str, str]:
    """A stack's configuration as Pulumi passes it; None omits a key."""
    base = {
        "inventory": str(folder / "inventory.yaml"),
        "operatorCidrs": ["198.51.100.0/24"],
        "storageUri": "s3://flink/dev",
    }
    return {
        f"flink:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in {**base, **changes}.items()
        if value is not None
    }


def load(folder: Path, **changes: Any) -> settings.Settings:
    """Settings of a stack `dev`."""
    return settings.load(configuration(folder, **changes), stack="dev")


def refused(folder: Path, **changes: Any) -> str:
    """The refusal, which is always a ConfigError whose text is bounded."""
    with pytest.raises(settings.ConfigError) as error:
        load(folder, **changes)
    told = str(error.value)
    assert len(told) < 100_000 and max(len(line) for line in told.splitlines()) < 1000
    assert all(char.isprintable() or char == "\n" for char in told)
    return told


@dataclass
class Recorded:
    """A resource that the program registered."""

    type: str
    name: str
    inputs: dict[str, Any]
    secret: bool = False


@dataclass
class Mocks(pulumi.runtime.Mocks):
    """Records what is registered; a command's stdout is what a host would print."""

    found: dict[str, Recorded] = field(default_factory=dict)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record one registration."""
        self.found[args.name if args.typ.startswith("command:") else f"{args.typ}/{args.name}"] = Recorded(
            args.typ, args.name, dict(args.inputs)
        )
        outputs = dict(args.inputs)
        if args.typ == "pulumi:index:Stash":
            outputs["output"] = outputs.get("input")
        elif args.typ.startswith("tls:"):
            outputs |= {"certPem": f"a certificate {args.name}", "validityEndTime": "2036-01-01T00:00:00Z"}
            outputs |= {"privateKeyPem": "a key", "caCertPem": "a certificate"}
        elif args.name.endswith("-probe"):
            outputs["stdout"] = '{"cpus": 8, "memoryMiB": 16384}'
        elif args.name.endswith("-system"):
            outputs["stdout"] = f"ssh-ed25519 AAAA{args.name} flink"
        elif args.name.endswith("-tls-request"):
            request = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n"
            outputs["stdout"] = request * len(Circle)
        elif args.name.endswith("-cluster"):
            outputs["stdout"] = '{"taskmanagers": 2}'
        elif "-job-" in args.name:
            outputs["stdout"] = '{"state": "running"}'
        else:
            outputs["stdout"] = "ok"
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """Functions are not called."""
        raise AssertionError(f"unexpected call of {args.token}")


def entry(program: Path) -> Awaitable[None]:
    """Call the program's entrypoint: mocks have no stack, which would do it."""
    with patch("pulumi.run") as run:
        runpy.run_path(str(program), run_name="__main__")
    started: Awaitable[None] = run.call_args.args[0]()
    return started


def mocked(program: Callable[[], Any], mocks: pulumi.runtime.Mocks, *, stack: str, preview: bool, **more: Any) -> None:
    """Run `program` under Pulumi's mocks."""
    pulumi.runtime.set_mocks(mocks, project="flink", stack=stack, preview=preview, **more)
    pulumi.runtime.test(program)()
