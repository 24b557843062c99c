"""A lab: this machine as a data center, with hosts, a network, an S3 server and a mirror of archives.

All of its state is in one directory, and all of its processes carry its id. So any number of labs (of any number of
clones) can exist at the same time, and a lab can always be removed completely, whatever happened to it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml

from lab import cloud_machines, image, loops, mirror, network, processes, storage, supervise
from lab.errors import LabError
from lab.hosts import ADMIN, BOOT_SECONDS, ROLES, LabHost, Machine, forget, forget_locks, make_key, plan
from lab.storage import S3
from stand_ins.builds import archives, programs
from toolbox import console, files, parallel
from toolbox.errors import ToolError
from toolbox.paths import REPO

DEFAULT_COUNTS = {"jobmanager": 2, "zookeeper": 3, "taskmanager": 2}
_SERVER_SECONDS = 90.0
_PROBE = r"""
systemctl list-units --all --plain --no-legend 'zookeeper*.service' 'flink-*.service' |
    awk '$1 !~ /^flink-(alive|jobs)\.service$/ || $3 == "failed" {print "unit", $1, $3}'
run=$(systemctl show --property=InvocationID --value flink-jobmanager.service)
if [ -n "$run" ]; then
    sudo -n timeout 5 journalctl --output=cat _SYSTEMD_INVOCATION_ID="$run" \
        | grep -oE '(granted|revoked) leadership' | tail -n 1
fi
"""
"""The script for `status` on a host: its units, and whether its JobManager was last granted or revoked leadership."""


@dataclass
class State:
    """The stored settings of a lab (lab.json)."""

    counts: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_COUNTS))
    subnet: str | None = None
    base: str | None = None
    ports: dict[str, int] = field(default_factory=dict)


def lab_id(name: str, repo: Path = REPO) -> str:
    """The id of a lab on this machine, derived from the clone and the lab's name."""
    return hashlib.sha256(f"{repo}/{name}".encode()).hexdigest()[:6]


def names() -> list[str]:
    """The labs of this clone: those with state on disk, and those in this machine's registry."""
    kept = {path.name for path in (REPO / ".lab").glob("*") if path.is_dir()}
    return sorted(kept | {record.name for record in network.records() if record.repo == str(REPO)})


class Lab:
    """The lab `name` of a clone. Nothing happens until a method is called; every method can be called again."""

    def __init__(self, name: str = "local", repo: Path = REPO) -> None:
        """`LabError` for an invalid name."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(
                f"{name!r} is not a valid name of a lab: expected lower-case letters, digits and hyphens, at most 31"
            )
        self.name = name
        self.repo = repo
        self.dir = repo / ".lab" / name
        self.id = lab_id(name, repo)
        self.private_key = self.dir / "keys" / "id_ed25519"

    # Stored settings

    def _state(self) -> State:
        path = self.dir / "lab.json"
        return State(**json.loads(path.read_text())) if path.exists() else State()

    def _save(self, state: State) -> None:
        files.write(self.dir / "lab.json", json.dumps(asdict(state), indent=2) + "\n")

    def exists(self) -> bool:
        """Whether it exists: `up` has chosen a network."""
        return self._state().subnet is not None

    def workers(self) -> int:
        """Its current number of workers; 0 before it was created."""
        return self._state().counts["taskmanager"] if self.exists() else 0

    def monitoring(self) -> int | None:
        """Its number of monitoring hosts; None if nobody has said how many."""
        return self._state().counts.get("monitoring")

    @property
    def network(self) -> network.Network:
        """Its network; `LabError` if there is no such lab."""
        subnet = self._state().subnet
        if subnet is None:
            known = ", ".join(names()) or "none"
            raise LabError(f"there is no lab {self.name!r} (existing: {known}); `python -m lab up` creates one")
        return network.Network(self.id, IPv4Network(subnet))

    @property
    def gateway(self) -> str:
        """This machine's address on the lab's network."""
        return self.network.gateway

    @property
    def hosts(self) -> list[LabHost]:
        """Its hosts, by role."""
        return plan(self.id, self.network, self._state().counts)

    @property
    def s3(self) -> S3:
        """Its S3 server."""
        access_key, secret_key = storage.credentials(self.dir / "s3")
        return S3(self._url("s3"), storage.REGION, storage.BUCKET, access_key, secret_key)

    @property
    def mirror_url(self) -> str:
        """The URL of the archives for hosts."""
        return self._url("mirror")

    def _url(self, server: str) -> str:
        return f"http://{self.gateway}:{self._state().ports[server]}"

    def host(self, host: LabHost | str) -> LabHost:
        """The host with that name; `LabError` with the existing names if there is none."""
        name = host if isinstance(host, str) else host.name
        found = next((known for known in self.hosts if known.name == name), None)
        if found is None:
            raise LabError(f"no host {name!r} in lab {self.name!r}; it has {' '.join(h.name for h in self.hosts)}")
        return found

    def machine(self, host: LabHost | str) -> Machine:
        """The host with that name, planned or launched, with its files on this machine."""
        name = host if isinstance(host, str) else host.name
        directory, base = self.dir / "hosts" / name, Path(self._state().base or "")
        if launch := cloud_machines.read(directory):
            return cloud_machines.LaunchedMachine(launch, self.id, self.network, directory, base)
        return Machine(self.host(host), self.id, self.network, directory, self.dir / "keys", base)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the lab: other commands that change it wait."""
        path = self.repo / ".lab" / f"{self.name}.lock"
        while True:
            try:
                path.parent.mkdir(exist_ok=True)
                lock = path.open("w")
            except (FileExistsError, FileNotFoundError):
                continue  # `down` of another lab has just removed the folder
            with lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    console.say("lab", f"another command is changing lab {self.name!r}: waiting for it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                    yield
                    return
                # `down` removed the file during the wait: a new file has the valid lock

    # Up

    def up(
        self,
        workers: int | None = None,
        jobmanagers: int | None = None,
        zookeepers: int | None = None,
        clients: int | None = None,
        monitoring: int | None = None,
        suite: str = image.SUITE,
    ) -> None:
        """Create what is missing, boot hosts that are off, remove hosts that are no longer expected.

        A number that is not given does not change (at first 2 workers, 2 JobManagers, 3 ZooKeepers, no client, no
        monitoring host). A new lab's hosts have the release `suite` of Debian.
        `LabError` names each host that failed to boot, with the end of its console.
        """
        if os.geteuid() != 0:
            raise LabError("the lab needs root, for namespaces, mounts and the bridge: run this as root or with sudo")
        self.repo.joinpath(".lab").mkdir(exist_ok=True)
        with self._alone():
            self.dir.mkdir(mode=0o700, exist_ok=True)
            for name in ("keys", "hosts", "logs", "s3"):
                (self.dir / name).mkdir(mode=0o700, exist_ok=True)
            make_key(self.private_key, f"lab-{self.name}")
            state = self._state()
            given = {
                "taskmanager": workers,
                "jobmanager": jobmanagers,
                "zookeeper": zookeepers,
                "client": clients,
                "monitoring": monitoring,
            }
            state.counts |= {role: count for role, count in given.items() if count is not None}
            new = not Path(f"/sys/class/net/fl-{self.id}").exists()
            self._connect(state)
            plan(self.id, self.network, state.counts)
            if not (state.base and Path(state.base).exists()):
                parts = parallel.run(
                    [
                        parallel.Task("image", partial(image.ensure, suite)),
                        parallel.Task("versitygw", programs.versitygw),
                    ]
                )
                state.base = str(parts["image"])
            self._save(state)
            self._remove_unwanted()
            self._describe()
            machines = [self.machine(host) for host in self.hosts]
            servers = [parallel.Task("s3", self._serve_s3), parallel.Task("mirror", self._serve_mirror)]
            boots = [parallel.Task(machine.host.name, partial(_boot, machine)) for machine in machines]
            off = [m.host.name for m in machines if not m.is_on()]
            if off:
                with console.step("hosts", f"booting {' '.join(off)}"):
                    results = parallel.run([*boots, *servers])
                    _raise_failures([results[task.name] for task in boots])
            else:
                results = parallel.run([*boots, *servers])
                _raise_failures([results[task.name] for task in boots])
            if new and machines:
                self._check_outside(machines[0])

    def _connect(self, state: State) -> None:
        """Create the network and choose ports on its gateway; running hosts keep their subnet."""
        made = network.up(self.id, self.name, self.repo, state.subnet, in_use=bool(processes.find(self.id)))
        state.subnet = str(made.subnet)
        for server, preferred in (("s3", storage.PORT), ("mirror", mirror.PORT)):
            if server not in state.ports:
                state.ports[server] = free_port(made.gateway, preferred, set(state.ports.values()))
        self._save(state)

    def _remove_unwanted(self) -> None:
        """Remove hosts that no longer belong to the lab."""
        expected = {host.name for host in self.hosts}
        for path in (self.dir / "hosts").iterdir():
            if path.name not in expected and not cloud_machines.read(path):
                role = next(role for role in ROLES if path.name.startswith(f"{role.prefix}-"))
                host = LabHost(path.name, role.name, "", f"{self.id}-{path.name}", role.cpus, role.memory_mib)
                Machine(host, self.id, self.network, path, self.dir / "keys", Path()).remove()
                console.say("hosts", f"removed {path.name}")

    def _describe(self) -> None:
        """Write the inventory and the known host keys; creates missing keys."""
        entries, known = [], ""
        for host in self.hosts:
            make_key(self.dir / "keys" / f"{host.name}_ed25519", host.name)
            machine = self.machine(host)
            known += machine.known_host()
            entry = {"name": host.name, "role": host.role, "address": host.address, "hostKey": machine.host_key}
            entries.append({**entry, "cpus": host.cpus, "memoryMiB": host.memory_mib})
        ssh = {"user": ADMIN, "privateKeyFile": str(self.private_key)}
        files.write(self.dir / "keys" / "known_hosts", known)
        files.write(self.dir / "inventory.yaml", yaml.safe_dump({"ssh": ssh, "hosts": entries}, sort_keys=False))

    def _serve_s3(self) -> None:
        directory = self.dir / "s3"
        argv = storage.command(programs.versitygw(), directory, self.gateway, self._state().ports["s3"])
        self.serve("s3", argv, storage.environment(directory), partial(storage.problem, self.s3))

    def _serve_mirror(self) -> None:
        argv = [sys.executable, "-m", "lab.mirror", self.gateway, str(self._state().ports["mirror"])]
        argv.append(str(archives.folder()))
        self.serve("mirror", argv, {"PYTHONPATH": str(REPO)}, partial(http_problem, self.mirror_url))

    def serve(self, name: str, argv: list[str], env: Mapping[str, str], problem: Callable[[], str | None]) -> None:
        """Start a server of the lab unless it runs, and wait until it has answered a real request; `down` stops it.

        `problem` returns a problem of the server, or None. `LabError` with the end of its log if the problem remains.
        """
        log = self.dir / "logs" / f"{name}.log"
        if not processes.find(self.id, name):
            processes.spawn(self.id, name, argv, log, env)
        deadline = time.monotonic() + _SERVER_SECONDS
        while (found := problem()) is not None:
            ended = not processes.find(self.id, name)
            if ended or time.monotonic() > deadline or parallel.stopping():
                state = "exited immediately" if ended else f"does not answer: {found}"
                end = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                raise LabError(f"the {name} server {state}\nThe end of {log}:\n{end}")
            time.sleep(0.1)

    def _check_outside(self, machine: Machine) -> None:
        """`LabError` if this machine can resolve an outside name but a host cannot."""
        name = image.outside_name()
        if not name or subprocess.run(["getent", "ahostsv4", name], capture_output=True).returncode:
            return  # this machine is offline itself, so its hosts need nothing from outside
        done = machine.ssh(["getent", "ahostsv4", name], timeout=30)
        if done.returncode:
            raise LabError(
                f"{machine.host.name} cannot resolve {name}, though this machine can. Either its name server "
                f"({' '.join(network.resolv_conf().split())}) is unreachable from a host, or "
                + network.outbound_problem()
            )

    def use_image(self, root: Path) -> None:
        """Hosts that are created from now on have this root directory below their own files."""
        with self._alone():
            state = self._state()
            state.base = str(root)
            self._save(state)

    # Down

    def down(self) -> None:
        """Remove everything: hosts, servers, network, state. Also for an incomplete lab."""
        if not (self.repo / ".lab").exists() and not self.repo.exists():
            self._remove()  # the clone no longer exists, so no command can be changing this lab
            return
        with self._alone():
            self._remove()
            (self.repo / ".lab" / f"{self.name}.lock").unlink(missing_ok=True)
        # Another lab may be in it, or `down` of another lab may have removed it meanwhile
        with suppress(OSError):
            (self.repo / ".lab").rmdir()

    def _remove(self) -> None:
        processes.kill(self.id)
        network.down(self.id)
        left = [Path("/run/systemd/nspawn/propagate"), *(path.parent for path in supervise.cgroups("any"))]
        for machine in {path.name for directory in left for path in directory.glob(f"{self.id}-*")}:
            forget(machine)
        forget_locks()
        loops.detach_below(self.dir)
        # At once, so that a command beside this one (`gc` of another lab) finds a whole stack or none
        state, gone = self.dir / "pulumi", self.dir / "pulumi.removed"
        if gone.exists():
            shutil.rmtree(gone)
        if state.exists():
            state.rename(gone)
        if self.dir.exists():
            shutil.rmtree(self.dir)

    # Single hosts

    def start(self, host: LabHost | str, timeout: float = BOOT_SECONDS) -> None:
        """Boot a host, unless it is on, and wait until it accepts logins; `LabError` with its console otherwise."""
        machine = self.machine(host)
        if not Path(f"/sys/class/net/{self.network.bridge}").exists():
            raise LabError(f"the network of lab {self.name!r} is down (has this machine rebooted?): `python -m lab up`")
        with self._alone():
            machine.boot()
            machine.wait_until_ready(timeout)

    def stop(self, host: LabHost | str) -> None:
        """Power a host off through its init and wait until it is off. Its disk stays."""
        with self._alone():
            self.machine(host).power_off()

    def mount(self, host: LabHost | str, folders: Mapping[str, Path]) -> None:
        """Give a host folders of this machine, by the paths at which it has them, instead of those that it had. It
        boots for that.
        """
        self.stop(host)
        self.machine(host).mount(folders)
        self.start(host)

    def crash(self, host: LabHost | str) -> None:
        """Cut a host's power: first its network, then all processes at once. Its disk stays."""
        with self._alone():
            self.machine(host).cut_off()

    def reboot(self, host: LabHost | str, timeout: float = BOOT_SECONDS) -> None:
        """Reboot a host through its init and wait until it is ready."""
        machine = self.machine(host)
        before = processes.init_of(self.id, machine.host.name)
        if before is None:
            raise LabError(f"{machine.host.name} is off: `python -m lab start {machine.host.name}`")
        machine.ssh("sudo -n systemctl reboot")
        deadline = time.monotonic() + timeout
        while (now := processes.init_of(self.id, machine.host.name)) is None or now.pid == before.pid:
            if time.monotonic() > deadline:
                raise LabError(f"{machine.host.name} did not reboot within {timeout:.0f} s\n{machine.console_end()}")
            time.sleep(0.1)
        machine.wait_until_ready(max(1.0, deadline - time.monotonic()))

    def ssh(
        self,
        host: LabHost | str,
        command: str | list[str],
        input: str | None = None,
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host as `admin`. With `check`, `LabError` if its status is not 0 (255: unreachable)."""
        done = self.machine(host).ssh(command, input, timeout)
        if check and done.returncode:
            name, text = self.host(host).name, command if isinstance(command, str) else " ".join(command)
            raise LabError(
                f"{name}: `{text}` exited with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done

    def kill(self, host: LabHost | str, unit: str, signal: str = "KILL") -> int:
        """Send a signal to the main process of a unit; returns its pid there. `LabError` if it does not run."""
        name = unit if "." in unit else f"{unit}.service"
        pid = self.ssh(host, ["systemctl", "show", "--property=MainPID", "--value", name]).stdout.strip()
        if not pid.isdecimal() or pid == "0":
            units = self._probe(self.host(host))["units"]
            known = ", ".join(f"{known} ({state})" for known, state in units.items()) or "none"
            raise LabError(f"{name} is not running on {self.host(host).name}; its zookeeper and flink units: {known}")
        self.ssh(host, ["sudo", "-n", "kill", "-s", signal, pid])
        return int(pid)

    def logs(self, host: LabHost | str, unit: str | None = None, lines: int = 200) -> str:
        """The last lines of a host's journal, or of one unit in it; also of a host that is off."""
        options = [f"--lines={lines}", *([f"--unit={unit}"] if unit else [])]
        return self.machine(host).journal(*options).stdout

    # Machines that are launched and terminated while it is up

    def launch(self, launch: cloud_machines.Launch) -> cloud_machines.LaunchedMachine:
        """Start a machine besides the planned hosts, and return at once; it exists until `terminate` or `down`.

        A machine that was off boots again with its data.
        """
        directory = self.dir / "hosts" / launch.name
        directory.mkdir(mode=0o700, exist_ok=True)
        cloud_machines.write(directory, launch)
        machine = cloud_machines.LaunchedMachine(
            launch, self.id, self.network, directory, Path(self._state().base or "")
        )
        machine.connect()
        machine.boot()
        return machine

    def terminate(self, name: str) -> None:
        """Stop a launched machine and remove its files; nothing happens if there is none with that name."""
        machine = self.machine(name) if cloud_machines.read(self.dir / "hosts" / name) else None
        if isinstance(machine, cloud_machines.LaunchedMachine):
            machine.disconnect()
            machine.remove()

    # Status

    def _probe(self, host: LabHost) -> dict[str, Any]:
        init = processes.init_of(self.id, host.name)
        entry: dict[str, Any] = {"name": host.name, "role": host.role, "address": host.address, "state": "off"}
        entry |= {"uptimeSeconds": round(init.uptime(), 1) if init else None, "units": {}, "leader": False}
        if init is None:
            return entry
        done = self.machine(host).ssh(_PROBE, timeout=15)
        entry["state"] = "on" if done.returncode == 0 else "unreachable"
        lines = [line.split() for line in done.stdout.splitlines()]
        entry["units"] = {line[1].removesuffix(".service"): line[2] for line in lines if line[0] == "unit"}
        running = entry["units"].get("flink-jobmanager") == "active"
        entry["leader"] = running and ["granted", "leadership"] in lines
        return entry

    def status(self) -> dict[str, Any]:
        """The status of the lab, as `python -m lab status --json` prints it; `LabError` if there is no such lab."""
        hosts = parallel.run([parallel.Task(host.name, partial(self._probe, host)) for host in self.hosts])
        problems = {"s3": partial(storage.problem, self.s3), "mirror": partial(http_problem, self.mirror_url)}
        servers = {}
        for name, problem in problems.items():
            reason = problem() if processes.find(self.id, name) else "not running"
            servers[name] = {"url": self._url(name), "state": "off" if reason else "on", "problem": reason}
        entries = [hosts[host.name] for host in self.hosts]
        return {
            "name": self.name,
            "id": self.id,
            "directory": str(self.dir),
            "subnet": str(self.network.subnet),
            "gateway": self.gateway,
            "hosts": entries,
            "leader": next((entry["name"] for entry in entries if entry["leader"]), None),
            **servers,
        }


def _boot(machine: Machine) -> ToolError | None:
    """Boot a host, or return the reason why it failed, so that the others still boot."""
    try:
        machine.boot()
        machine.wait_until_ready()
    except ToolError as error:
        return error
    return None


def _raise_failures(failures: list[ToolError | None]) -> None:
    if texts := [str(failure) for failure in failures if failure]:
        more = [text.splitlines()[0] for text in texts[2:]]  # the reason is likely to be the same
        raise LabError("\n\n".join([*texts[:2], *more]))


def free_port(address: str, preferred: int, taken: set[int]) -> int:
    """The first port from `preferred` on that is free at that address and at all addresses."""
    for port in range(preferred, preferred + 1000):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return port
    raise LabError(f"no port from {preferred} on is free at {address}")


def http_problem(url: str) -> str | None:
    """The problem of an HTTP server; None if it answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5):
            return None
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def port_problem(address: str, port: int) -> str | None:
    """The problem of a server that does not speak HTTP; None if it accepts connections."""
    try:
        with socket.create_connection((address, port), 5):
            return None
    except OSError as error:
        return str(error)
