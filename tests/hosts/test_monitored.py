"""Every alert fires when its cause is there, and resolves without it; none fires on a healthy cluster. On a lab of its
own with TLS, a front door and a monitoring host, whose alerts go to a receiver here.

Times of rules are shortened by one factor (`alarms.shortened`): to a half while the cluster is healthy, which leaves
a minute for a failover on a busy machine, to a twentieth for causes.

What is caused, and how, docs/monitoring.md says. HostCpuBusy and HostMemoryLow may fire at any time: hosts of a lab
show memory and CPUs of their machine. They are caused on a virtual machine (`virtual_machine`) in place of a host.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import ports
from components.monitoring import exporter, rules, targets
from lab import front_door, jar, loops, processes, stack
from lab.cluster import Cluster, wait_for
from lab.lab import Lab
from lab.rest import Rest
from ops import units
from stand_ins.builds import archives
from tests.hosts import grafana, snapshot, virtual_machine
from tests.hosts.alarms import ALERTS, LOGS, SCRAPES, SECOND, WATCHDOG, Alert, Receiver, receiving, shortened
from tests.lab import reach
from tests.lab.commands import finish, traces
from tests.measured import Measured
from tests.unit.test_front_door import made
from toolbox.paths import REPO

NAME = "test-monitored"
HEALTHY, CAUSED, RESTARTING = 0.5, 0.05, 0.4
"""Factors: in a twentieth of a quarter of an hour no daemon starts four times."""
BOUND = 420
"""Seconds for alerts to fire, and to resolve; the measured times are printed."""
SLOTS = 6
"""Of a TaskManager. The declared job needs one more, so that both are needed."""
OUR_MACHINE = {"HostCpuBusy", "HostMemoryLow"}
ALERT = re.compile(r'Alert\("(\w+)"')

Cause = Callable[["Monitored"], AbstractContextManager[list[Alert]]]


@dataclass
class Monitored:
    """The lab. `factor`: what times are multiplied with, 0 before the first `up`."""

    cluster: Cluster
    receiver: Receiver
    before: dict[str, set[str]]
    """What hosts were before the first `up`."""
    factor: float = 0

    @property
    def lab(self) -> Lab:
        """Its hosts."""
        return self.cluster.lab

    def up(self, factor: float, **changes: Any) -> list[str]:
        """Run `up` with this factor; returns the steps that ran."""
        self.cluster.overrides.update({f"flink:{name}": value for name, value in changes.items()})
        with shortened(factor):
            steps = self.cluster.stack.up().changed()
        self.factor = factor
        self.wait_until_whole()
        return list(steps)

    def timed(self, factor: float) -> None:
        """Make the lab one with this factor."""
        if self.factor != factor:
            self.up(factor)

    def wait_until_whole(self) -> None:
        """Wait for all slots, and for a job that runs."""
        wait_for("the complete cluster", BOUND, self._is_whole)

    def _is_whole(self) -> bool:
        overview = self.cluster.rest.get("/overview")
        return bool(overview["slots-total"] == 2 * SLOTS and overview["jobs-running"] >= 1)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Prometheus's answer, on its host."""
        url = f"{targets.prometheus_url(None)}/api/v1/query"
        script = f"{units.ASK}\nask -sS --get --data-urlencode {shlex.quote(f'query={expression}')} {url}"
        done = self.lab.ssh("mon-0", 'sudo -n bash -c "$(cat)"', script)
        found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["result"]
        return found

    def alerts(self, state: str) -> set[str]:
        """Names of the alerts that are `pending` or `firing` by Prometheus, without those of this machine."""
        found = {each["metric"]["alertname"] for each in self.ask(f'ALERTS{{alertstate="{state}"}}')}
        return found - OUR_MACHINE - {"Watchdog"}

    def alerts_of(self, host: str) -> set[str]:
        """Names of the alerts of a host that are pending or fire by Prometheus, also those of this machine."""
        return {each["metric"]["alertname"] for each in self.ask(f'ALERTS{{host="{host}"}}')}

    def root(self, host: str, command: str) -> str:
        """Run a command on a host, as root."""
        return self.lab.ssh(host, f"sudo -n bash -c {shlex.quote(command)}", timeout=120).stdout

    def run(self, trouble: str, parallelism: int = 1) -> str:
        """Start a job with a trouble; returns its id."""
        return self.cluster.rest.run_jar(_jar(self.cluster), [trouble], parallelism)

    def cancel(self, job: str) -> None:
        """Cancel a job, and wait for its end."""
        self.cluster.rest.cancel(job)
        wait_for(f"the end of job {job}", BOUND, lambda: self.cluster.rest.get(f"/jobs/{job}")["state"] == "CANCELED")

    def standby(self) -> str:
        """The JobManager that does not lead."""
        leader = self.cluster.leader()
        return next(name for name in self.cluster.hosts("jobmanager") if name != leader)


def _jar(cluster: Cluster) -> Path:
    return jar.build("trouble", Path(__file__).parent / "jobs/trouble/src", "trouble.Trouble", cluster.archives)


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=2, jobmanagers=2, zookeepers=3, monitoring=1)
        front_door.switch(lab, on=True)
        before = snapshot.take(lab, lab.hosts)
        place = tmp_path_factory.mktemp("grafana")
        with receiving(lab.gateway) as (url, receiver), grafana.released(place, lab.gateway) as release:
            cluster = Cluster(lab, archives.ensure())
            cluster.overrides.update({**_configuration(cluster, url), "flink:grafana": True, **release})
            yield Monitored(cluster, receiver, before)
    finally:
        lab.down()
    assert traces(lab.id) == []


def _configuration(cluster: Cluster, url: str) -> dict[str, Any]:
    return {
        "flink:workers": 2,
        "flink:taskManagerSlots": SLOTS,
        # Which jobs of this module take for their checkpoints, too
        "flink:flinkConfig": {"execution.checkpointing.interval": "5 s"},
        "flink:jobs": {"idle": {"jar": str(_jar(cluster)), "args": ["idle"], "parallelism": SLOTS + 1}},
        "flink:alertReceivers": {
            "team": {"webhook": url + ALERTS, "severities": ["critical", "warning", "info"]},
            "switch": {"webhook": url + WATCHDOG, "severities": ["none"]},
            "second": {"webhook": url + SECOND, "severities": ["none"]},
        },
        "flink:history": True,
        "flink:alertGrouping": {"wait": "1 s", "interval": "1 s", "repeat": "10 s"},
        "flink:logs": {"otlp": {"url": url + LOGS.removesuffix("/v1/logs")}},
    }


# Causes: each is there until the end of its block


@contextmanager
def stopped(monitored: Monitored, host: str, unit: str) -> Iterator[None]:
    """A unit of a host is stopped."""
    monitored.root(host, f"systemctl stop {unit}")
    try:
        yield
    finally:
        monitored.root(host, f"systemctl start {unit}")


@contextmanager
def standby_is_stopped(monitored: Monitored) -> Iterator[list[Alert]]:
    host = monitored.standby()
    with stopped(monitored, host, "flink-jobmanager"):
        yield [Alert("FlinkStandbyMissing", {"host": host})]


@contextmanager
def front_door_is_stopped(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "jm-1", "flink-frontdoor"):
        yield [Alert("FrontDoorDown", {"host": "jm-1"})]


@contextmanager
def zookeeper_server_is_stopped(monitored: Monitored) -> Iterator[list[Alert]]:
    modes = monitored.cluster.zookeeper_modes()
    host = next(name for name, mode in modes.items() if mode == "follower")
    with stopped(monitored, host, "zookeeper"):
        yield [Alert("ZooKeeperServerDown", {"host": host}), Alert("ZooKeeperQuorumAtRisk")]


@contextmanager
def host_is_off(monitored: Monitored) -> Iterator[list[Alert]]:
    monitored.lab.stop("tm-1")
    try:
        yield [Alert("HostDown", {"host": "tm-1"})]
    finally:
        monitored.lab.start("tm-1")


@contextmanager
def logs_are_not_collected(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "zk-0", "flink-logs"):
        yield [Alert("LogsNotCollected", {"host": "zk-0"})]


@contextmanager
def disk_is_nearly_full(monitored: Monitored) -> Iterator[list[Alert]]:
    """A file system of its own in a file of this machine, mounted on a host, and filled there."""
    host, place, image = "zk-1", "/srv/small", monitored.lab.dir / "small.img"
    image.touch()
    os.truncate(image, 64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    device = loops.attach(image)
    init = processes.init_of(monitored.lab.id, host)
    assert init
    inside = ["nsenter", f"--target={init.pid}", "--mount", "--"]
    try:
        number = device.stat().st_rdev
        node = f"/root/{device.name}"
        subprocess.run([*inside, "mknod", node, "b", str(os.major(number)), str(os.minor(number))], check=True)
        subprocess.run([*inside, "mkdir", "-p", place], check=True)
        subprocess.run([*inside, "mount", node, place], check=True)
        monitored.root(host, f"fallocate -l 50M {place}/large")
        yield [Alert("HostDiskNearlyFull", {"host": host, "mountpoint": place})]
        monitored.root(host, f"rm {place}/large")
        # Resolved, and not only gone with its file system
        wait_for("the end of HostDiskNearlyFull", BOUND, lambda: "HostDiskNearlyFull" not in monitored.alerts("firing"))
    finally:
        monitored.root(host, f"umount {place}; rmdir {place}; rm -f {node}")
        loops.detach(image)
        image.unlink()


@contextmanager
def storage_is_stopped(monitored: Monitored) -> Iterator[list[Alert]]:
    """The S3 server does not answer."""
    servers = processes.find(monitored.lab.id, "s3")
    assert servers
    for process in servers:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield [Alert("FlinkStorageUnreachable")]
    finally:
        for process in servers:
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def job(monitored: Monitored, trouble: str, parallelism: int = 1) -> Iterator[None]:
    """A job with a trouble runs."""
    started = monitored.run(trouble, parallelism)
    try:
        yield
    finally:
        monitored.cancel(started)


@contextmanager
def job_fails_in_a_loop(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "fails"):
        yield [Alert("FlinkJobRestarting", {"job_name": "fails"})]


@contextmanager
def checkpoints_fail(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "unsaved"):
        yield [
            Alert("FlinkCheckpointsFailing", {"job_name": "unsaved"}),
            Alert("FlinkCheckpointsOverdue", {"job_name": "unsaved"}),
        ]


@contextmanager
def job_is_slow(monitored: Monitored) -> Iterator[list[Alert]]:
    """Event time stands, one task waits for the other, and checkpoints take longer than their interval."""
    with job(monitored, "late"):
        yield [
            Alert("FlinkWatermarkLag", {"job_name": "late"}),
            Alert("FlinkBackpressure", {"job_name": "late"}),
            Alert("FlinkCheckpointsSlow", {"job_name": "late"}),
        ]


@contextmanager
def heap_is_full(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "fills"):
        yield [Alert("FlinkHeapFull"), Alert("FlinkGarbageCollection")]


@contextmanager
def job_waits_for_slots(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "waits", 2 * SLOTS):
        yield [Alert("FlinkJobNotRunning", {"job_name": "waits"})]


@contextmanager
def nobody_leads(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "jm-0", "flink-jobmanager"), stopped(monitored, "jm-1", "flink-jobmanager"):
        yield [Alert("FlinkNoLeader")]


@contextmanager
def leader_hangs(monitored: Monitored) -> Iterator[list[Alert]]:
    """It is paused; the other one takes over, and is alone until the first is killed, and so started again."""
    host = monitored.cluster.leader()
    monitored.lab.kill(host, "flink-jobmanager", "STOP")
    try:
        yield [Alert("FlinkStandbyMissing", {"host": host})]
    finally:
        monitored.lab.kill(host, "flink-jobmanager")


@contextmanager
def quorum_is_lost(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "zk-1", "zookeeper"), stopped(monitored, "zk-2", "zookeeper"):
        yield [Alert("ZooKeeperQuorumLost")]


@contextmanager
def taskmanager_is_stopped(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "tm-1", "flink-taskmanager"):
        yield [Alert("FlinkTaskManagerMissing", {"host": "tm-1"}), Alert("FlinkSlotsShort")]


@contextmanager
def taskmanager_is_not_registered(monitored: Monitored) -> Iterator[list[Alert]]:
    """Its connections to the JobManagers are cut; Prometheus still reaches it."""
    addresses = ", ".join(monitored.lab.host(name).address for name in monitored.cluster.hosts("jobmanager"))
    chains = [
        f"chain {name} {{ type filter hook {hook} priority -10; ip {side} {{ {addresses} }} drop; }}"
        for name, hook, side in (("in", "input", "saddr"), ("out", "output", "daddr"))
    ]
    table = "\n".join(["table inet cut {", *chains, "}"])
    monitored.root("tm-1", f"nft -f - <<< {shlex.quote(table)}")
    try:
        yield [Alert("FlinkTaskManagerNotRegistered")]
    finally:
        monitored.root("tm-1", "nft delete table inet cut")


@contextmanager
def daemon_restarts_in_a_loop(monitored: Monitored) -> Iterator[list[Alert]]:
    """It is killed some time after it answers; systemd starts it again. Prometheus sees a restart if less CPU time was
    used than before: it has to see each life early, and after it has worked for a while.
    """
    host = monitored.standby()
    ask = "curl -s -o /dev/null localhost:9249/metrics"
    fall = (
        f"while :; do until {ask}; do sleep 0.2; done; sleep {SCRAPES + 1}; "
        f"timeout {2 * SCRAPES} bash -c 'while :; do {ask}; done'; systemctl kill -s KILL flink-jobmanager; done"
    )
    monitored.root(host, f"systemd-run -q --unit=flink-falls bash -c {shlex.quote(fall)}")
    try:
        yield [Alert("FlinkDaemonRestarting", {"host": host})]
    finally:
        monitored.root(host, "systemctl stop flink-falls; systemctl start flink-jobmanager")


@contextmanager
def target_is_not_listed(monitored: Monitored) -> Iterator[list[Alert]]:
    path = f"{targets.FOLDER}/targets/node.json"
    listed = monitored.root("mon-0", f"cat {path}")
    fewer = [entry for entry in json.loads(listed) if entry["labels"]["host"] != "zk-2"]
    try:
        monitored.lab.ssh("mon-0", f"sudo -n tee {path}", json.dumps(fewer))
        yield [Alert("MetricsMissing", {"role": "zookeeper"})]
    finally:
        monitored.lab.ssh("mon-0", f"sudo -n tee {path}", listed)


@contextmanager
def prometheus_refuses_its_rules(monitored: Monitored) -> Iterator[list[Alert]]:
    path = f"{targets.FOLDER}/rules/wrong.yaml"
    monitored.root("mon-0", f"echo wrong >{path}; systemctl reload flink-prometheus")
    try:
        yield [Alert("PrometheusNotHealthy", {"job": "prometheus"})]
    finally:
        monitored.root("mon-0", f"rm {path}; systemctl reload flink-prometheus")


@contextmanager
def receiver_refuses(monitored: Monitored) -> Iterator[list[Alert]]:
    """A second receiver does, of the alert that always fires."""
    monitored.receiver.refused.add(SECOND)
    try:
        yield [Alert("AlertsNotDelivered", {"integration": "webhook"})]
    finally:
        monitored.receiver.refused.discard(SECOND)


@contextmanager
def logs_are_refused(monitored: Monitored) -> Iterator[list[Alert]]:
    monitored.receiver.refused.add(LOGS)
    try:
        yield [Alert("LogsDropped")]
    finally:
        monitored.receiver.refused.discard(LOGS)


@contextmanager
def logs_are_not_sent(monitored: Monitored) -> Iterator[list[Alert]]:
    with stopped(monitored, "mon-0", "flink-logstore"):
        yield [Alert("LogsNotSent")]


@contextmanager
def declared_job_is_cancelled(monitored: Monitored) -> Iterator[list[Alert]]:
    jobs = monitored.cluster.rest.get("/jobs/overview")["jobs"]
    (known,) = (job for job in jobs if job["state"] == "RUNNING")
    monitored.cancel(known["jid"])
    try:
        yield [Alert("FlinkJobMissing")]
    finally:
        declared = monitored.cluster.overrides["flink:jobs"]["idle"]
        again = str(int(declared.get("restartNonce", "0")) + 1)
        monitored.up(CAUSED, jobs={"idle": {**declared, "restartNonce": again}})


@contextmanager
def certificate_expires(monitored: Monitored) -> Iterator[list[Alert]]:
    """The front door has one of somebody's own, which has been valid for 9 days, and is for one more."""
    certificate, key = made(["flink.example.com"], days=1)
    known = {**monitored.cluster.overrides}
    monitored.cluster.overrides.update({"flink:frontDoorCertificate": certificate, "flink:frontDoorKey": key})
    try:
        with shortened(CAUSED):
            # Not LabStack's: it trusts the authority of the stack, and there is none
            stack.Stack.up(monitored.cluster.stack)
        yield [Alert("FlinkCertificateExpiring", {"certificate": "front-door"})]
    finally:
        monitored.cluster.overrides.clear()
        monitored.cluster.overrides.update(known)
        monitored.up(CAUSED)


@contextmanager
def machine_is_troubled(monitored: Monitored) -> Iterator[list[Alert]]:
    """A virtual machine in place of a host: Prometheus reads the metrics of its node_exporter, at that host's address,
    with that host's certificate.
    """
    host, machine = "tm-1", monitored.lab.machine("tm-1")
    init = processes.init_of(monitored.lab.id, host)
    assert init
    causes = [
        Alert("HostClockSkew", {"host": host}),
        Alert("HostMemoryLow", {"host": host}),
        Alert("HostCpuBusy", {"host": host}),
    ]
    began = time.monotonic()
    answers = f'node_memory_MemTotal_bytes{{host="{host}"}} < {virtual_machine.MIB << 20}'

    def is_well() -> bool:
        # Not the host itself, which has more memory
        if not monitored.ask(answers):
            return False
        told = {monitored.receiver.state(alert, began) for alert in causes}
        return "firing" not in told and not {alert.name for alert in causes} & monitored.alerts_of(host)

    files = {path: machine.written(path) for path in (exporter.WEB, *exporter.IDENTITY)}
    with (
        virtual_machine.running(
            monitored.lab.id,
            init.pid,
            monitored.lab.dir / "guest",
            machine.written("/opt/nodeexporter/node_exporter"),
            f"--web.config.file={exporter.WEB}",
            files,
        ) as guest,
        stopped(monitored, host, exporter.UNIT),
        guest.forwarded(ports.number("node-metrics")),
    ):
        # What fires because of this machine ends here
        wait_for("a virtual machine with which nothing is wrong", BOUND, is_well)
        guest.trouble()
        yield causes
        guest.end_trouble()
        # Resolved, and not only gone with the virtual machine
        wait_for("the end of the trouble", BOUND, is_well)


ROUNDS: dict[str, list[Cause]] = {
    "hosts": [
        standby_is_stopped,
        front_door_is_stopped,
        zookeeper_server_is_stopped,
        host_is_off,
        logs_are_not_collected,
        disk_is_nearly_full,
        storage_is_stopped,
    ],
    "machine": [machine_is_troubled],
    "jobs": [job_fails_in_a_loop, checkpoints_fail, job_is_slow, heap_is_full],
    # Not both at once: a TaskManager that loses ZooKeeper while nobody leads may not hear of the next leader, and ends
    # itself only after five minutes (docs/runbooks/FlinkTaskManagerNotRegistered.md)
    "leaders": [nobody_leads],
    "quorum": [quorum_is_lost],
    "daemons": [leader_hangs, taskmanager_is_stopped],
    "restarts": [daemon_restarts_in_a_loop],
    "monitoring": [
        target_is_not_listed,
        prometheus_refuses_its_rules,
        receiver_refuses,
        logs_are_refused,
        logs_are_not_sent,
        taskmanager_is_not_registered,
        job_waits_for_slots,
    ],
    "declared": [declared_job_is_cancelled],
    "certificates": [certificate_expires],
}
"""What is caused at the same time."""


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_no_alert_fires_through_up_a_rollout_and_a_failover(monitored: Monitored, measured: Measured) -> None:
    began, new = time.monotonic(), not monitored.factor
    monitored.timed(HEALTHY)
    if new:
        measured(f"up of the monitored lab: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.0f}")
    quiet(monitored)
    # A setting of all daemons
    ran = monitored.up(HEALTHY, flinkConfig={"execution.checkpointing.interval": "6 s"})
    assert {"jm-0-config", "tm-1-config"} <= set(ran), ran
    monitored.lab.kill(monitored.cluster.leader(), "flink-jobmanager")
    monitored.wait_until_whole()
    quiet(monitored)
    assert monitored.receiver.names(began) - OUR_MACHINE == set()
    # This fires on a healthy cluster, so that its absence is noticed
    assert monitored.receiver.last(WATCHDOG) > began


def quiet(monitored: Monitored) -> None:
    """Wait until Prometheus knows of nothing that is about to fire."""
    wait_for("no alert that is pending", BOUND, lambda: not monitored.alerts("pending"))


@pytest.mark.exhaustive  # a lab of its own, and minutes
@pytest.mark.parametrize("name", ROUNDS)
def test_alerts_fire_by_their_cause_and_resolve_without_it(monitored: Monitored, name: str, measured: Measured) -> None:
    monitored.timed(RESTARTING if name == "restarts" else CAUSED)
    since = time.monotonic()
    with ExitStack() as causes:
        expected = [alert for cause in ROUNDS[name] for alert in causes.enter_context(cause(monitored))]
        caused = time.monotonic()
        told(monitored, expected, "firing", since)
        fired = time.monotonic()
    monitored.wait_until_whole()
    ended = time.monotonic()
    told(monitored, expected, "resolved", since)
    took = f"fired after {fired - caused:.0f} s, resolved after {time.monotonic() - ended:.0f} s"
    measured(f"alerts of {name}: {', '.join(sorted({alert.name for alert in expected}))}: {took}")
    wait_for("the end of all alerts", BOUND, lambda: not monitored.alerts("pending") | monitored.alerts("firing"))


def told(monitored: Monitored, expected: list[Alert], state: str, since: float) -> None:
    """Wait until the receiver was told so of all of these."""
    end = time.monotonic() + BOUND
    while missing := [alert for alert in expected if monitored.receiver.state(alert, since) != state]:
        assert time.monotonic() < end, (
            f"not {state}: {', '.join(map(str, missing))}; told: {sorted(monitored.receiver.names(since))}; "
            f"pending: {sorted(monitored.alerts('pending'))}, firing: {sorted(monitored.alerts('firing'))}"
        )
        time.sleep(0.5)  # between two looks


def test_docs_say_of_every_alert_by_what_it_was_caused() -> None:
    caused = {
        name for causes in ROUNDS.values() for cause in causes for name in ALERT.findall(inspect.getsource(cause))
    }
    text = (REPO / "docs/monitoring.md").read_text()
    said = {
        name
        for names in re.findall(r"^\| ([A-Z]\w+(?:, [A-Z]\w+)*) \| .+ \|$", text, re.MULTILINE)
        for name in names.split(", ")
    }
    groups = [group for file in rules.files().values() for group in yaml.safe_load(file)["groups"]]
    assert said == {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    # Its absence is a test of its own
    assert said == caused | {"Watchdog"}


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_a_dead_mans_switch_notices_that_alerting_is_dead_and_doctor_says_it_once(monitored: Monitored) -> None:
    monitored.timed(CAUSED)
    receiver = monitored.receiver
    wait_for("the alert that always fires", BOUND, lambda: receiver.last(WATCHDOG))
    with stopped(monitored, "mon-0", "flink-prometheus"):
        # It repeats every 10 s
        wait_for("silence", BOUND, lambda: time.monotonic() - receiver.last(WATCHDOG) > 30)
        code, output = finish(300, "doctor", "--name", NAME)
        assert code == 1 and output.count("flink-prometheus") == 1, output
    began = time.monotonic()
    wait_for("the alert that always fires", BOUND, lambda: receiver.last(WATCHDOG) > began)


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_a_job_that_has_ended_stays_visible_at_every_door_after_a_failover(monitored: Monitored) -> None:
    monitored.timed(CAUSED)
    job = monitored.run("late")
    wait_for("the job", BOUND, lambda: monitored.cluster.rest.get(f"/jobs/{job}")["state"] == "RUNNING")
    monitored.cancel(job)
    monitored.lab.kill(monitored.cluster.leader(), "flink-jobmanager")
    monitored.wait_until_whole()
    for url in monitored.cluster.urls:
        shown = Rest([url])
        ended = wait_for("the history", BOUND, lambda: _ended(shown).get(job))  # noqa: B023
        assert ended == "CANCELED"
        assert job not in {it["jid"] for it in shown.get("/jobs/overview")["jobs"]}, "Flink itself has forgotten it"
        assert shown.get(f"/history/jobs/{job}/checkpoints")


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_grafana_is_told_who_asks_at_every_door(monitored: Monitored) -> None:
    monitored.timed(CAUSED)
    for url in monitored.cluster.urls:
        shown = Rest([url]).get("/grafana/d/flink-cluster")
        assert (shown["user"], shown["role"]) == (front_door.USER, "Editor")
        assert "cluster.json" in shown["dashboards"]


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_a_job_reaches_what_is_its_own_users_beside_all_that_monitors_it(monitored: Monitored) -> None:
    monitored.timed(CAUSED)
    for host, unit in (("jm-0", "flink-jobmanager"), ("tm-0", "flink-taskmanager")):
        assert reach.beyond_its_own(monitored.lab, host, unit) == []


def _ended(rest: Rest) -> dict[str, str]:
    """State of the jobs that a HistoryServer shows."""
    return {job["jid"]: job["state"] for job in rest.get("/history/jobs/overview")["jobs"]}


@pytest.mark.exhaustive  # a lab of its own, and minutes
def test_destroy_leaves_nothing(monitored: Monitored) -> None:
    monitored.timed(CAUSED)
    monitored.cluster.stack.destroy()
    monitored.factor = 0
    after = snapshot.take(monitored.lab, monitored.lab.hosts)
    assert {name: snapshot.differences(monitored.before[name], found) for name, found in after.items()} == {
        name: [] for name in after
    }
