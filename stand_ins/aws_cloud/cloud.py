"""The data center behind moto: this machine makes real, in a lab, what moto's API reports."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from types import TracebackType
from typing import Any

from lab import network, processes
from lab.cloud_machines import Launch, LaunchedMachine
from lab.errors import LabError
from lab.lab import Lab, free_port
from lab.storage import S3
from stand_ins.aws_cloud import api, dns, firewall, imds
from stand_ins.aws_cloud.api import Aws, Instance, Snapshot, Volume
from stand_ins.aws_cloud.known import PUBLIC
from stand_ins.aws_cloud.volumes import LOCAL, Volumes
from toolbox.paths import REPO

PORT = 7400
"""First port that is tried for moto."""
_PUBLIC_PREFIX = 26
"""Four data centers fit on a machine, with 62 public addresses each."""
_CHANGES_SECONDS = 2.0
"""Changes are noticed at once; this is the interval of checks for rebooted hosts."""
_PAUSE_SECONDS = 0.1
"""Requests come in bursts: the delay after one. It is also the interval of retries."""

log = logging.getLogger("cloud")


@dataclass(frozen=True)
class CloudHost:
    """A live instance, and its host in the lab."""

    instance: str
    name: str
    """The instance's tag Name."""
    host: str
    """Its name in the lab: `lab.machine(host)`, `lab.logs(host)`, `lab.crash(host)`."""
    private: str
    public: str
    """Empty if it has none."""


class Cloud:
    """A data center of one region on the hosts of a lab; a context manager, which removes all of it at the end.

    `endpoint` is the API of all services, for this machine and for hosts; `vpc_cidr` is a network for a VPC that does
    not overlap with this machine's networks.
    """

    def __init__(self, lab: Lab, region: str = "eu-central-1", public_prefix: int = _PUBLIC_PREFIX) -> None:
        self.lab = lab
        self.region = region
        self.vpc_cidr = ""
        self.endpoint = ""
        self.aws: Aws
        self.snapshot = Snapshot()
        self._public_prefix = public_prefix
        self._names: dict[str, str] = {}
        self._machines: dict[str, LaunchedMachine] = {}
        self._disks: dict[str, list[int]] = {}
        self._had_volumes = False
        self._applied = ""
        self._problem = ""
        self._ports = firewall.Ports(0, 0)
        self._stopping = threading.Event()
        self._threads: list[Any] = []
        self._log: logging.FileHandler | None = None
        self._looked = threading.Condition()
        self._rounds = 0

    # For callers

    @property
    def hosts(self) -> list[CloudHost]:
        """A host for each live instance, in the order of their launch."""
        snapshot = self.snapshot
        found = [(name, snapshot.instances.get(instance)) for instance, name in list(self._names.items())]
        return [
            CloudHost(instance.id, instance.name, name, instance.private, instance.public)
            for name, instance in found
            if instance and instance.lives
        ]

    @property
    def s3(self) -> S3:
        """Its S3, with an operator's permissions; `bucket` is empty."""
        return S3(self.endpoint, self.region, "", api.ACCESS_KEY, api.SECRET_KEY)

    @property
    def problem(self) -> str:
        """The problem of the last update; empty if there was none."""
        return self._problem

    def settle(self, timeout: float = 60) -> None:
        """Wait until moto's current state is real (hosts may still be booting); `LabError` with the problem if not."""
        deadline = time.monotonic() + timeout
        with self._looked:
            seen = self._rounds
            # The current update may have begun before the caller's last request
            while self._rounds < seen + 2 or self._problem:
                if not self._looked.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise LabError(f"the data center differs from moto's state after {timeout:.0f} s: {self._problem}")

    # What AWS does by itself

    def interrupt(self, instance: str) -> None:
        """Give a spot instance notice: AWS terminates it in two minutes, here the caller does. LabError for another."""
        when = (datetime.now(UTC) + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._notify(instance, "spot/instance-action", action="terminate", time=when)

    def recommend_rebalance(self, instance: str) -> None:
        """Tell a spot instance that it may be interrupted soon. LabError for another."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._notify(instance, "events/recommendations/rebalance", noticeTime=now)

    def calls(self) -> list[dict[str, Any]]:
        """The requests that EventBridge has sent: `method`, `url`, `headers`, `body`."""
        return list(json.loads(self._get("/lab/calls", 30)))

    def _notify(self, instance: str, path: str, **content: str) -> None:
        found = self.snapshot.instances.get(instance)
        if not (found and found.lives and found.spot):
            raise LabError(f"{instance} is not a running spot instance: AWS gives it no notice")
        self._metadata.notify(instance, path, **content)

    # On and off

    def __enter__(self) -> Cloud:
        """`start`."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """`stop`."""
        self.stop()

    def start(self) -> None:
        """Create an empty data center, in place of an earlier one."""
        self.lab.down()
        self.lab.up(workers=0, jobmanagers=0, zookeepers=0)
        self._open_log()
        gateway, directory = self.lab.gateway, self.lab.dir / "aws"
        directory.mkdir()
        self._volumes = Volumes(directory / "volumes")
        public = network.claim(self.lab.id, IPv4Network(PUBLIC), self._public_prefix)
        self.vpc_cidr = str(network.free(self.lab.id, 16))
        port = self._port(PORT)
        self.endpoint = f"http://{gateway}:{port}"
        argv = [sys.executable, "-m", "stand_ins.aws_cloud.moto_server", "--host", gateway, "--port", str(port)]
        argv += ["--public", str(public), "--directory", str(directory)]
        self.lab.serve("moto", argv, {"PYTHONPATH": str(REPO)}, self._moto_problem)
        self.aws = Aws(self.endpoint, self.region)
        account = self.aws.client("sts").get_caller_identity()["Account"]
        self._ports = firewall.Ports(self._port(port + 1), self._port(port + 2))
        self._metadata = imds.Metadata(self.aws, account)
        self._threads = [imds.serve(gateway, self._ports.metadata, self._metadata, self._instance_at)]
        self._threads += dns.serve(gateway, self._ports.resolver, lambda: self.snapshot, self.region)
        self._apply(api.read(self.aws))
        self._watcher = threading.Thread(target=self._watch, name="cloud", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Remove all of it; also after a failed start."""
        self._stopping.set()
        if (watcher := getattr(self, "_watcher", None)) and watcher.is_alive():
            watcher.join(30)
        for server in self._threads:
            _end(server)
        self._threads = []
        if self._log:
            log.removeHandler(self._log)
            self._log.close()
        self.lab.down()

    def _port(self, preferred: int) -> int:
        return free_port(self.lab.gateway, preferred, set())

    def _open_log(self) -> None:
        self._log = logging.FileHandler(self.lab.dir / "logs" / "cloud.log")
        self._log.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(self._log)
        log.setLevel(logging.INFO)
        log.propagate = False

    def _moto_problem(self) -> str | None:
        try:
            self._changes(-1, 0)
        except OSError as error:
            return str(error)
        return None

    # Watching

    def _changes(self, after: int, timeout: float) -> int:
        return int(self._get(f"/lab/changes?after={after}&timeout={timeout}", timeout + 30))

    def _get(self, path: str, seconds: float) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.endpoint}{path}", timeout=seconds) as said:
            text: bytes = said.read()
            return text

    def _watch(self) -> None:
        seen, settled = -1, False
        while not self._stopping.is_set():
            try:
                now = self._changes(seen, _CHANGES_SECONDS if settled else 0)
                settled = self._look(changed=now != seen)
                seen, problem = now, "" if settled else "something has to wait"
            except Exception as error:
                if self._stopping.is_set():
                    return
                settled, problem = False, f"{type(error).__name__}: {error}"
                log.error("%s", traceback.format_exc())
            with self._looked:
                self._problem = problem
                self._rounds += 1
                self._looked.notify_all()
            self._stopping.wait(_PAUSE_SECONDS)

    def _look(self, changed: bool) -> bool:
        """Read moto's state once and apply it; False if something has to wait."""
        return self._apply(api.read(self.aws) if changed else self.snapshot)

    def _apply(self, snapshot: Snapshot) -> bool:
        self.snapshot = snapshot
        for identity in list(self._names):
            if identity not in snapshot.instances or not snapshot.instances[identity].lives:
                self._end_host(identity, snapshot.instances.get(identity))
        self._set_rules(snapshot)  # first, so that no host is reachable that should not be
        for instance in snapshot.instances.values():
            if instance.lives and instance.id not in self._machines:
                self._launch(instance)
        volumes = {**snapshot.volumes, **self._instance_stores(snapshot)}
        if self._had_volumes or volumes:
            self._had_volumes = bool(volumes)
            inits = {name: process.pid for name, process in processes.inits(self.lab.id).items()}
            hosts = {instance: inits.get(machine.host.name) for instance, machine in self._machines.items()}
            return self._volumes.reconcile(volumes, hosts)
        return True

    # Making it real

    def _set_rules(self, snapshot: Snapshot) -> None:
        text = firewall.table(self.lab.network, self._ports, snapshot)
        if text != self._applied:
            network.run("nft", "-f", "-", stdin=text)
            self._applied = text

    def _instance_stores(self, snapshot: Snapshot) -> dict[str, Volume]:
        """The disks of machines that are on. Those of a stopped machine go: it starts elsewhere, with blank ones."""
        found = {}
        for instance in snapshot.instances.values():
            if not instance.lives:
                continue
            if instance.type not in self._disks:
                self._disks[instance.type] = api.instance_store(self.aws, instance.type)
            for number, gib in enumerate(self._disks[instance.type]):
                id = f"{LOCAL}{number}{instance.id.removeprefix('i-').upper()}"
                found[id] = Volume(id=id, gib=gib, instance=instance.id, device="")
        return found

    def _launch(self, instance: Instance) -> None:
        began = time.monotonic()
        cpus, memory = api.size(self.aws, instance.type)
        name = self._names.get(instance.id) or self._free_name()
        launch = Launch(
            name=name,
            instance_id=instance.id,
            address=instance.private,
            user_data=api.user_data(self.aws, instance.id),
            nameserver=firewall.RESOLVER,
            search=f"{self.region}.compute.internal",
            cpus=cpus,
            memory_mib=memory,
        )
        self._names[instance.id] = name
        self._machines[instance.id] = self.lab.launch(launch)
        took = time.monotonic() - began
        log.info("launched %s as %s at %s in %.2f s", instance.id, name, instance.private, took)

    def _free_name(self) -> str:
        taken = set(self._names.values())
        return next(name for number in range(1000) if (name := f"i-{number}") not in taken)

    def _end_host(self, instance: str, now: Instance | None) -> None:
        """Cut a host's power; if it was terminated, not only stopped, remove it with all its data."""
        machine = self._machines.pop(instance, None)
        if now and now.state in ("stopping", "stopped"):
            if machine:
                machine.cut_off()
                log.info("%s is %s", instance, now.state)
        else:
            self.lab.terminate(self._names.pop(instance))
            log.info("%s is %s", instance, now.state if now else "gone")

    def _instance_at(self, address: str) -> Instance | None:
        living = (each for each in self.snapshot.instances.values() if each.lives)
        return next((each for each in living if each.private == address), None)


def _end(server: Any) -> None:
    """Stop one of this process's servers, and free its port."""
    if hasattr(server, "stop"):
        server.stop()  # dnslib's
        server.server.server_close()
    else:
        server.shutdown()
        server.server_close()
