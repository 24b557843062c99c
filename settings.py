"""The whole configuration of a stack, read once and checked before anything is touched. Components never read config.

What keys there are, with their types and defaults, is written in one place: `config` in Pulumi.yaml. This module adds
what a schema cannot say. Every problem is reported, all at once, each with its key, what was found and what is
expected.
"""

import ipaddress
import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml

from components import naming, ports
from components.aws import declaration
from components.aws.declaration import AwsSettings
from components.existing import inventory
from components.existing.inventory import InventoryHost
from components.flink import failover, sizing
from components.host import Role
from components.problems import Problems

ROOT = Path(__file__).resolve().parent
PROJECT = "flink"
SECRET_KEY = "storageSecretKey"

DEFAULT_STORAGE_PLUGIN = "flink-s3-fs-hadoop"
"""The only one with which a FileSink is exactly-once over failures (docs/decisions/0016-storage-plugin.md)."""
STORAGE_PLUGINS = ("flink-s3-fs-native", "flink-s3-fs-presto", "flink-s3-fs-hadoop")

# What the program itself writes into config.yaml: an override would contradict the port table or the inventory.
OWNED_KEYS = re.compile(
    r"^(high-availability\..*|rest\.(address|bind-address|port|bind-port)|blob\.server\.port|heartbeat\..*"
    r"|metrics\.internal\.query-service\.port|metrics\.reporter\.prom\..*"
    r"|jobmanager\.(rpc\..*|bind-host|memory\.process\.size)"
    r"|taskmanager\.(rpc\..*|data\.port|host|bind-host|resource-id|memory\.process\.size|numberOfTaskSlots)"
    r"|s3\.(access-key|secret-key|endpoint|region|endpoint\.region|path-style-access|path\.style\.access)"
    r"|env\.(java\.home|java\.opts\.all|log\.dir|pid\.dir))$"
)
OWNED_ZOOKEEPER_KEYS = re.compile(
    r"^(dataDir|dataLogDir|clientPort.*|tickTime|initLimit|syncLimit|server\..*|admin\..*|4lw\..*)$"
)

# Keys that Flink 2.x ignores or refuses, or refuses beside what this program sets, with what to write instead.
REMOVED_KEYS = {
    "jobmanager.heap.size": "jobManagerMemory",
    "taskmanager.heap.size": "taskManagerMemory",
    "taskmanager.memory.heap.size": "taskmanager.memory.task.heap.size",
    "security.ssl.enabled": "security.ssl.internal.enabled and security.ssl.rest.enabled",
    "cluster.evenly-spread-out-slots": "taskmanager.load-balance.mode",
    "state.backend": "state.backend.type",
    "jobmanager.memory.flink.size": "jobManagerMemory, the size of the whole process",
    "taskmanager.memory.flink.size": "taskManagerMemory, the size of the whole process",
}

SHORTEST_PREFIX = {4: 8, 6: 16}
"""Of a network of operators, by the version of IP: 10.0.0.0/8 is a company's, anything larger is nobody's."""

PROVIDERS = ("existing", "aws")
ROLLOUTS = ("rolling", "parallel")
PROVIDER_KEYS = {
    **dict.fromkeys(("inventory", "firewall", "keepState", "storageAccessKey", "storageSecretKey"), "existing"),
    **dict.fromkeys(declaration.KEYS, "aws"),
}
"""Keys that mean something to one provider only."""

_CLUSTER_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_CHECKSUM = re.compile(r"^(sha512:[0-9a-f]{128}|sha256:[0-9a-f]{64})$")
_STORAGE_URI = re.compile(r"^s3a?://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=/-]+)?$")
_RELEASE = re.compile(r"^(\d+)\.(\d+)\.(\d+)$")
_JDK = re.compile(r"^(\d+)(\.\d+)*\+\d+(\.\d+)?$")


class ConfigError(pulumi.RunError):
    """The configuration is wrong; the message lists every problem. Pulumi shows it without a traceback."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A release for hosts to install: a .tar.gz with one directory at its top."""

    name: str
    version: str
    url: str
    """`{arch}` in it stands for the host's architecture as Adoptium writes it: x64 or aarch64."""
    checksum: str
    """`sha512:HEX`, `sha256:HEX`, or the URL of a file that begins with the digest (`sha512:URL`, `sha256:URL`)."""


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Where the state goes; `secret_key` is a secret Output, or None where the hosts have an identity of their own."""

    uri: str
    plugin: str
    endpoint: str
    region: str
    path_style: bool
    access_key: str
    secret_key: pulumi.Output[str] | None


@dataclass(frozen=True, kw_only=True)
class FlinkSettings:
    """What the Flink components need to know, whoever made the hosts."""

    cluster_id: str
    operator_cidrs: tuple[str, ...]
    firewall: bool
    timings: failover.Timings
    flink: Archive
    zookeeper: Archive
    java: Archive
    java_options: str
    jobmanager_mib: int
    taskmanager_mib: int | None
    """None: from the machine."""
    taskmanager_slots: int | None
    """None: one for each CPU of the machine."""
    zookeeper_heap_mib: int
    rollout: str
    """How TaskManagers restart when what they run changed, of ROLLOUTS."""
    max_unavailable: int
    """How many of them may be out of service at once."""
    repair: bool
    """Whether every step runs again in this `up`, for what somebody changed on the hosts."""
    common_config: Mapping[str, Any]
    jobmanager_config: Mapping[str, Any]
    taskmanager_config: Mapping[str, Any]
    zookeeper_config: Mapping[str, Any]
    ready_timeout_seconds: int
    keep_state: bool
    """Whether checkpoints and savepoints outlive the cluster."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A stack's whole configuration: hosts that are there already, or what to create on AWS."""

    hosts: tuple[InventoryHost, ...]
    aws: AwsSettings | None
    storage: StorageSettings
    flink: FlinkSettings


@cache
def schema() -> dict[str, dict[str, Any]]:
    """The keys of the configuration as Pulumi.yaml declares them: type, default, description."""
    declared: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return declared


def read() -> Settings:
    """Settings of the current stack. Raises ConfigError with every problem found."""
    raw = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    return load(
        raw,
        stack=pulumi.get_stack(),
        secret_key=pulumi.Config(PROJECT).get_secret(SECRET_KEY),
        secrets={key for key in schema() if pulumi.runtime.config.is_config_secret(f"{PROJECT}:{key}")},
    )


def load(
    raw: Mapping[str, str],
    *,
    stack: str,
    secret_key: pulumi.Output[str] | None = None,
    secrets: Collection[str] = (),
    root: Path = ROOT,
) -> Settings:
    """Settings from `namespace:key` → text as Pulumi hands them over, objects as JSON.

    `secrets` are the keys that were set as secrets. Reads the inventory and the private keys that it names; relative
    paths start at `root`. Raises ConfigError with every problem found.
    """
    problems = Problems()
    for key in sorted(set(secrets) - {SECRET_KEY}):
        problems.add(key, f"is a secret, and would be written where many can read it: only {SECRET_KEY} may be one")
    values = _values(raw, problems)
    # Pulumi.yaml cannot say so: the engine wants a value marked as a secret there to be set
    if values[SECRET_KEY] and SECRET_KEY not in secrets:
        problems.add(SECRET_KEY, f"is in plain text: expected `pulumi config set --secret {SECRET_KEY}`")
    on_aws = _on_aws(values, problems)
    storage = _storage(values, secret_key, _region(raw) if on_aws else "", problems)
    flink = _flink(values, stack, problems)
    hosts: tuple[InventoryHost, ...] = ()
    aws = None
    if on_aws:
        operators = flink.operator_cidrs
        # Security groups do it, and know machines that are yet to come
        flink = replace(flink, firewall=False, operator_cidrs=())
        aws = declaration.load(
            values,
            stack=stack,
            region=_region(raw),
            operator_cidrs=operators,
            cluster_id=flink.cluster_id,
            root=root,
            problems=problems,
        )
        _check_counts({role: (key, aws.groups[role].count) for role, key in declaration.COUNT_KEYS.items()}, problems)
    else:
        hosts = _hosts(values, root, problems)
        _check_roles(hosts, problems)
        _check_ssh_ports(hosts, flink, problems)
        _check_sizes(hosts, flink, problems)
    if problems.found:
        raise refused(stack, problems)
    return Settings(hosts=hosts, aws=aws, storage=storage, flink=flink)


def refused(stack: str, problems: Problems) -> ConfigError:
    """The error that says every problem."""
    count = f"{len(problems.found)} problem{'s' if len(problems.found) > 1 else ''}"
    listed = "\n".join(f"  - {problem}" for problem in problems.found)
    return ConfigError(f"The configuration of stack {stack} has {count}; nothing was touched:\n{listed}")


def _on_aws(values: Mapping[str, Any], problems: Problems) -> bool:
    """Whether hosts are created on AWS; keys that have no effect then, or only then, are problems."""
    provider = values["provider"]
    if provider not in PROVIDERS:
        problems.add("provider", f"{provider!r} is unknown: expected {' or '.join(PROVIDERS)}")
    for key, owner in sorted(PROVIDER_KEYS.items()):
        # The engine fills in the defaults, so whether somebody wrote a key can be seen only where it is another value
        if provider in PROVIDERS and owner != provider and values[key] != schema()[key]["default"]:
            problems.add(key, f"has no effect with provider {provider}: leave it out")
    return bool(provider == "aws")


def _region(raw: Mapping[str, str]) -> str:
    """The region as Pulumi's AWS provider finds it."""
    return raw.get("aws:region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def _values(raw: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """A value of the declared type for every key; unknown keys and wrong types are problems."""
    declared = schema()
    given = {key.removeprefix(f"{PROJECT}:"): text for key, text in raw.items() if key.startswith(f"{PROJECT}:")}
    for key in sorted(set(given) - set(declared)):
        near = [known for known in declared if known.lower() == key.lower()]
        problems.add(key, f"is not a key of this program{f'; meant {near[0]}?' if near else ''}")
    return {key: _typed(key, entry, given, problems) for key, entry in declared.items()}


def _typed(key: str, entry: Mapping[str, Any], given: Mapping[str, str], problems: Problems) -> Any:
    if key not in given or entry["type"] == "string":
        return given.get(key, entry["default"])
    try:
        value = json.loads(given[key])
    except ValueError:
        value = given[key]
    expected = {"integer": int, "boolean": bool, "array": list, "object": dict}[entry["type"]]
    if type(value) is not expected:
        problems.add(key, f"{given[key][:40]!r} has the wrong type: expected {entry['type']}")
        return entry["default"]
    return value


def _hosts(values: Mapping[str, Any], root: Path, problems: Problems) -> tuple[InventoryHost, ...]:
    """The inventory's hosts, of the TaskManagers only the first `workers`."""
    if not values["inventory"]:
        problems.add("inventory", "is missing: expected the path of a YAML file that lists the hosts")
        return ()
    hosts = inventory.load(root / Path(values["inventory"]).expanduser(), problems)
    taskmanagers = [host for host in hosts if host.role is Role.TASKMANAGER]
    workers = values["workers"] or len(taskmanagers)
    if not 0 <= workers <= len(taskmanagers):
        problems.add("workers", f"{workers} is out of range: the inventory has {len(taskmanagers)} TaskManagers")
    leaving = {host.name for host in taskmanagers[workers:]}
    return tuple(host for host in hosts if host.name not in leaving)


def _check_roles(hosts: Sequence[InventoryHost], problems: Problems) -> None:
    """The inventory must make a cluster, and each ZooKeeper server have an id of its own."""
    if not hosts:
        return  # the inventory could not be read, which is a problem already
    count = {role: sum(host.role is role for host in hosts) for role in Role}
    for role in (Role.JOBMANAGER, Role.TASKMANAGER):
        if not count[role]:
            problems.add("inventory", f"has no {role}: expected at least one")
    names = [host.name for host in hosts if host.role is Role.ZOOKEEPER]
    ids = [problems.catch("inventory", lambda name=name: naming.server_id(name), 0) for name in names]  # type: ignore[misc]
    if len(set(ids)) < len(ids):
        problems.add(
            "inventory",
            f"zookeeper names {', '.join(names)} end in the same number, which is the server's id",
        )
    _check_counts({role: ("inventory", count[role]) for role in Role}, problems)


def _check_counts(found: Mapping[Role, tuple[str, int]], problems: Problems) -> None:
    """Two JobManagers need an ensemble that can lose a server, and a single one has no use for it. `found` has, for
    each role, the key that says the count, and the count.
    """
    jobmanagers, (key, servers) = found[Role.JOBMANAGER][1], found[Role.ZOOKEEPER]
    if jobmanagers > 1 and not servers:
        problems.add(key, f"has {jobmanagers} JobManagers and no zookeeper: expected three for an election")
    elif servers and (servers < 3 or servers % 2 == 0):
        problems.add(
            key, f"has {servers} zookeeper: expected 3, 5 or 7, since only an odd ensemble gains from each server"
        )
    if servers and jobmanagers == 1:
        problems.add(
            found[Role.JOBMANAGER][0],
            "has an ensemble and a single jobmanager: expected a second one to take over, or no zookeeper",
        )


def _check_ssh_ports(hosts: Sequence[InventoryHost], flink: FlinkSettings, problems: Problems) -> None:
    """The host firewall lets SSH in on the port of the table; with sshd elsewhere it would lock us out."""
    for host in hosts:
        if flink.firewall and host.login.port != ports.number("ssh"):
            expected = f"expected {ports.number('ssh')}, or firewall: false"
            problems.add(f"inventory host {host.name} port", f"{host.login.port} is not in the port table: {expected}")


def _storage(
    values: Mapping[str, Any], secret_key: pulumi.Output[str] | None, region: str, problems: Problems
) -> StorageSettings:
    """`region` is that of the hosts, where AWS is to make them and a bucket; otherwise empty."""
    uri = values["storageUri"].rstrip("/")
    if not _STORAGE_URI.match(uri) and (uri or not region):
        problems.add("storageUri", f"{uri!r} is not a place in S3: expected s3://bucket/prefix")
    newer = _release(values["flinkVersion"]) >= (2, 3, 0)
    plugin = values["storagePlugin"] or DEFAULT_STORAGE_PLUGIN
    if plugin not in STORAGE_PLUGINS:
        problems.add("storagePlugin", f"{plugin!r} is unknown: expected {', '.join(STORAGE_PLUGINS)}")
    elif plugin == "flink-s3-fs-native" and not newer:
        problems.add(
            "storagePlugin",
            f"flink-s3-fs-native is not in Flink {values['flinkVersion']}: expected {DEFAULT_STORAGE_PLUGIN}",
        )
    endpoint = values["storageEndpoint"]
    if endpoint and not re.match(r"^https?://[^/\s]+/?$", endpoint):
        problems.add(
            "storageEndpoint", f"{endpoint!r} is not a server's URL: expected one such as http://10.0.0.5:9000"
        )
    for key in ("storageAccessKey", SECRET_KEY):
        if not re.match(r"^[\x21-\x7e]*$", values[key]) or re.search(r"['\\]", values[key]):
            problems.add(key, "has a blank, quote, backslash or character beyond ASCII: expected another key pair")
    has_secret = bool(values[SECRET_KEY])
    if bool(values["storageAccessKey"]) != has_secret:
        missing = "storageAccessKey" if has_secret else SECRET_KEY
        problems.add(missing, "is missing: expected both keys, or neither where the hosts have an instance profile")
    return StorageSettings(
        uri=uri, plugin=plugin, endpoint=endpoint.rstrip("/"), region=values["storageRegion"] or region or "us-east-1",
        path_style=values["storagePathStyle"], access_key=values["storageAccessKey"],
        secret_key=secret_key if has_secret else None,
    )  # fmt: skip


def _flink(values: Mapping[str, Any], stack: str, problems: Problems) -> FlinkSettings:
    cluster_id = values["clusterId"] or stack
    if not _CLUSTER_ID.match(cluster_id):
        problems.add("clusterId", f"{cluster_id!r} is not a name: expected letters, digits, . _ and -, up to 100")
    if not 10 <= values["readyTimeoutSeconds"] <= 3600:
        problems.add("readyTimeoutSeconds", f"{values['readyTimeoutSeconds']} is out of range: expected 10 to 3600")
    if values["rollout"] not in ROLLOUTS:
        problems.add("rollout", f"{values['rollout']!r} is unknown: expected {' or '.join(ROLLOUTS)}")
    if not 1 <= values["maxUnavailable"] <= 1000:
        problems.add("maxUnavailable", f"{values['maxUnavailable']} is out of range: expected 1 to 1000")
    if values["taskManagerSlots"] < 0:
        problems.add("taskManagerSlots", f"{values['taskManagerSlots']} is out of range: expected 0 or more")
    if re.search(r"[\n'\"\\`$%]", values["javaOptions"]):
        problems.add(
            "javaOptions", "has a quote, backslash, $, % or line break, which Flink's scripts or systemd expand"
        )

    def memory(key: str, least: int) -> int:
        size = problems.catch(key, lambda: sizing.mib(values[key]), least)
        if size < least:
            problems.add(key, f"{values[key]} is too little: expected {least}m or more")
        return size

    owned = {
        key: _config(key, values, OWNED_KEYS, problems)
        for key in ("flinkConfig", "jobManagerConfig", "taskManagerConfig")
    }
    return FlinkSettings(
        cluster_id=cluster_id,
        operator_cidrs=_cidrs(values, problems),
        firewall=values["firewall"],
        timings=problems.catch(
            "failoverSeconds", lambda: failover.timings(values["failoverSeconds"]), failover.timings(15)
        ),
        flink=_archive("flink", values, problems),
        zookeeper=_archive("zookeeper", values, problems),
        java=_archive("java", values, problems),
        java_options=values["javaOptions"],
        jobmanager_mib=memory("jobManagerMemory", sizing.JOBMANAGER_MINIMUM_MIB),
        taskmanager_mib=memory("taskManagerMemory", sizing.TASKMANAGER_MINIMUM_MIB)
        if values["taskManagerMemory"]
        else None,
        taskmanager_slots=values["taskManagerSlots"] or None,
        zookeeper_heap_mib=memory("zookeeperHeap", 64),
        rollout=values["rollout"],
        max_unavailable=values["maxUnavailable"],
        repair=values["repair"],
        common_config=owned["flinkConfig"],
        jobmanager_config=owned["jobManagerConfig"],
        taskmanager_config=owned["taskManagerConfig"],
        zookeeper_config=_config("zookeeperConfig", values, OWNED_ZOOKEEPER_KEYS, problems),
        ready_timeout_seconds=values["readyTimeoutSeconds"],
        keep_state=values["keepState"],
    )


def _cidrs(values: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    good = []
    for text in values["operatorCidrs"]:
        if text == declaration.OWN_ADDRESS and values["provider"] == "aws":
            good.append(text)
            continue
        try:
            network = ipaddress.ip_network(text if isinstance(text, str) else "")
        except ValueError:
            problems.add("operatorCidrs", f"{text!r} is not a network: expected one such as 198.51.100.0/24")
            continue
        # Two halves are a whole, too; and nobody's operators are in so many places
        if network.prefixlen < SHORTEST_PREFIX[network.version]:
            what = "the whole internet" if network.prefixlen == 0 else "a large part of the internet"
            problems.add("operatorCidrs", f"{text} is {what}: expected the networks of your operators")
        good.append(str(network))
    if not values["operatorCidrs"]:
        problems.add("operatorCidrs", "is missing: expected the networks that may reach SSH and the web UI")
    return tuple(sorted(good))


def _release(text: str) -> tuple[int, ...]:
    match = _RELEASE.match(text)
    return tuple(int(part) for part in match.groups()) if match else ()


def _archive(name: str, values: Mapping[str, Any], problems: Problems) -> Archive:
    """The archive `name` (java, flink, zookeeper): its official place unless the configuration names another."""
    version, checksum = values[f"{name}Version"], values[f"{name}Checksum"]
    default, digest = _official(name, version, problems)
    url = values[f"{name}Url"] or default
    if not re.match(r"^https?://\S+$", url):
        problems.add(f"{name}Url", f"{url!r} is not a URL: expected http:// or https://")
    if checksum and not _CHECKSUM.match(checksum):
        problems.add(
            f"{name}Checksum",
            f"{checksum[:40]!r} is not a checksum: expected sha512: or sha256: and the hex digest",
        )
    return Archive(name=name, version=version, url=url, checksum=checksum or f"{digest[0]}:{url}{digest[1]}")


def _official(name: str, version: str, problems: Problems) -> tuple[str, tuple[str, str]]:
    """URL of a release where its project publishes it, and the kind and suffix of the checksum file beside it."""
    key = f"{name}Version"
    if name == "java":
        match = _JDK.match(version)
        if not match or match[1] not in ("11", "17", "21"):
            problems.add(
                key,
                f"{version!r} is not a JDK that Flink 2.x runs on: expected 11, 17 or 21 with a build, as 17.0.15+6",
            )
            return "https://invalid", ("sha256", "")
        release, file = version.replace("+", "%2B"), version.replace("+", "_")
        base = f"https://github.com/adoptium/temurin{match[1]}-binaries/releases/download/jdk-{release}"
        return f"{base}/OpenJDK{match[1]}U-jdk_{{arch}}_linux_hotspot_{file}.tar.gz", (
            "sha256",
            ".sha256.txt",
        )
    least = (2, 2, 0) if name == "flink" else (3, 8, 0)
    if _release(version) < least:
        expected = ".".join(str(part) for part in least)
        problems.add(
            key,
            f"{version!r} cannot be used: expected a release such as {schema()[key]['default']}, {expected} or newer",
        )
    if name == "flink":
        path = f"flink/flink-{version}/flink-{version}-bin-scala_2.12.tgz"
    else:
        path = f"zookeeper/zookeeper-{version}/apache-zookeeper-{version}-bin.tar.gz"
    return f"https://archive.apache.org/dist/{path}", ("sha512", ".sha512")


def _config(key: str, values: Mapping[str, Any], owned: re.Pattern[str], problems: Problems) -> dict[str, Any]:
    """Settings for a file of Flink's or ZooKeeper's, flattened to dotted keys; what the program owns is refused."""
    flat = dict(_flatten(values[key]))
    for name, value in flat.items():
        if name in REMOVED_KEYS:
            problems.add(key, f"{name} cannot be used here: expected {REMOVED_KEYS[name]}")
        elif re.search(r"(?i)password|secret|access[.-]?key", name):
            problems.add(key, f"{name} would be in plain text in the state and on the hosts: leave it out")
        elif owned.match(name):
            problems.add(key, f"{name} is set by this program (see the table of keys in README): leave it out")
        elif value is None or (isinstance(value, str) and "\n" in value):
            problems.add(key, f"{name} has no value that fits on a line")
    return flat


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def _check_sizes(hosts: Sequence[InventoryHost], flink: FlinkSettings, problems: Problems) -> None:
    """What a daemon is to have must fit its machine, where the inventory says what the machine has."""
    asked: dict[Role, tuple[str, Callable[[int], int]]] = {
        Role.JOBMANAGER: ("jobManagerMemory", lambda machine: flink.jobmanager_mib),
        Role.TASKMANAGER: (
            "taskManagerMemory",
            lambda machine: flink.taskmanager_mib or sizing.taskmanager_mib(machine),
        ),
        Role.ZOOKEEPER: ("zookeeperHeap", lambda machine: flink.zookeeper_heap_mib),
    }
    for host in hosts:
        if host.memory_mib is None:
            continue  # the host itself checks, before it is changed (host_scripts/probe.sh)
        key, size = asked[host.role]
        expected, free = size(host.memory_mib), sizing.available(host.memory_mib)
        if expected > free:
            problems.add(
                key,
                f"{expected}m does not fit {host.name}, which has {host.memory_mib} MiB: expected {free}m or less",
            )
        elif host.role is Role.TASKMANAGER and expected < sizing.TASKMANAGER_MINIMUM_MIB:
            least = sizing.TASKMANAGER_MINIMUM_MIB
            problems.add(key, f"{host.name} has {host.memory_mib} MiB, leaving {expected}m: expected {least}m or more")
