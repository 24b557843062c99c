"""Reboots hosts one after the other, in the order of a rollout, while jobs continue: ZooKeeper servers first, the one
that leads last; then the standby JobManagers, the leader; then TaskManagers, `maxUnavailable` at once; then the rest.

It is no part of `up`: a rollout runs on the first JobManager's host, which reboots, too (docs/decisions).
"""

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components import ports
from components.host import Role
from components.roles import ROLES, Health, Replacement
from ops import doctor, ssh, state
from ops.errors import OpsError
from ops.state import Host
from ops.waiting import WAITS

CONNECT_SECONDS = 60
BOOT_SECONDS = 900
"""A server with much memory and many disks takes ten minutes."""
UPGRADE_SECONDS = 900
"""How long an upgrade of packages that runs on a host may take before its reboot."""
PAUSE_SECONDS = 1.0

_LOOK = """
set -u
echo "boot $(cat /proc/sys/kernel/random/boot_id) $(sed 's/.*) //' /proc/1/stat | cut -d' ' -f20)"
waits | sed 's/^/waits /'
if leads; then echo leads; fi
"""
# The start of process 1, since all containers of a machine have its boot id

_LEADS = {
    Health.REST: "leads() { /usr/local/lib/flink/flink-host leads 2>/dev/null; }",
    Health.ENSEMBLE: 'leads() { [ "$(timeout 5 /usr/local/lib/flink/flink-host mode PORT 2>/dev/null)" = leader ]; }',
}
_NOBODY = "leads() { false; }"

_REBOOT = f"""
set -u
for lock in /run/flink-steps/*; do
  [ ! -f "$lock" ] || flock -n "$lock" true || {{
    echo "step ${{lock##*/}} of an \\`up\\` is running on it" >&2
    exit 1
  }}
done
end=$((SECONDS + {UPGRADE_SECONDS}))
for unit in apt-daily apt-daily-upgrade dnf-automatic packagekit-offline-update; do
  while [ "$(systemctl show -p ActiveState --value $unit.service)" = activating ]; do
    [ $SECONDS -lt $end ] || {{
      echo "$unit.service still upgrades packages after {UPGRADE_SECONDS} s" >&2
      exit 1
    }}
    sleep 2
  done
done
systemctl reboot
"""

_HEALTH = re.compile(r"^health=(\(.*\))$", re.MULTILINE)
_VALUES = re.compile(r"^values=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """A host as it is now: the mark of its boot, why it waits for a reboot, whether its daemon leads."""

    boot: str
    waits: str = ""
    leads: bool = False


@dataclass(frozen=True)
class Site:
    """What a stack's state says about its hosts."""

    hosts: Mapping[str, Host]
    roles: Mapping[str, Role]
    rollout: Mapping[str, Any]
    """The values of the step `rollout`."""

    def of(self, role: Role) -> list[Host]:
        """The hosts of a role."""
        return [host for name, host in self.hosts.items() if self.roles[name] is role]

    def step(self, what: str) -> list[Host]:
        """The host of a step of the whole cluster, with this step only; none if the stack has no such step."""
        return [
            Host(host.name, host.login, (step,))
            for host in self.hosts.values()
            for step in host.steps
            if step.name == f"{host.name}-{what}"
        ]


def site(stack: str, deployment: Mapping[str, Any]) -> Site:
    """What the state says. Raises OpsError if it does not say it all."""
    hosts = {host.name: host for host in state.hosts(deployment)}
    roles = state.roles(deployment)
    found = Site(hosts, roles, {})
    if unknown := sorted(set(hosts) - set(roles)):
        raise OpsError(f"the state does not contain the roles of {', '.join(unknown)}: run `pulumi up` first")
    rollouts = found.step("rollout")
    if not rollouts or not found.step("cluster"):
        raise OpsError(f"stack {stack} has no complete cluster: run `pulumi up` first")
    values = _VALUES.search(rollouts[0].steps[0].text)
    assert values
    return Site(hosts, roles, json.loads(shlex.split(values[1])[0]))


def groups(found: Site, chosen: Sequence[str], seen: Mapping[str, Seen]) -> list[list[Host]]:
    """The chosen hosts in their order; those of a group reboot at once."""
    made: list[list[Host]] = []
    # What others need for a clean stop first, as a teardown has it last
    for role in sorted(Role, key=lambda role: -ROLES[role].teardown.value):
        hosts = [host for host in found.of(role) if host.name in chosen]
        hosts.sort(key=lambda host: seen[host.name].leads)
        size = {
            Replacement.ONE: 1,
            Replacement.MAX_UNAVAILABLE: int(found.rollout["maxUnavailable"]),
            Replacement.ALL: len(hosts),
        }[ROLES[role].replacement]
        made += [hosts[first : first + size] for first in range(0, len(hosts), max(1, size))]
    return made


def look(found: Site, names: Sequence[str]) -> dict[str, Seen | str]:
    """The hosts as they are now; a text says why one could not be asked."""

    def of(name: str) -> Seen | str:
        host, daemon = found.hosts[name], ROLES[found.roles[name]].daemon
        leads = _LEADS.get(daemon.health, _NOBODY) if daemon else _NOBODY
        text = WAITS + leads.replace("PORT", str(ports.number("zk-client"))) + _LOOK
        done = ssh.run(host.name, host.login, "sudo -n bash -s", text, CONNECT_SECONDS)
        return _seen(done.stdout) or " ".join(done.stderr.split()) or f"ssh ended with {done.returncode}"

    with ThreadPoolExecutor(doctor.AT_ONCE) as pool:
        return dict(zip(names, pool.map(of, names), strict=True))


def _seen(output: str) -> Seen | None:
    told = dict(line.partition(" ")[::2] for line in output.splitlines())
    return Seen(told["boot"], told.get("waits", ""), "leads" in told) if "boot" in told else None


class Reboots:
    """The reboots of a stack's hosts. `say` gets a line for each host."""

    def __init__(self, found: Site, say: Callable[[str], None]) -> None:
        self._site, self._say = found, say
        self._seconds = int(found.rollout["seconds"])
        self._jobs: list[str] = []

    def run(self, planned: Sequence[Sequence[Host]], seen: Mapping[str, Seen]) -> None:
        """Reboot the hosts. Raises OpsError at the first one after which the cluster is not complete."""
        if wrong := self._incomplete():
            raise OpsError(f"the cluster is not complete: {wrong}; no host was rebooted")
        self._jobs = self._running()
        left = [host.name for group in planned for host in group]
        alone = not self._site.rollout["highAvailability"]
        if self._jobs and alone and any(self._site.roles[name] is Role.JOBMANAGER for name in left):
            raise OpsError(
                f"{len(self._jobs)} jobs run, and without high availability they end with their JobManager: stop them"
                " with savepoints first; no host was rebooted"
            )
        count = len(left)
        for group in planned:
            names = [host.name for host in group]
            try:
                with ThreadPoolExecutor(len(group)) as pool:
                    list(pool.map(lambda host: self._reboot(host, seen[host.name].boot), group))
                self._wait(names)
            except OpsError as error:
                rest = [name for name in left if name not in names]
                raise OpsError(
                    f"{error}; not rebooted: {', '.join(rest) or 'none'}. Repair it, and run this again"
                ) from None
            left = left[len(group) :]
            self._say(f"{', '.join(names)}: rebooted and healthy ({count - len(left)} of {count})")

    def _reboot(self, host: Host, boot: str) -> None:
        """Reboot it, and wait until its daemon is healthy again."""
        health = self._health(host)
        if health:
            self._ask(host, "stoppable", health, "another server is missing or behind: not rebooted")
        command = "sudo -n bash -s"
        done = ssh.run(host.name, host.login, command, _REBOOT, UPGRADE_SECONDS + CONNECT_SECONDS)
        # The connection may end with the host
        if done.returncode not in (0, ssh.UNREACHED):
            raise OpsError(f"{host.name}: cannot reboot: {' '.join(done.stderr.split())}")
        end = time.monotonic() + BOOT_SECONDS
        while True:
            now = look(self._site, [host.name])[host.name]
            if isinstance(now, Seen) and now.boot != boot:
                break
            if time.monotonic() > end:
                told = now if isinstance(now, str) else "it still runs since before"
                raise OpsError(f"{host.name}: has not rebooted after {BOOT_SECONDS} s: {told}")
            time.sleep(PAUSE_SECONDS)
        if health:
            self._ask(host, "healthy", health, f"its daemon is not healthy {self._seconds} s after the reboot")

    def _ask(self, host: Host, question: str, health: str, wrong: str) -> None:
        text = (
            f'health={health}\n/usr/local/lib/flink/flink-host {question} --within {self._seconds} "${{health[@]}}"\n'
        )
        done = ssh.run(host.name, host.login, "sudo -n bash -s", text, self._seconds + CONNECT_SECONDS)
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise OpsError(f"{host.name}: {wrong}{f' ({said})' if said else ''}")

    def _health(self, host: Host) -> str:
        """The arguments of the health check of its daemon, as a bash array; empty if it has no daemon."""
        found = [match[1] for step in host.steps if (match := _HEALTH.search(step.text))]
        return found[0] if found else ""

    def _wait(self, names: Sequence[str]) -> None:
        """Wait until the cluster is complete, and the jobs that ran before run again."""
        end = time.monotonic() + self._seconds
        while wrong := self._incomplete() or self._missing():
            if time.monotonic() > end:
                raise OpsError(f"{self._seconds} s after the reboot of {', '.join(names)}: {wrong}")
            time.sleep(PAUSE_SECONDS)

    def _incomplete(self) -> str:
        """What the checks of the whole cluster report; empty if nothing."""
        for what in ("ensemble", "cluster"):
            for looked in map(doctor.look, self._site.step(what)):
                if looked.error:
                    return f"{looked.host} could not be asked: {looked.error}"
                if looked.differences:
                    return looked.differences[0].message
        return ""

    def _missing(self) -> str:
        if not self._jobs:
            return ""
        left = self._tool("jobs", *self._jobs).split()
        return f"{len(left)} of the {len(self._jobs)} jobs that ran before do not run" if left else ""

    def _running(self) -> list[str]:
        return self._tool("jobs").split()

    def _tool(self, *words: str) -> str:
        """What the host tool says on a JobManager's host."""
        said = []
        for host in self._site.of(Role.JOBMANAGER):
            text = f"/usr/local/lib/flink/flink-host {shlex.join(words)}\n"
            done = ssh.run(host.name, host.login, "sudo -n bash -s", text, CONNECT_SECONDS)
            if done.returncode == 0:
                return done.stdout
            said.append(f"{host.name}: {' '.join(done.stderr.split()) or f'exited with {done.returncode}'}")
        raise OpsError("; ".join(said))
