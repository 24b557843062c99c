"""The archives that the hosts install: Flink, ZooKeeper, a JDK, from their projects or from the registries.

Each project's own archive is preferred, and verified with the project's published checksum. If its site does not
answer, the archive is built from package registries: Flink from its Python wheels and Maven, ZooKeeper from Maven, the
JDK from Debian. Their files are verified with `stand_ins/builds/pins.toml`.

`ensure` provides what a lab installs; `earlier_flink` and `later_java` what a change of versions also needs.
"""

import json
import platform
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from gzip import GzipFile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stand_ins.builds import (
    debian_packages,
    fetch,
    flink_storages,
    jdk,
    maven_jars,
    programs,
    python_packages,
    zookeeper_metrics,
)
from stand_ins.builds.fetch import FetchError
from toolbox import console
from toolbox.parallel import Task, run
from toolbox.paths import cache_dir

FLINK = "2.3.0"
EARLIER_FLINK = "2.2.0"
PROMETHEUS = {"prometheus": "2.42.0", "alertmanager": "0.25.0", "nodeexporter": "1.5.0"}
"""Those of Debian 12."""
ZOOKEEPER = "3.9.5"
_RECIPE = 2
"""Increased when this module creates something else from the same inputs, so that archives are rebuilt."""

_HERE = Path(__file__).parent
_INPUTS = (_HERE / "pins.toml", *sorted((_HERE / "maven").glob("*.xml")))


@dataclass(frozen=True)
class Archive:
    """A .tar.gz: its version, path, digest and origin."""

    version: str
    path: Path
    sha512: str
    origin: str


@dataclass(frozen=True)
class Archives:
    """The archives that hosts install."""

    flink: Archive
    zookeeper: Archive
    java: Archive


def folder() -> Path:
    """The folder of the archives, which the lab's mirror serves."""
    path = cache_dir() / "archives"
    path.mkdir(exist_ok=True)
    return path


def pack(tree: Path, to: Path, *, bare: bool = False) -> None:
    """Pack `tree`, with its name as the only top-level directory, or `bare`, without one. The same files always give
    the same bytes.

    Without compression: the jars are compressed already, and the hosts are on this machine, so compressing would cost
    more than it saves.
    """

    def same_everywhere(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = jdk.EPOCH
        executable = entry.isdir() or entry.mode & 0o100
        entry.mode = 0o777 if entry.issym() else 0o755 if executable else 0o644
        return entry

    with (
        to.open("wb") as file,
        GzipFile("", "wb", compresslevel=0, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        top = tree if bare else tree.parent
        for path in [*([] if bare else [tree]), *sorted(tree.rglob("*"))]:
            archive.add(path, str(path.relative_to(top)), recursive=False, filter=same_everywhere)


# --- from the projects' own sites


@dataclass(frozen=True)
class Source:
    """A file on a project's site, and the digest that the project publishes for it."""

    version: str
    url: str
    algorithm: str
    digest: str


def _apache(version: str, path: str) -> Source:
    """A release on Apache's mirrors, or in its archive of all releases (apache.org/info/verification)."""
    refusals = []
    for files, checksums in (
        ("https://dlcdn.apache.org", "https://downloads.apache.org"),
        ("https://archive.apache.org/dist", "https://archive.apache.org/dist"),
    ):
        try:
            published = fetch.get(f"{checksums}/{path}.sha512").decode(errors="replace").split()
        except FetchError as error:
            refusals.append(str(error))
            continue
        if published:
            return Source(version, f"{files}/{path}", "sha512", published[0].lower())
    raise FetchError("; ".join(dict.fromkeys(refusals)) or "its checksum file is empty")


def _temurin(version: str = "") -> Source:
    """A Temurin JDK: the newest of our major version, from Adoptium's API (api.adoptium.net/q/swagger-ui)."""
    api = "https://api.adoptium.net/v3/assets"
    machine = {"x86_64": "x64"}.get(platform.machine(), platform.machine())
    query = f"architecture={machine}&image_type=jdk&os=linux"
    try:
        if version:
            release = json.loads(fetch.get(f"{api}/release_name/eclipse/jdk-{quote(version)}?{query}"))
            package = release["binaries"][0]["package"]
        else:
            release = json.loads(fetch.get(f"{api}/latest/{jdk.MAJOR}/hotspot?{query}&vendor=eclipse"))[0]
            package = release["binary"]["package"]
            version = release["version"]["openjdk_version"].removesuffix("-LTS")
        return Source(version, package["link"], "sha256", package["checksum"])
    except (ValueError, LookupError, TypeError) as error:
        raise FetchError(f"Adoptium's API answered something unexpected: {error!r}") from error


# --- from the package registries


def _copy_jars(release: str, to: Path) -> None:
    """Copy with Maven what the release's file in `stand_ins/builds/maven` lists, and check every jar."""
    copied = maven_jars.copied(_HERE / f"maven/{release}.xml", to, f"jars of {release}")
    pinned = set(fetch.pins()["maven"][release].items())
    found = set(copied.items())
    if found != pinned:
        lines = [f'unpinned: "{name}" = "{value}"' for name, value in sorted(found - pinned)]
        lines += [f'not found: "{name}" = "{value}"' for name, value in sorted(pinned - found)]
        raise FetchError("\n".join(["files from Maven differ from stand_ins/builds/pins.toml:", *lines]))


def _maven_jars(release: str, work: Path) -> list[Path]:
    """The jars of a release, such as `flink-2.3.0`, that come from Maven."""
    to = work / "jars"
    _copy_jars(release, to)
    return sorted(to.glob("*.jar"))


def unzip(wheel: Path, prefix: str, to: Path) -> None:
    """Unpack the folder `prefix` of a wheel into `to`, with executable bits, which zipfile drops.

    `ValueError` if a file would land outside `to`.
    """
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.filename.startswith(f"{prefix}/") and not entry.is_dir():
                path = to / entry.filename.removeprefix(f"{prefix}/")
                if not path.resolve().is_relative_to(to.resolve()):
                    raise ValueError(f"{wheel.name}: {entry.filename} would land outside {to}")
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                path.chmod(0o755 if entry.external_attr >> 16 & 0o100 else 0o644)


def _build_flink(version: str, work: Path) -> Path:
    """Flink's distribution as in its archive, except for the Java examples and some file systems."""
    wheels = [f"apache-flink=={version}", f"apache-flink-libraries=={version}"]
    parts = run(
        [
            Task("wheels", lambda: python_packages.download(wheels, work / "wheels")),
            Task("jars", lambda: _maven_jars(f"flink-{version}", work)),
        ]
    )
    home = work / f"flink-{version}"
    for wheel in parts["wheels"]:
        for name in ("bin", "conf", "lib", "opt", "plugins", "licenses", "log"):
            unzip(wheel, f"pyflink/{name}", home / name)
        unzip(wheel, "pyflink/examples", home / "examples/python")
        unzip(wheel, f"apache_flink_libraries-{version}.dist-info/licenses", home)
    for jar in parts["jars"]:
        shutil.copyfile(jar, home / "opt" / jar.name)
    return home


def _build_zookeeper(work: Path) -> Path:
    """ZooKeeper's jars as in its archive, and the logging configuration, without its scripts."""
    home = work / f"apache-zookeeper-{ZOOKEEPER}-bin"
    for name in ("lib", "conf"):
        (home / name).mkdir(parents=True)
    for jar in _maven_jars(f"zookeeper-{ZOOKEEPER}", work):
        shutil.copyfile(jar, home / "lib" / jar.name)
    shutil.copyfile(_HERE / "maven/logback.xml", home / "conf/logback.xml")
    return home


def _build_caddy(work: Path) -> Path:
    """Caddy's program, as in its archive, which has a licence and a README besides."""
    home = work / "caddy"
    home.mkdir()
    shutil.copyfile(programs.caddy(), home / "caddy")
    (home / "caddy").chmod(0o755)
    return home


def _build_oauth2proxy(work: Path) -> Path:
    """The program of oauth2-proxy, as in its archive."""
    home = work / f"oauth2-proxy-v{programs.OAUTH2_PROXY}.linux-{_go_machine()}"
    home.mkdir()
    shutil.copyfile(programs.oauth2_proxy(), home / "oauth2-proxy")
    (home / "oauth2-proxy").chmod(0o755)
    return home


def _build_otelcol(work: Path) -> Path:
    """The agent of logs, as in its archive."""
    return _alone(work, programs.otelcol(), "otelcol-contrib")


def _build_victorialogs(work: Path) -> Path:
    """The store of logs, as in its archive."""
    return _alone(work, programs.victorialogs(), "victoria-logs-prod")


def _alone(work: Path, program: Path, name: str) -> Path:
    """A tree with a program alone, of this name."""
    home = work / name / "tree"
    home.mkdir(parents=True)
    shutil.copyfile(program, home / name)
    (home / name).chmod(0o755)
    return home


_SHARE = "/usr/share/prometheus"


def _build_prometheus(work: Path) -> Path:
    """Prometheus from Debian, as in its archive. Debian's program looks for its pages in another place."""
    home = work / f"prometheus-{PROMETHEUS['prometheus']}.linux-{_go_machine()}"
    debian_packages.unpack(["prometheus"], work / "debian")
    shutil.copytree(work / f"debian{_SHARE}/web", home / "web", symlinks=False, ignore_dangling_symlinks=True)
    _moved(work / "debian/usr/bin/prometheus", home / "prometheus", f"{_SHARE}/web/", "/opt/prometheus/web/")
    shutil.copyfile(work / "debian/usr/bin/promtool", home / "promtool")
    (home / "promtool").chmod(0o755)
    return home


def _moved(program: Path, to: Path, place: str, new: str) -> None:
    """Copy a program that looks for files in `place`, so that it looks for them in `new`: with more slashes, both are
    of the same length.
    """
    found = program.read_bytes()
    if place.encode() not in found:
        raise FetchError(f"{program.name} from Debian does not contain {place}")
    to.write_bytes(found.replace(place.encode(), new.ljust(len(place), "/").encode()))
    to.chmod(0o755)


def _build_alertmanager(work: Path) -> Path:
    """Alertmanager from Debian, as in its archive, and the templates that Debian's program has beside it."""
    home = work / f"alertmanager-{PROMETHEUS['alertmanager']}.linux-{_go_machine()}"
    home.mkdir()
    debian_packages.unpack(["prometheus-alertmanager"], work / "debian")
    place = f"{_SHARE}/alertmanager"
    _moved(work / "debian/usr/bin/prometheus-alertmanager", home / "alertmanager", place, "/opt/alertmanager/")
    shutil.copyfile(work / "debian/usr/bin/amtool", home / "amtool")
    (home / "amtool").chmod(0o755)
    for template in (work / f"debian{place}").glob("*.tmpl"):
        shutil.copyfile(template, home / template.name)
    return home


def _build_nodeexporter(work: Path) -> Path:
    """node_exporter from Debian, as in its archive."""
    home = work / f"node_exporter-{PROMETHEUS['nodeexporter']}.linux-{_go_machine()}"
    home.mkdir()
    debian_packages.unpack(["prometheus-node-exporter"], work / "debian")
    shutil.copyfile(work / "debian/usr/bin/prometheus-node-exporter", home / "node_exporter")
    (home / "node_exporter").chmod(0o755)
    return home


def _build_zookeeper_metrics(work: Path) -> Path:
    """ZooKeeper with the jars of its provider of metrics, which are in its own archive, too: also in a lab without a
    monitoring host, which may get one later.
    """
    home = work / f"apache-zookeeper-{ZOOKEEPER}-bin"
    home.mkdir()
    bare = _zookeeper("zookeeper", _build_zookeeper, "apache-zookeeper-{version}-bin.tar.gz")
    with tarfile.open(_ensure(bare).path) as archive:
        archive.extractall(work, filter="data")
    for jar in zookeeper_metrics.jars(work / "metrics"):
        if not (home / "lib" / jar.name).exists():
            shutil.copyfile(jar, home / "lib" / jar.name)
    return home


def _build_flink_storages(work: Path) -> Path:
    """The lab's Flink, with the file systems of further storages."""
    home = work / f"flink-{FLINK}"
    with tarfile.open(ensure().flink.path) as archive:
        archive.extractall(work, filter="data")
    flink_storages.add(home)
    return home


def _go_machine() -> str:
    """Go's name of this machine's processor."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _oauth2proxy() -> Source:
    """A release of oauth2-proxy on GitHub, with a file of checksums for each archive."""
    base = "https://github.com/oauth2-proxy/oauth2-proxy/releases/download"
    url = f"{base}/v{programs.OAUTH2_PROXY}/oauth2-proxy-v{programs.OAUTH2_PROXY}.linux-{_go_machine()}.tar.gz"
    words = fetch.get(f"{url}-sha256sum.txt").decode(errors="replace").split()
    if not words:
        raise FetchError("its file of checksums is empty")
    return Source(programs.OAUTH2_PROXY, url, "sha256", words[0].lower())


def _of_prometheus(name: str, project: str) -> Source:
    """A release of the project Prometheus on GitHub."""
    version = PROMETHEUS[name]
    base = f"https://github.com/prometheus/{project}/releases/download/v{version}"
    url = f"{base}/{project}-{version}.linux-{_go_machine()}.tar.gz"
    return _listed(version, url, "sha256", f"{base}/sha256sums.txt")


def _caddy() -> Source:
    """A release of Caddy on GitHub."""
    base = f"https://github.com/caddyserver/caddy/releases/download/v{programs.CADDY}/caddy_{programs.CADDY}"
    return _listed(programs.CADDY, f"{base}_linux_{_go_machine()}.tar.gz", "sha512", f"{base}_checksums.txt")


def _otelcol() -> Source:
    """A release of the OpenTelemetry Collector on GitHub."""
    base = "https://github.com/open-telemetry/opentelemetry-collector-releases/releases/download"
    base += f"/v{programs.OTELCOL}"
    url = f"{base}/otelcol-contrib_{programs.OTELCOL}_linux_{_go_machine()}.tar.gz"
    return _listed(
        programs.OTELCOL, url, "sha256", f"{base}/opentelemetry-collector-releases_otelcol-contrib_checksums.txt"
    )


def _victorialogs() -> Source:
    """A release of VictoriaLogs on GitHub."""
    version = programs.VICTORIALOGS
    base = f"https://github.com/VictoriaMetrics/VictoriaLogs/releases/download/v{version}"
    base += f"/victoria-logs-linux-{_go_machine()}-v{version}"
    return _listed(version, f"{base}.tar.gz", "sha256", f"{base}_checksums.txt")


def _listed(version: str, url: str, algorithm: str, checksums: str) -> Source:
    """An archive of a project that has the checksums of all its archives in one file."""
    lines = [line.split() for line in fetch.get(checksums).decode(errors="replace").splitlines()]
    digests = [line[0] for line in lines if line[1:] == [url.rpartition("/")[2]]]
    if not digests:
        raise FetchError("its file of checksums does not have the archive")
    return Source(version, url, algorithm, digests[0].lower())


# --- one or the other


@dataclass(frozen=True)
class Part:
    """One archive: how to find the project's own, and how to build it."""

    name: str
    version: str
    """Empty if it is known only after the build."""
    file: str
    """The file's name, with `{version}` in it."""
    official: Callable[[], Source]
    build: Callable[[Path], Path]
    """Creates the tree below a working directory."""
    bare: bool = False
    """Its archive has no top-level directory."""
    mark: str = ""
    """Changes when the build does, besides the inputs of all."""


def _flink(version: str) -> Part:
    file = f"flink-{version}-bin-scala_2.12.tgz"
    site = partial(_apache, version, f"flink/flink-{version}/{file}")
    return Part("flink", version, file, site, partial(_build_flink, version))


def _zookeeper(name: str, build: Callable[[Path], Path], file: str) -> Part:
    site = partial(_apache, ZOOKEEPER, f"zookeeper/zookeeper-{ZOOKEEPER}/apache-zookeeper-{ZOOKEEPER}-bin.tar.gz")
    return Part(name, ZOOKEEPER, file, site, build)


def _parts() -> list[Part]:
    """The archives that a lab installs, in the order of `Archives`."""
    return [
        _flink(FLINK),
        _zookeeper("zookeeper-metrics", _build_zookeeper_metrics, "apache-zookeeper-{version}-metrics.tar.gz"),
        Part("java", "", "jdk-{version}.tar.gz", _temurin, jdk.build),
    ]


def _recipe(part: Part) -> str:
    mark = [part.mark] if part.mark else []
    return "-".join([str(_RECIPE), *(fetch.digest(path, "sha256")[:8] for path in _INPUTS), *mark])


def _record(part: Part) -> Path:
    return folder() / f"{part.name}-{part.version or jdk.MAJOR}.json"


def _known(part: Part) -> Archive | None:
    """The archive, if it exists, is complete, and was created by the current recipe."""
    try:
        record: dict[str, Any] = json.loads(_record(part).read_text())
        path = folder() / record.pop("file")
        if record.pop("recipe") == _recipe(part) and path.stat().st_size == record.pop("size"):
            return Archive(path=path, **record)
    except (OSError, ValueError, LookupError, TypeError):
        pass  # missing, or written by another version of this module: it is rebuilt
    return None


def _keep(part: Part, version: str, new: Path, origin: str) -> Archive:
    """Move a finished archive into the folder and record what it is."""
    path = folder() / part.file.format(version=version.replace("+", "_"))
    archive = Archive(version, path, fetch.digest(new, "sha512"), origin)
    record = asdict(archive) | {"file": path.name, "size": new.stat().st_size, "recipe": _recipe(part)}
    del record["path"]
    new.rename(path)
    written = new.with_suffix(".json")
    written.write_text(json.dumps(record, indent=2) + "\n")
    written.rename(_record(part))
    return archive


def _get(part: Part, work: Path, step: console.Step) -> Archive:
    """One archive from its project, or else from the registries."""
    new = work / "archive.tar.gz"
    try:
        source = part.official()
        fetch.download(source.url, new, source.algorithm, source.digest, step.tell)
        return _keep(part, source.version, new, source.url)
    except FetchError as error:
        console.say("archives", f"{part.name}: its project's site is unreachable ({error}); using the registries")
    tree = part.build(work)
    step.tell("packing")
    pack(tree, new, bare=part.bare)
    return _keep(part, part.version or jdk.version(tree), new, "package registries")


def _ensure(part: Part) -> Archive:
    if known := _known(part):
        return known
    with fetch.locked(f"archive-{part.name}"):
        if known := _known(part):
            return known
        with console.step("archives", f"downloading {part.name}") as step, fetch.workspace() as work:
            archive = _get(part, work, step)
            step.result = f"{archive.version}, {archive.path.stat().st_size >> 20} MiB"
            return archive


def missing() -> list[str]:
    """Names of the archives that are not in the cache yet."""
    return [field.name for field, part in zip(fields(Archives), _parts(), strict=True) if _known(part) is None]


def ensure() -> Archives:
    """All archives; those that are not cached yet are provided in parallel.

    `TaskError` names the archive that neither its project nor the registries could provide, and the reason.
    """
    hint = "`python -m lab preflight` asks each registry and says what to do"
    parts = _parts()
    made = run([Task(part.name, partial(_ensure, part), hint=hint) for part in parts])
    return Archives(*(made[part.name] for part in parts))


def earlier_flink() -> Archive:
    """The Flink of the minor release before the lab's."""
    return _ensure(_flink(EARLIER_FLINK))


def flink_with_storages() -> Archive:
    """The lab's Flink with the file systems for OSS, Google and Azure, which its own archive has anyway."""
    site = _flink(FLINK).official
    file = "flink-{version}-storages.tgz"
    return _ensure(Part("flink-storages", FLINK, file, site, _build_flink_storages))


def later_java() -> Archive:
    """A Java of the major release after the lab's."""
    site = partial(_temurin, jdk.LATER)
    return _ensure(Part("java", jdk.LATER, "jdk-{version}.tar.gz", site, jdk.build_later))


def caddy() -> Archive:
    """The proxy of the front door, which only labs with one install."""
    return _ensure(Part("caddy", programs.CADDY, "caddy-{version}.tar.gz", _caddy, _build_caddy, bare=True))


def monitoring() -> dict[str, Archive]:
    """What labs with a monitoring host install besides, by the name of the key `…Version`; provided in parallel."""
    parts = {
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "nodeexporter": nodeexporter,
        "otelcol": otelcol,
        "victorialogs": victorialogs,
    }
    return run([Task(name, make) for name, make in parts.items()])


def prometheus() -> Archive:
    """What a monitoring host runs."""
    site = partial(_of_prometheus, "prometheus", "prometheus")
    return _ensure(Part("prometheus", PROMETHEUS["prometheus"], "prometheus-{version}.tar.gz", site, _build_prometheus))


def alertmanager() -> Archive:
    """What sends its alerts."""
    site = partial(_of_prometheus, "alertmanager", "alertmanager")
    file = "alertmanager-{version}.tar.gz"
    return _ensure(Part("alertmanager", PROMETHEUS["alertmanager"], file, site, _build_alertmanager))


def nodeexporter() -> Archive:
    """What shows the metrics of hosts, in labs with a monitoring host."""
    site = partial(_of_prometheus, "nodeexporter", "node_exporter")
    file = "node_exporter-{version}.tar.gz"
    return _ensure(Part("nodeexporter", PROMETHEUS["nodeexporter"], file, site, _build_nodeexporter))


def otelcol() -> Archive:
    """What sends logs, in labs that collect them."""
    mark = programs.own_source(programs.AGENT)
    file = "otelcol-{version}.tar.gz"
    return _ensure(Part("otelcol", programs.OTELCOL, file, _otelcol, _build_otelcol, bare=True, mark=mark))


def victorialogs() -> Archive:
    """What keeps logs on a monitoring host."""
    file = "victorialogs-{version}.tar.gz"
    return _ensure(Part("victorialogs", programs.VICTORIALOGS, file, _victorialogs, _build_victorialogs, bare=True))


def oauth2proxy() -> Archive:
    """What checks logins by OpenID Connect, which only labs with such a front door install."""
    file = "oauth2-proxy-{version}.tar.gz"
    return _ensure(Part("oauth2proxy", programs.OAUTH2_PROXY, file, _oauth2proxy, _build_oauth2proxy))
