"""One screen about a cluster: who leads, daemons, slots, jobs with the age of their last checkpoint, alerts of its
monitoring host, and what is wrong.

It asks every host over SSH, and the REST API on the host of the JobManager that leads, so it works with `tls` and with
a front door, and needs no login of its own. It changes nothing.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from components.host import Role
from components.jobs.watch import FACTS as DECLARED
from components.monitoring import targets
from components.roles import ROLES
from ops import ssh, units
from ops.doctor import AT_ONCE
from ops.state import Host

SECONDS = 30
"""For a host's answer."""
JOBS = 100
"""So many jobs are asked for checkpoints and restarts; the others are listed without."""
FULL_PERCENT = 90
"""A disk that is fuller is a problem."""
RUNNING = "RUNNING"
_ALARMING = ("critical", "warning")
"""Severities of alerts that are problems."""
_ALERTS = f"{targets.alertmanager_url(None)}/api/v2/alerts?active=true&silenced=false&inhibited=false"
_ENDED = ("FINISHED", "CANCELED", "FAILED")
_FINE = (RUNNING, "FINISHED", "CANCELED")
"""States of jobs that are no problem: CANCELED is what somebody wanted."""

_HOST = rf"""
set -uo pipefail
export LC_ALL=C
say() {{ printf '%s\t%s\n' "$1" "$2"; }}
say now "$(date +%s)"
say monotonic "$(cut -d' ' -f1 /proc/uptime)"
say disk "$(df -P / /var/lib | awk 'NR > 1 && $5 + 0 > most {{ most = $5 + 0 }} END {{ print most }}')"
say memory "$(awk '/^MemTotal:/ {{ all = $2 }} /^MemAvailable:/ {{ print int(100 - 100 * $2 / all) }}' /proc/meminfo)"
for unit in $units; do
  systemctl show -p Id,LoadState,ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic "$unit" | paste -sd' ' |
    sed 's/^/unit\t/'
done
if [ "$role" = {Role.JOBMANAGER.value} ] && {ssh.TOOL} leads 2>/dev/null; then
  say leads yes
  [ ! -e {DECLARED} ] || say declared "$(tr -d '\n' <{DECLARED})"
  for path in /overview /taskmanagers /jobs/overview; do
    answer=$({ssh.TOOL} rest "$path" 2>&1 | tr -d '\n') && say "rest $path" "$answer" || say failed "$answer"
  done
fi
if [ "$role" = {Role.MONITORING.value} ]; then
  say alerts "$(ask -fs '{_ALERTS}' | tr -d '\n')"
fi
say end yes
"""

_OF_JOBS = rf"""
set -u
for job in $jobs; do
  for path in /jobs/$job/checkpoints /jobs/$job/metrics?get=numRestarts; do
    printf 'rest %s\t%s\n' "$path" "$({ssh.TOOL} rest "$path" 2>/dev/null | tr -d '\n')"
  done
done
"""


@dataclass
class HostStatus:
    """A host. `seconds`: since its daemon runs; `restarts`: how often systemd has started it again, also for rollouts;
    `disk`, `memory`: percent that are used; `slots`, `free`: of a TaskManager that the leader knows, otherwise None.
    """

    name: str
    role: str
    state: str = "unknown"
    seconds: float | None = None
    leads: bool = False
    restarts: int = 0
    disk: int = 0
    memory: int = 0
    slots: int | None = None
    free: int | None = None
    problems: list[str] = field(default_factory=list)


@dataclass
class JobStatus:
    """A job. `checkpoint_age` in seconds, `checkpoint_seconds` how long the last one took; None without one."""

    id: str
    name: str
    state: str
    seconds: float
    tasks: int
    running: int
    restarts: int | None = None
    checkpoints: int = 0
    failed_checkpoints: int = 0
    checkpoint_age: float | None = None
    checkpoint_seconds: float | None = None
    checkpoint_bytes: int | None = None


@dataclass
class AlertStatus:
    """An alert that fires and is not silenced. `host`: empty if it is not of a host; `since`: a time in ISO format."""

    name: str
    severity: str
    host: str
    summary: str
    since: str


@dataclass
class Status:
    """A cluster."""

    stack: str
    hosts: list[HostStatus]
    leader: str = ""
    version: str = ""
    slots: int = 0
    free: int = 0
    jobs: list[JobStatus] = field(default_factory=list)
    alerts: list[AlertStatus] | None = None
    """None: no monitoring host answers."""
    problems: list[str] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    """Hosts that did not answer, with the reason."""

    @property
    def exit_code(self) -> int:
        """0: all is well; 1: something is wrong; 2: nothing known is wrong, but not all hosts answer."""
        if self.problems:
            return 1
        return 2 if self.unreached else 0

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {"well": self.exit_code == 0, **asdict(self)}

    def text(self) -> str:
        """For people."""
        known = [host for host in self.hosts if host.slots is not None]
        expected = sum(host.role == Role.TASKMANAGER for host in self.hosts)
        head = f"{self.leader} leads" if self.leader else "no JobManager leads"
        version = f"Flink {self.version}, " if self.version else ""
        slots = f", {self.free} of {self.slots} slots free" if self.leader else ""
        lines = [f"{self.stack}: {version}{head}, {len(known)} of {expected} TaskManagers{slots}"]
        lines += [f"  {line}" for line in _aligned([_columns(host) for host in self.hosts])]
        if self.leader:
            lines.append(f"jobs: {len(self.jobs)}")
            lines += [f"  {line}" for line in _aligned([_job_columns(job) for job in self.jobs])]
        if self.alerts is not None:
            lines.append(f"alerts: {len(self.alerts)}")
            lines += [f"  {line}" for line in _aligned([_alert_columns(alert) for alert in self.alerts])]
        if found := [*self.problems, *self.unreached]:
            lines += ["problems:", *(f"  {line}" for line in found)]
        return "\n".join(lines)


def look(stack: str, hosts: Sequence[Host], roles: Mapping[str, Role]) -> Status:
    """Ask all hosts, in parallel."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda host: _asked(host, roles[host.name]), hosts))
    found = Status(stack, [])
    reports = dict(zip([host.name for host in hosts], answers, strict=True))
    leaders = [host for host in hosts if reports[host.name].get("leads")]
    of_jobs: dict[str, str] = {}
    if leaders:
        ids = [str(job["jid"]) for job in _json(reports[leaders[0].name], "rest /jobs/overview").get("jobs", ())]
        of_jobs = _asked_of_jobs(leaders[0], ids[:JOBS])
    for host in hosts:
        found.hosts.append(_host(host.name, roles[host.name], reports[host.name]))
        if why := reports[host.name].get("error"):
            found.unreached.append(f"{host.name}: it does not answer: {why}")
    _cluster(found, reports, of_jobs)
    for host in hosts:
        if "alerts" in reports[host.name]:
            _alerts(found, host.name, reports[host.name]["alerts"])
    return found


def _asked(host: Host, role: Role) -> dict[str, str]:
    asked = " ".join([*units.daemon(role), *units.beside(role)])
    script = f"role={shlex.quote(role.value)} units={shlex.quote(asked)}\n{units.ASK}{_HOST}"
    done = ssh.run(host.name, host.login, "sudo -n bash -s", script, SECONDS)
    report = _lines(done.stdout)
    if "end" not in report:
        report["error"] = " ".join(done.stderr.split()) or f"ssh ended with {done.returncode}"
    return report


def _asked_of_jobs(leader: Host, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    script = f"jobs={shlex.quote(' '.join(ids))}\n{_OF_JOBS}"
    return _lines(ssh.run(leader.name, leader.login, "sudo -n bash -s", script, SECONDS + len(ids)).stdout)


def _lines(text: str) -> dict[str, str]:
    """Lines `KEY<tab>VALUE`; units by their names."""
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition("\t")
        if key == "unit":
            key = f"unit {_properties(value)['Id'].removesuffix('.service')}"
        found[key] = value
    return found


def _properties(shown: str) -> dict[str, str]:
    """What `systemctl show` says of a unit, on one line."""
    return dict(word.split("=", 1) for word in shown.split())


def _json(report: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        found = json.loads(report.get(key) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _host(name: str, role: Role, report: Mapping[str, str]) -> HostStatus:
    found = HostStatus(name, role.value, leads="leads" in report)
    if report.get("error"):
        return found
    found.disk, found.memory = int(report.get("disk") or 0), int(report.get("memory") or 0)
    daemon = ROLES[role].daemon
    if daemon is None:
        found.state = "answers"
    elif shown := report.get(f"unit {daemon.unit}"):
        values = _properties(shown)
        is_running = values["ActiveState"] == "active"
        found.state = "running" if is_running else f"{values['ActiveState']} ({values['SubState']})"
        found.restarts = int(values.get("NRestarts") or 0)
        if is_running:
            found.seconds = float(report["monotonic"]) - int(values["ActiveEnterTimestampMonotonic"]) / 1e6
        else:
            found.problems.append(f"{daemon.unit} is {found.state}")
    for unit in units.beside(role):
        beside = _properties(report.get(f"unit {unit}", ""))
        if beside.get("LoadState") == "loaded" and beside["ActiveState"] != "active":
            found.problems.append(f"{unit} is {beside['ActiveState']} ({beside['SubState']})")
    if found.disk >= FULL_PERCENT:
        found.problems.append(f"a disk is {found.disk} % full")
    return found


def _cluster(found: Status, reports: Mapping[str, Mapping[str, str]], of_jobs: Mapping[str, str]) -> None:
    """What the leader says, and what is wrong."""
    found.problems += [f"{host.name}: {problem}" for host in found.hosts for problem in host.problems]
    leaders = [host.name for host in found.hosts if host.leads]
    if not leaders:
        found.problems.insert(0, "no JobManager leads")
        return
    if len(leaders) > 1:
        found.problems.append(f"{' and '.join(leaders)} both say that they lead: an election may be under way")
    found.leader = leaders[0]
    report = reports[found.leader]
    if failed := report.get("failed"):
        found.problems.append(f"{found.leader}: its REST API does not answer: {failed}")
    overview = _json(report, "rest /overview")
    found.version = overview.get("flink-version", "")
    found.slots, found.free = overview.get("slots-total", 0), overview.get("slots-available", 0)
    known = {entry["id"]: entry for entry in _json(report, "rest /taskmanagers").get("taskmanagers", ())}
    for host in found.hosts:
        if host.role != Role.TASKMANAGER:
            continue
        if entry := known.get(host.name):
            host.slots, host.free = entry["slotsNumber"], entry["freeSlots"]
        elif host.state == "running":
            found.problems.append(f"{host.name}: its TaskManager runs, and the leader does not know it")
    now = float(report.get("now") or 0)
    jobs = _json(report, "rest /jobs/overview").get("jobs", ())
    found.jobs = [_job(entry, of_jobs, now) for entry in sorted(jobs, key=lambda job: (job["name"], job["start-time"]))]
    newest = {job.name: job for job in found.jobs}
    # Those that have ended last
    found.jobs.sort(key=lambda job: job.state in _ENDED)
    for job in newest.values():
        if job.state not in _FINE:
            found.problems.append(f"job {job.name} is {job.state} ({job.id})")
    for declared in _json(report, "declared").get("jobs", ()):
        if declared["state"] == "running" and declared["name"] not in newest:
            found.problems.append(f"job {declared['name']} is declared, and there is none")


def _alerts(found: Status, host: str, answer: str) -> None:
    """What Alertmanager says."""
    try:
        known = json.loads(answer)
    except ValueError:
        found.problems.append(f"{host}: its Alertmanager does not answer")
        return
    found.alerts = []
    for entry in known:
        labels, notes = entry["labels"], entry.get("annotations", {})
        if labels.get("severity") == "none":
            continue
        alert = AlertStatus(
            name=labels["alertname"],
            severity=labels.get("severity", ""),
            host=labels.get("host", ""),
            summary=notes.get("summary", ""),
            since=entry["startsAt"],
        )
        found.alerts.append(alert)
        if alert.severity in _ALARMING:
            where = f"{alert.host}: " if alert.host else ""
            found.problems.append(f"{where}alert {alert.name} ({alert.severity})")
    found.alerts.sort(key=lambda alert: (alert.severity not in _ALARMING, alert.severity, alert.name, alert.host))


def _job(entry: Mapping[str, Any], more: Mapping[str, str], now: float) -> JobStatus:
    tasks = entry.get("tasks", {})
    job = JobStatus(
        id=entry["jid"],
        name=entry["name"],
        state=entry["state"],
        seconds=entry["duration"] / 1000,
        tasks=tasks.get("total", 0),
        running=tasks.get("running", 0),
    )
    known = _json(more, f"rest /jobs/{job.id}/checkpoints")
    counts = known.get("counts") or {}
    job.checkpoints, job.failed_checkpoints = counts.get("completed", 0), counts.get("failed", 0)
    if last := (known.get("latest") or {}).get("completed"):
        job.checkpoint_age = max(0.0, now - last["latest_ack_timestamp"] / 1000)
        job.checkpoint_seconds = last["end_to_end_duration"] / 1000
        job.checkpoint_bytes = last.get("checkpointed_size", last.get("state_size"))
    try:
        metrics = json.loads(more.get(f"rest /jobs/{job.id}/metrics?get=numRestarts") or "[]")
        job.restarts = int(metrics[0]["value"])
    except (ValueError, LookupError, TypeError):
        job.restarts = None
    return job


def _columns(host: HostStatus) -> list[str]:
    since = f" {_duration(host.seconds)}" if host.seconds is not None else ""
    used = f"disk {host.disk} %, memory {host.memory} %" if host.state != "unknown" else ""
    more = []
    if host.leads:
        more.append("leads")
    if host.slots is not None:
        more.append(f"{host.free} of {host.slots} slots free")
    return [host.name, host.role, f"{host.state}{since}", used, ", ".join(more)]


def _job_columns(job: JobStatus) -> list[str]:
    restarts = "" if job.restarts is None else f"{job.restarts} restarts"
    checkpoint = "no checkpoint"
    if job.checkpoint_age is not None:
        took = f"{job.checkpoint_seconds:.1f} s, {_size(job.checkpoint_bytes or 0)}"
        checkpoint = f"checkpoint {_duration(job.checkpoint_age)} ago ({took})"
    if job.failed_checkpoints:
        checkpoint += f", {job.failed_checkpoints} failed"
    return [job.name, f"{job.state} {_duration(job.seconds)}", f"{job.running}/{job.tasks} tasks", restarts, checkpoint]


def _alert_columns(alert: AlertStatus) -> list[str]:
    return [alert.name, alert.severity, alert.host, f"since {alert.since[:16]}", alert.summary]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 48 * 3600 else f"{whole // 86400} d"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
