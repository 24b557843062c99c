"""Releases that hosts install, with the URLs at which their projects publish them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import forms
from ..problems import Problems, shown

DEFAULT_VERSIONS = {
    "flink": "2.3.0",
    "zookeeper": "3.9.5",
    "java": "17.0.15+6",
    "caddy": "2.11.9",
    "oauth2proxy": "7.15.6",
    "prometheus": "3.5.0",
    "alertmanager": "0.28.1",
    "nodeexporter": "1.9.1",
    "grafana": "12.0.2",
    "otelcol": "0.165.0",
    "victorialogs": "1.52.2",
    "hadoop": "3.4.2",
}
"""The same as in Pulumi.yaml (a test compares them)."""

_LEAST = {
    "flink": (2, 2, 0),
    "zookeeper": (3, 8, 0),
    "caddy": (2, 11, 0),
    "oauth2proxy": (7, 15, 0),
    "prometheus": (2, 42, 0),
    "alertmanager": (0, 25, 0),
    "nodeexporter": (1, 5, 0),
    # Its schema of dashboards
    "grafana": (10, 1, 0),
    # Names of components and options of its queue are those of this release
    "otelcol": (0, 165, 0),
    "victorialogs": (1, 40, 0),
    # The first with a client whose libraries cannot conflict with Flink's
    "hadoop": (3, 3, 0),
}
_PROMETHEUS = {"prometheus": "prometheus", "alertmanager": "alertmanager", "nodeexporter": "node_exporter"}
"""Names of the project's repositories."""
_JDKS = ("11", "17", "21")
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})")
_JDK = re.compile(r"([0-9]{1,4})(\.[0-9]{1,6}){0,5}\+[0-9]{1,6}(\.[0-9]{1,6})?")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A release that hosts install: a .tar.gz, with a single top-level directory if `strip` is 1."""

    name: str
    """A name in DEFAULT_VERSIONS."""
    version: str
    url: str
    """`{arch}` in it stands for Adoptium's name of the host's architecture, x64 or aarch64; `{goarch}` for Go's, amd64
    or arm64."""
    checksum: str
    """`sha512:HEX`, `sha256:HEX`, or the URL of a file that begins with the digest, or has it in the archive's line
    (`sha512:URL`, `sha256:URL`)."""
    mirror: str = ""
    """A URL that is tried before `url`, and may not have every version. Empty: none."""
    mirror_checksum: str = ""
    """A URL of the file with the digest that is tried before that in `checksum`. Empty: none."""
    strip: int = 1
    """How many directories of the archive's paths are left out."""


def official(name: str, version: str) -> Archive:
    """A release at the URL of its project, with the checksum next to it: Adoptium for `java`, Apache's servers for
    `flink`, `zookeeper` and `hadoop`, Grafana's for `grafana`, GitHub for the others. Raises ValueError for an
    unsupported version.

    Apache's content delivery network has the current releases only, and no checksums of its own; all releases are in
    the archive, which is slow and limits downloads (https://www.apache.org/legal/release-policy.html, "Distribution").
    """
    if name == "java":
        url = _java(version)
        return Archive(name=name, version=version, url=url, checksum=f"sha256:{url}.sha256.txt")
    least = _LEAST[name]
    if parsed(version) < least:
        raise ValueError(
            f"{shown(version)} is not supported: expected a release such as {DEFAULT_VERSIONS[name]}, "
            f"{'.'.join(map(str, least))} or newer"
        )
    if name == "caddy":
        base = f"https://github.com/caddyserver/caddy/releases/download/v{version}/caddy_{version}"
        url = f"{base}_linux_{{goarch}}.tar.gz"
        return Archive(name=name, version=version, url=url, checksum=f"sha512:{base}_checksums.txt", strip=0)
    if name == "oauth2proxy":
        # The program alone, in a folder; each archive has a file of its own with its checksum
        base = f"https://github.com/oauth2-proxy/oauth2-proxy/releases/download/v{version}/oauth2-proxy-v{version}"
        url = f"{base}.linux-{{goarch}}.tar.gz"
        return Archive(name=name, version=version, url=url, checksum=f"sha256:{url}-sha256sum.txt")
    if name in _PROMETHEUS:
        project = _PROMETHEUS[name]
        base = f"https://github.com/prometheus/{project}/releases/download/v{version}"
        url = f"{base}/{project}-{version}.linux-{{goarch}}.tar.gz"
        return Archive(name=name, version=version, url=url, checksum=f"sha256:{base}/sha256sums.txt")
    if name == "grafana":
        url = f"https://dl.grafana.com/oss/release/grafana-{version}.linux-{{goarch}}.tar.gz"
        return Archive(name=name, version=version, url=url, checksum=f"sha256:{url}.sha256")
    if name == "otelcol":
        base = f"https://github.com/open-telemetry/opentelemetry-collector-releases/releases/download/v{version}"
        url = f"{base}/otelcol-contrib_{version}_linux_{{goarch}}.tar.gz"
        checksums = f"{base}/opentelemetry-collector-releases_otelcol-contrib_checksums.txt"
        return Archive(name=name, version=version, url=url, checksum=f"sha256:{checksums}", strip=0)
    if name == "victorialogs":
        base = f"https://github.com/VictoriaMetrics/VictoriaLogs/releases/download/v{version}"
        base += f"/victoria-logs-linux-{{goarch}}-v{version}"
        return Archive(
            name=name, version=version, url=f"{base}.tar.gz", checksum=f"sha256:{base}_checksums.txt", strip=0
        )
    file = {
        "flink": f"flink/flink-{version}/flink-{version}-bin-scala_2.12.tgz",
        "zookeeper": f"zookeeper/zookeeper-{version}/apache-zookeeper-{version}-bin.tar.gz",
        "hadoop": f"hadoop/common/hadoop-{version}/hadoop-{version}.tar.gz",
    }[name]
    url = f"https://archive.apache.org/dist/{file}"
    return Archive(
        name=name,
        version=version,
        url=url,
        checksum=f"sha512:{url}.sha512",
        mirror=f"https://dlcdn.apache.org/{file}",
        mirror_checksum=f"https://downloads.apache.org/{file}.sha512",
    )


def default(name: str) -> Archive:
    """The default release."""
    return official(name, DEFAULT_VERSIONS[name])


def configured(name: str, values: Mapping[str, Any], problems: Problems) -> Archive:
    """The archive `name`, a name in DEFAULT_VERSIONS, at its official URL unless the configuration sets another."""
    key, version, checksum = f"{name}Version", values[f"{name}Version"], values[f"{name}Checksum"]
    found = problems.catch(key, lambda: official(name, version), default(name))
    url = values[f"{name}Url"] or found.url
    problems.catch(f"{name}Url", lambda: forms.DOWNLOAD_URL(url), "")
    if checksum:
        problems.catch(f"{name}Checksum", lambda: forms.CHECKSUM(checksum), "")
    own = bool(values[f"{name}Url"])
    return replace(
        found,
        url=url,
        checksum=checksum or found.checksum.replace(found.url, url),
        mirror="" if own else found.mirror,
        mirror_checksum="" if own or checksum else found.mirror_checksum,
    )


def parsed(version: str) -> tuple[int, ...]:
    """The numbers of a version such as 2.3.0; empty if it is not a version."""
    match = _VERSION.fullmatch(version)
    return tuple(int(part) for part in match.groups()) if match else ()


def _java(version: str) -> str:
    match = _JDK.fullmatch(version)
    if not match or match[1] not in _JDKS:
        raise ValueError(
            f"{shown(version)} is not a JDK for Flink 2.x: expected 11, 17 or 21 with its build number, such as "
            f"{DEFAULT_VERSIONS['java']}"
        )
    release, file = version.replace("+", "%2B"), version.replace("+", "_")
    base = f"https://github.com/adoptium/temurin{match[1]}-binaries/releases/download/jdk-{release}"
    return f"{base}/OpenJDK{match[1]}U-jdk_{{arch}}_linux_hotspot_{file}.tar.gz"
