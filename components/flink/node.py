"""What hosts of all roles have: the daemons' user, directories, a JDK if anything runs in it."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from .. import naming
from ..host import Host
from ..remote import script_text, shipped, step
from ..roles import ROLES, needed_mib
from ..scripts import CLEAN, FOLDER
from ..storage import Storage
from ..templates import render
from . import host_tool, local_disks, trusted
from .releases import Archive
from .settings import ClusterSettings

INSTALL_SECONDS = 1800
"""Enough for Flink's 600 MB at 400 KB/s. All that a host waits for fits the time limit of a job in CI, and the lifetime
of its credentials (a test compares them): a slow download ends with a message, and not with a killed engine."""


def probe(
    host: Host,
    settings: ClusterSettings,
    storage: Storage,
    identities: Mapping[str, str | int],
    opts: pulumi.ResourceOptions,
) -> remote.Command:
    """Inspect a host without changing it. `identities` are values of `encryption.probed`. The result contains the CPUs
    and memory for `machine`.
    """
    row = ROLES[host.role]
    web = [url for url in storage.servers if url.startswith("http")]
    releases = {name: getattr(settings, name).version for name in row.releases}
    if row.runs_flink:
        releases |= {backend.release.name: backend.release.version for backend in storage.backends if backend.release}
    text = script_text(
        host,
        "probe.sh",
        {
            "role": host.role.value,
            "needed_mib": needed_mib(host.role, settings),
            # A provider that creates machines knows their size
            "declared_mib": host.memory_mib or 0 if host.ready is None else 0,
            "address": host.address if host.ready is None and isinstance(host.address, str) else "",
            "firewall": "true" if settings.firewall else "false",
            "user": row.user,
            "releases": list(releases),
            "homes": [f"{name}-{version}" for name, version in releases.items()],
            # Launches are below /var/lib
            "executed": ["/opt", "/usr/local/lib", *(["/var/lib"] if row.daemon and row.daemon.script else [])],
            "storage": one_or_more(web) if row.uses_storage and web else "",
            **trusted.download_values(settings),
            **({"jobs_python": settings.python.version} if settings.python and "flink" in row.releases else {}),
            "jump": "true" if host.ssh.jump else "false",
            **identities,
        },
        uses=trusted.download_libraries(settings),
    )
    return step(host, "probe", text, seconds=360, before=_becomes_root(host), opts=opts)


def one_or_more(words: Sequence[str]) -> str | Sequence[str]:
    """For a script in which `"${name[@]}"` is all of them; one is a text."""
    return words[0] if len(words) == 1 else words


def _becomes_root(host: Host) -> str:
    """A command that says what is missing if sudo does not work: no script could."""
    expected = "expected sudo without a password and without a terminal (NOPASSWD, and no requiretty)"
    message = shlex.quote(f"{host.name}: user {host.ssh.user} cannot run commands as root: {expected}")
    return f"sudo -n true </dev/null || {{ echo {message} >&2; exit 1; }}"


@dataclass(frozen=True)
class Machine:
    """CPUs and memory of a host."""

    cpus: int
    memory_mib: int
    local_disks: int = 0
    """As in `Host`."""


def machine(host: Host, probed: remote.Command) -> pulumi.Output[Machine]:
    """CPUs and memory of a host: from its provider, so that a preview has them, or else from the probe."""
    if host.cpus and host.memory_mib:
        return pulumi.Output.from_input(Machine(host.cpus, host.memory_mib, host.local_disks))

    def found(text: str) -> Machine:
        facts = json.loads(text)
        return Machine(host.cpus or facts["cpus"], host.memory_mib or facts["memoryMiB"], host.local_disks)

    return probed.stdout.apply(found)


def install(
    host: Host,
    settings: ClusterSettings,
    storage: Storage,
    archive: Archive,
    check: str,
    opts: pulumi.ResourceOptions,
    script: str = "archive.sh",
    **values: str | Sequence[str],
) -> remote.Command:
    """Install a release on a host. `check` is a file that the release must contain."""
    copies = settings.archive_copies and ROLES[host.role].uses_storage
    uses = [*trusted.download_libraries(settings), "release.sh", "host_tool/unpack.py"]
    if copies:
        uses += ["copies.sh", "host_tool/presign.py"]
    text = script_text(
        host,
        script,
        {
            "name": archive.name,
            "version": archive.version,
            "url": archive.url,
            "checksum": archive.checksum,
            "mirror": archive.mirror,
            "mirror_checksum": archive.mirror_checksum,
            "check": check,
            **({} if archive.strip == 1 else {"strip": archive.strip}),
            **trusted.download_values(settings),
            **(_copies(storage) if copies else {}),
            **values,
        },
        uses=uses,
    )
    if copies:
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(storage.ready)))
    return step(host, archive.name, text, seconds=INSTALL_SECONDS, opts=opts)


def _copies(storage: Storage) -> dict[str, str]:
    """Values of the library `copies.sh`."""
    return {"copies": storage.copies_url, "copies_region": storage.at(storage.uri).signing_region}


@dataclass(frozen=True, kw_only=True)
class NodeArgs:
    """A host to prepare."""

    host: Host
    settings: ClusterSettings
    storage: Storage
    probes: Sequence[pulumi.Resource]
    """The probes of all hosts. No host is changed before all of them have passed."""
    absent: Sequence[str] = ()
    """Scripts, without `.sh`, of steps that a host of its role may have and this one has not: what they wrote goes."""


class Node(pulumi.ComponentResource):
    """A host ready for its daemon. After the step `prepared`, files of the daemon can be written. On a JobManager's
    host, `public_key` is the key of start-cluster.sh.
    """

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Node"), name, None, opts)
        host, row = args.host, ROLES[args.host.role]
        child = pulumi.ResourceOptions(parent=self, depends_on=list(args.probes))
        sysctl = render("sysctl.conf")
        # By the names that units use
        scripts = {"fingerprint": "fingerprint.sh"}
        if row.daemon and row.daemon.script:
            scripts["classes"] = "class_archive.sh"
        files = [
            *(shipped(f"{FOLDER}/{called}", script, mode="0755") for called, script in scripts.items()),
            *host_tool.files(row),
            shipped(f"{FOLDER}/{CLEAN}", CLEAN),
            shipped("/etc/sysctl.d/60-flink.conf", "config_templates/sysctl.conf"),
            # Also where needrestart is not installed: it may be later
            shipped("/etc/needrestart/conf.d/60-flink.conf", "config_templates/needrestart.conf"),
        ]
        values: Mapping[str, str | Sequence[str]] = {
            "user": row.user,
            "directories": row.directories,
            "shared_directories": row.shared_directories,
            "configuration": row.configuration,
            "logs_in": "true" if row.logs_in else "false",
            "absent": args.absent,
            "units": [other.unit for other in ROLES.values() if other.unit],
            "kernel": re.findall(r"^(\S+) =", sysctl, re.MULTILINE),
        }
        self.system = step(host, "system", script_text(host, "system.sh", values, files), opts=child)
        self.prepared = self.system if host.data_device is None else self._data_disk(host, host.data_device)
        if host.local_disks:
            self.prepared = self._local_disks(host)
        self.java = self.system
        if args.settings.java.name in row.releases:
            self.java = install(host, args.settings, args.storage, args.settings.java, "bin/java", child)
        self.public_key = self.system.stdout
        self.register_outputs({})

    def _data_disk(self, host: Host, device: pulumi.Input[str]) -> remote.Command:
        """Mount the disk that outlives the machine at the daemon's data directory."""
        row = ROLES[host.role]
        values = {"directory": row.data_directory, "user": row.user}
        stdin = pulumi.Output.from_input(device).apply(
            lambda path: script_text(host, "disk.sh", {"device": path, **values})
        )
        return step(host, "disk", stdin, opts=pulumi.ResourceOptions(parent=self, depends_on=self.system))

    def _local_disks(self, host: Host) -> remote.Command:
        """Mount the machine's own disks, now and whenever the daemon starts."""
        tool = shipped(local_disks.TOOL, "local_disks_tool.sh", mode="0755")
        values = {"tool": local_disks.TOOL, "user": ROLES[host.role].user}
        directories = local_disks.directories(host.local_disks)
        text = script_text(host, "local_disks.sh", {**values, "directories": directories}, [tool])
        return step(host, "local-disks", text, opts=pulumi.ResourceOptions(parent=self, depends_on=self.prepared))
