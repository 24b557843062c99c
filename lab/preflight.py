"""Checks this machine before a lab is created, and reports everything that is missing at once.

Missing Debian packages are installed. A registry is queried only if something must be downloaded from it, with its own
client as configured, all of them in parallel; with everything in the cache this takes no time.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from stand_ins.builds import archives, debian_packages, programs
from toolbox import console
from toolbox.errors import ToolError
from toolbox.parallel import command
from toolbox.paths import REPO, cache_dir

PYTHON = (3, 11)
PROGRAMS = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
"""The programs that the lab runs on this machine, and the Debian packages that contain them."""

_CACHE_GB, _LAB_GB = 4.0, 3.5
_GO_GB = 4.0
"""GB of Go's own caches while a program is built from its modules."""
MONITORING_GIB = 1.5
_ANSWER_SECONDS = 45.0
"""Maximum seconds for a registry's answer; Maven alone needs 5 s to start on a busy machine."""
_CAPABILITIES = {21: "CAP_SYS_ADMIN", 12: "CAP_NET_ADMIN"}


@dataclass(frozen=True)
class Finding:
    """A missing requirement, and what to do about it."""

    problem: str
    remedy: str


class PreflightError(LabError):
    """The message contains all findings."""


def memory_gib(workers: int, monitoring: int = 0) -> float:
    """GiB of memory of a working lab: two JobManagers and three ZooKeepers 3.5, each worker 2.25; a monitoring host,
    with what it runs on all others and the HistoryServers, MONITORING_GIB.
    """
    return 3.5 + 2.25 * workers + MONITORING_GIB * monitoring


# --- the machine itself


def _system() -> list[Finding]:
    release = Path("/etc/os-release")
    names = release.read_text() if release.exists() else ""
    if platform.system() != "Linux" or "debian" not in names or shutil.which("apt-get") is None:
        name = platform.system() if platform.system() != "Linux" else "this Linux is not Debian-like, it"
        return [Finding(f"the lab's hosts need Debian: {name} cannot start them", "use a Debian 12 machine")]
    return []


def _root() -> list[Finding]:
    if os.geteuid() != 0:
        return [Finding("not root, which namespaces, mounts and the bridge need", "run it as root, or with sudo")]
    status = Path("/proc/self/status").read_text()
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    if lacking := [name for bit, name in _CAPABILITIES.items() if not int(mask, 16) >> bit & 1]:
        return [
            Finding(
                f"root has no {' and no '.join(lacking)} here: this is a container without privileges",
                "use a virtual machine, or a container with --privileged",
            )
        ]
    return []


def _python() -> list[Finding]:
    if sys.version_info < PYTHON:
        found, expected = platform.python_version(), ".".join(map(str, PYTHON))
        return [Finding(f"Python is {found}, expected {expected} or newer", f"make .venv with python{expected}")]
    return []


def available_kib(meminfo: str) -> int:
    """What is free without swapping, by the text of /proc/meminfo; 0 if that does not say it."""
    return next((int(line.split()[1]) for line in meminfo.splitlines() if line.startswith("MemAvailable:")), 0)


def _memory(workers: int, monitoring: int, meminfo: str) -> list[Finding]:
    """`meminfo` is the text of /proc/meminfo."""
    free, needed = available_kib(meminfo) / 2**20, memory_gib(workers, monitoring)
    if free >= needed:
        return []
    fewer = [count for count in range(1, workers) if memory_gib(count, monitoring) <= free]
    remedy = "close something"
    if monitoring and memory_gib(workers) <= free:
        remedy += ", or leave monitoring out: --monitoring 0"
    elif fewer:
        remedy += f", or ask for {fewer[-1]} workers"
    else:
        remedy += ", or use a larger machine"
    what = f"{workers} workers" + (" with monitoring" if monitoring else "")
    return [Finding(f"{free:.1f} GiB of memory are free, a lab of {what} needs {needed:.1f}", remedy)]


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _disk(needs: dict[Path, float], free: Callable[[Path], float]) -> list[Finding]:
    """`needs` is GB by directory, `free` returns GB; directories on one file system need the sum."""
    by_device: dict[int, list[Path]] = {}
    for path in needs:
        by_device.setdefault(_existing(path).stat().st_dev, []).append(path)
    findings = []
    for paths in by_device.values():
        needed, there = sum(needs[path] for path in paths), free(_existing(paths[0]))
        if there < needed:
            names = " and ".join(str(path) for path in paths)
            remedy = "free some space, or move the cache with FLINK_LAB_CACHE=/a/directory"
            findings.append(Finding(f"{names}: {there:.1f} GB free, {needed:.1f} needed", remedy))
    return findings


def _free_gb(path: Path) -> float:
    return shutil.disk_usage(path).free / 1e9


# --- packages and registries


def missing_packages() -> list[str]:
    """Debian packages with missing programs."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})


def _apt() -> None:
    packages = missing_packages()
    if not packages:
        debian_packages.update()
        return
    with console.step("preflight", f"installing {' '.join(packages)} by apt-get") as step:
        debian_packages.install(packages, step.tell)


def _pip(work: Path) -> None:
    options = ["-q", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--retries", "0"]
    argv = [sys.executable, "-m", "pip", "download", *options, "--timeout", "10", "--no-deps", "-d", str(work)]
    command([*argv, "iniconfig"], timeout=_ANSWER_SECONDS)


def _go(work: Path) -> None:
    environment = {"GOMODCACHE": str(work), "GOFLAGS": "-modcacherw", "GONOSUMDB": "*", "GOTOOLCHAIN": "local"}
    argv = ["go", "mod", "download", "github.com/pkg/errors@v0.9.1"]
    command(argv, cwd=work, env=environment, timeout=_ANSWER_SECONDS)


def _maven(work: Path) -> None:
    bom = "<groupId>org.junit</groupId><artifactId>junit-bom</artifactId><version>5.10.0</version>"
    imported = f"<dependency>{bom}<type>pom</type><scope>import</scope></dependency>"
    names = "<groupId>a</groupId><artifactId>a</artifactId><version>1</version><packaging>pom</packaging>"
    managed = f"<dependencyManagement><dependencies>{imported}</dependencies></dependencyManagement>"
    (work / "pom.xml").write_text(f"<project><modelVersion>4.0.0</modelVersion>{names}{managed}</project>")
    argv = ["mvn", "-B", "-q", "-ntp", f"-Dmaven.repo.local={work / 'repository'}", "validate"]
    command(argv, cwd=work, timeout=_ANSWER_SECONDS)


@dataclass(frozen=True)
class Registry:
    """A package registry: how to query it, and where its client is configured."""

    name: str
    ask: Callable[[Path], None]
    settings: str


def needed_registries() -> list[Registry]:
    """The registries that something must be downloaded from, and whose client is installed."""
    absent, unbuilt = set(archives.missing()), set(programs.missing())
    has_go, has_maven = shutil.which("go") is not None, shutil.which("mvn") is not None
    no_image = not any((cache_dir() / "images").glob("debian12-*"))
    jars = bool(absent & {"flink", "zookeeper"})
    expected = [
        (
            bool(missing_packages()) or no_image or "java" in absent or (jars and not has_maven),
            Registry(
                "Debian's mirror", lambda _work: _apt(), "/etc/apt/sources.list*, `apt-config dump | grep -i proxy`"
            ),
        ),
        (
            "flink" in absent or (bool(unbuilt) and not has_go),
            Registry("the Python registry", _pip, "`pip config list`"),
        ),
        (bool(unbuilt) and has_go, Registry("the Go module registry", _go, "`go env GOPROXY`")),
        (jars and has_maven, Registry("the Maven registry", _maven, "~/.m2/settings.xml")),
    ]
    return [registry for is_wanted, registry in expected if is_wanted]


def _ask(registry: Registry) -> list[Finding]:
    try:
        with tempfile.TemporaryDirectory(prefix="flink-lab-") as work:
            registry.ask(Path(work))
    except ToolError as error:
        remedy = f"check the network and its settings: {registry.settings}"
        return [Finding(f"{registry.name} does not answer: {error}", remedy)]
    return []


def find(workers: int = 2, monitoring: int = 0, *, running: bool = False) -> list[Finding]:
    """Everything that is missing for a lab with `workers` workers and so many monitoring hosts; installs Debian
    packages if allowed.

    `running`: the lab is already up, so it has its memory and disk.
    """
    findings = [*_system(), *_root(), *_python()]
    if findings:  # without these neither apt nor anything else works
        packages = missing_packages()
        if packages:
            findings.append(Finding(f"not installed: {' '.join(packages)}", f"apt-get install {' '.join(packages)}"))
        return findings
    needs = {cache_dir(): _CACHE_GB} if programs.missing() or archives.missing() else {}
    if not running:
        needs[REPO / ".lab"] = _LAB_GB
        findings += _memory(workers, monitoring, Path("/proc/meminfo").read_text())
    if programs.missing():
        needs[Path.home()] = _GO_GB
    findings += _disk(needs, _free_gb)
    registries = needed_registries()
    if registries:
        names = ", ".join(registry.name for registry in registries)
        with console.step("preflight", f"asking {names}") as step, ThreadPoolExecutor() as pool:
            answers = [finding for found in pool.map(_ask, registries) for finding in found]
            step.result = f"{len(answers)} of {len(registries)} do not answer" if answers else "all answer"
            findings += answers
    return findings


def check(workers: int = 2, monitoring: int = 0, *, running: bool = False) -> None:
    """As `find`, but reports that nothing is missing, or raises `PreflightError` with all findings."""
    if findings := find(workers, monitoring, running=running):
        lines = [f"- {finding.problem}\n  What to do: {finding.remedy}" for finding in findings]
        raise PreflightError("\n".join(["this machine is not ready for a lab:", *lines]))
    console.say("preflight", f"this machine is ready for a lab of {workers} workers")
