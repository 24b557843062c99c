"""Checks that today's program accepts stacks that an earlier version created (fixtures/README.md)."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from lab.stack import Stack
from ops import state
from stand_ins.plugins import SILENT_COMMAND, Plugin
from tests.host_steps import with_files, with_scripts

FIXTURES = Path(__file__).parent / "fixtures"
VERSION = "before-12"

ENDPOINT = "http://moto.invalid"
"""In a fixture, instead of AWS's endpoint."""

KEEPING = {"same", "update", "create", "read"}
"""What an upgrade of the program may do to a resource."""

GONE = re.compile(r"flink:aws:Security\$.*::zookeeper(-.*)?$")
"""Resources that an upgrade may delete: security groups, and their rules, of a role without machines."""

DROPPED = {
    "/etc/flink/config.yaml": """\
rest.bind-port: 8081
heartbeat.interval: 1000 ms
heartbeat.interval: 1500 ms
heartbeat.interval: 3000 ms
""",
    "/etc/zookeeper/zoo.cfg": """initLimit=12
initLimit=24
initLimit=46
""",
    "/etc/systemd/system/flink-jobmanager.service": "RestartSec=1\n",
    "/etc/systemd/system/flink-taskmanager.service": "RestartSec=1\n",
}
"""Lines that an upgrade may remove, although the daemons restart once: sql-client.sh would use the port; a TaskManager
that is dead is noticed after two heartbeats; a ZooKeeper server that leads nobody tries again sooner; so does a daemon
that has ended.
"""

ADDED = {
    "/etc/flink/config.yaml": (
        "heartbeat.interval: 500 ms\n",
        "restart-strategy.exponential-delay.initial-backoff: 100 ms\n",
    ),
    "/etc/zookeeper/zoo.cfg": ("initLimit=10\n", "leaderConnectDelayDuringRetryMs=400\n"),
    "/etc/flink/log4j-console.properties": (
        """\
# Its sessions, for `flink-host relinquish`, with which the unit ends
logger.session.name = org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.ClientCnxn
logger.session.level = INFO
logger.session.appenderRef.session.ref = Session

appender.session.name = Session
appender.session.type = File
appender.session.fileName = /run/flink-jobmanager/session
appender.session.append = false
appender.session.layout.type = PatternLayout
appender.session.layout.pattern = %m%n
appender.session.filter.session.type = RegexFilter
appender.session.filter.session.regex = .*session id = 0x.*
appender.session.filter.session.onMatch = ACCEPT
appender.session.filter.session.onMismatch = DENY
""",
    ),
}
"""Likewise, blocks that it may add: a JobManager that was killed gives up its session; jobs do not wait a second."""

_UNITS = """\
PrivateMounts=yes
PrivateDevices=yes
# Other users' processes are not in its /proc
ProtectProc=invisible
RemoveIPC=yes
# What programs need that run as a user. A JVM compiles to memory, so MemoryDenyWriteExecute is not possible
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# When jcmd or a profiler attaches to it, a JVM gives a socket to the user who it is
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM
# A process that did not end by itself has left its session in ZooKeeper, for which the standby would wait
ExecStopPost=-/bin/sh -c '[ "$SERVICE_RESULT" = success ] || exec /usr/local/lib/flink/flink-host relinquish'
# Jobs wait for it, and a JVM that ends at once has still used a second
RestartSec=200ms
"""
"""Lines that it adds to units: a job can do less on its host, and waits less for a daemon."""

RUN_WITH = re.compile(
    r"/etc/systemd/system/(?!flink-(alive|classes|jobs|spot|superseded)\.).*"
    r"|/etc/flink/(config\.yaml|credentials\.env|log4j-console\.properties)"
    r"|/etc/zookeeper/.*|/var/lib/zookeeper/.*"
)
"""Files that daemons run with; other files in /etc/flink are for commands, other units run beside them."""

FINGERPRINT = "/usr/local/lib/flink/fingerprint"
"""The tool on a host that determines whether a daemon runs what is on the disk."""

_FILE = re.compile(r"^  write_file (\S+) \S+ \S+ <<'(\w+)'\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
"""As in ops/state.py."""
_VALUE = re.compile(r"^(user|script|arguments|entrypoint|home|java|plugin|inputs|recipe)=([^\n#]*)", re.MULTILINE)
"""The inputs of a launch's name, or of a daemon's fingerprint (launch.sh, service.sh)."""


@dataclass(frozen=True)
class Told:
    """What a step sends to a host."""

    files: Mapping[str, str]
    """By path."""
    values: Mapping[str, str]
    """The files that a daemon's launch or restart depends on."""


class Earlier:
    """A stack of an earlier version, imported into a new backend; `endpoint` is that of AWS, if it has one.

    A plugin that does nothing runs the steps on hosts; `plugins` are further stand-ins.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        endpoint: str = "",
        plugins: Sequence[Plugin] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        content = (FIXTURES / VERSION / f"{name}.yaml").read_text().replace(ENDPOINT, endpoint)
        configuration: dict[str, Any] = yaml.safe_load(content)["config"]
        if "flink:inventory" in configuration:
            for file in ("inventory.yaml", "key"):
                shutil.copy(FIXTURES / VERSION / file, folder)
            configuration["flink:inventory"] = str(folder / "inventory.yaml")
        secrets = {key: configuration.pop(key) for key in ("flink:storageSecretKey",) if key in configuration}
        plugins = (SILENT_COMMAND, *plugins)
        for plugin in plugins:
            plugin.install(folder / "plugins")
        self.stack = Stack(name, folder, configuration, secrets=secrets, plugins=plugins, variables=variables)
        text = lzma.decompress((FIXTURES / VERSION / f"{name}.json.xz").read_bytes()).decode()
        self.deployment: dict[str, Any] = json.loads(text.replace(ENDPOINT, endpoint))
        opened = self.stack._open()
        # From now on encrypts the secrets, which are readable in the fixture
        salt = yaml.safe_load(self.stack.file.read_text())["encryptionsalt"]
        self.deployment["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
        opened.pulumi("stack", "import", stdin=json.dumps({"version": 3, "deployment": self.deployment}))

    def preview(self) -> dict[str, set[str]]:
        """The URNs of the resources, by what `up` would do with them; including components."""
        found: dict[str, set[str]] = {}

        def note(event: auto.EngineEvent) -> None:
            if event.resource_pre_event:
                it = event.resource_pre_event.metadata
                found.setdefault(str(getattr(it.op, "value", it.op)), set()).add(it.urn)

        self.stack.preview(on_event=note)
        return found

    def check_nothing_is_lost(self) -> None:
        """Fail if a resource would be replaced or deleted because its name, type or parent has changed."""
        found = self.preview()
        found["delete"] = {urn for urn in found.get("delete", set()) if not self._is_to_go(urn)}
        lost = {kind: sorted(urns) for kind, urns in found.items() if kind not in KEEPING and urns}
        assert not lost, f"an upgrade of the program would do this: {json.dumps(lost, indent=1)}"
        made = {resource["urn"] for resource in self.deployment["resources"]}
        seen = {urn for urns in found.values() for urn in urns} | {urn for urn in made if self._is_to_go(urn)}
        # Not even deletions in a preview, for example of an unused provider
        assert made <= seen | {urn for urn in made if "::pulumi:providers:" in urn}, sorted(made - seen)

    def _is_to_go(self, urn: str) -> bool:
        return bool(GONE.search(urn)) and self._has_no("zk-0")

    def _has_no(self, host: str) -> bool:
        return not any(resource["urn"].endswith(f"::{host}") for resource in self.deployment["resources"])

    def check_nothing_restarts(self) -> None:
        """Run the steps, and fail if anything that a daemon runs with has changed."""
        before = _told(self.deployment)
        self.stack.up()
        after = _told(self.stack.state())
        for name, old in before.items():
            new = after[name]
            for path in filter(_matters, old.files):
                kept = _without(old.files[path], DROPPED.get(path, ""))
                text = new.files.get(path, "")
                for block in ADDED.get(path, ()):
                    text = text.replace(block, "")
                found = text.splitlines()
                if path.endswith(".service"):
                    found = _without("\n".join(found), _UNITS)
                assert found == kept, f"{name}: {path}\n" + "\n".join(unified_diff(kept, found, n=0, lineterm=""))
            assert new.values == old.values, name
            if FINGERPRINT in old.files:
                assert self._fingerprint(new.files[FINGERPRINT]) == self._fingerprint(old.files[FINGERPRINT])
        compared = {path for old in before.values() for path in old.files if _matters(path)}
        assert {"/etc/flink/config.yaml", "/etc/systemd/system/flink-taskmanager.service"} <= compared

    def _fingerprint(self, tool: str) -> str:
        """The output of this version of the tool for some files."""
        there = self.stack.folder / "there"
        there.write_text("a line\n")
        link = self.stack.folder / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(there)
        words = ["sh", "-s", str(there), str(link), "/no/such/file"]
        return subprocess.run(words, input=tool, capture_output=True, text=True, check=True).stdout


def _without(text: str, lines: str) -> list[str]:
    return [line for line in text.splitlines() if line not in lines.splitlines()]


def _matters(path: str) -> bool:
    """Whether a daemon runs with the file, and would be restarted if it changed."""
    return bool(RUN_WITH.fullmatch(path))


def _told(deployment: Mapping[str, Any]) -> dict[str, Told]:
    """By name of the step."""
    found = {}
    for name, inputs in state.commands(deployment):
        text = with_files(with_scripts(inputs.get("stdin") or ""))
        files = {path: body for path, _, body in _FILE.findall(text)}
        found[name] = Told(files, dict(_VALUE.findall(_FILE.sub("", text))) if _runs_a_daemon(text) else {})
    return found


def _runs_a_daemon(text: str) -> bool:
    head = text.partition("\n")[0]
    return head.endswith((", step launch.sh", ", step service.sh"))
