"""Bills of materials in CycloneDX (https://cyclonedx.org): what an `up` of this program uses and installs on hosts, and
apart from it what the lab and the tests use.

    python -m docs.sbom [--stack STACK] [--to FOLDER]

It needs no network, so the digests of archives are those that the stack's configuration pins; otherwise the place of
the project's own checksum is in the document, which hosts compare before they install anything.
"""

import argparse
import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import yaml
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from components.flink import host_tool, releases
from components.naming import PROJECT
from components.remote import File
from components.roles import ROLES
from components.storage import s3
from components.storage.table import STORAGES, kind_of
from toolbox.paths import REPO

PRODUCT, LAB = "flink.cdx.json", "lab.cdx.json"
APACHE = "Apache-2.0"
RELEASES = {
    "flink": ("Apache Flink", APACHE),
    "zookeeper": ("Apache ZooKeeper", APACHE),
    "java": ("Eclipse Temurin JDK", "GPL-2.0-only WITH Classpath-exception-2.0"),
    "caddy": ("Caddy", APACHE),
    "oauth2proxy": ("oauth2-proxy", "MIT"),
    "prometheus": ("Prometheus", APACHE),
    "alertmanager": ("Alertmanager", APACHE),
    "nodeexporter": ("node_exporter", APACHE),
    "grafana": ("Grafana", "AGPL-3.0-only"),
    "otelcol": ("OpenTelemetry Collector", APACHE),
    "victorialogs": ("VictoriaLogs", APACHE),
    "hadoop": ("Apache Hadoop", APACHE),
}
"""What hosts install, with the licences that their projects name (https://flink.apache.org, https://zookeeper.apache.org,
https://adoptium.net, https://caddyserver.com, https://oauth2-proxy.github.io, https://prometheus.io,
https://grafana.com, https://opentelemetry.io, https://victoriametrics.com, https://hadoop.apache.org).
"""
PLACES = ("storageUri", "haUri", "checkpointsUri", "savepointsUri")
_MONITORING = ("monitoringHosts", 1)
_ONLY_WITH: dict[str, tuple[str, Any]] = {
    "caddy": ("frontDoor", True),
    "oauth2proxy": ("frontDoorLogin", "oidc"),
    "prometheus": _MONITORING,
    "alertmanager": _MONITORING,
    "nodeexporter": _MONITORING,
    "grafana": ("grafana", True),
    "otelcol": _MONITORING,
    "victorialogs": _MONITORING,
}
"""The key and value of a stack that installs it; elsewhere its scope is `optional`, as with an inventory, which may
have a monitoring host or not.
"""
_CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": APACHE,
}
"""To SPDX, where the words in the field `License` are not SPDX's."""
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
_DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_MODULE = re.compile(r"^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+) (v\S+)", re.MULTILINE)


def product(configuration: dict[str, Any], root: Path = REPO) -> Bom:
    """What is used by `up` and what hosts get. `configuration` has the keys of a stack, without `flink:`."""
    packages = python_packages((root / "requirements.txt").read_text())
    return _bom("flink-on-plain-machines", [*packages, *_releases(configuration), _tool()], root)


def lab(root: Path = REPO) -> Bom:
    """What the lab, the stand-ins and the tests use in addition."""
    known = {each.name for each in python_packages((root / "requirements.txt").read_text())}
    found = [each for each in python_packages((root / "requirements-dev.txt").read_text()) if each.name not in known]
    builds = root / "stand_ins/builds"
    # Two programs may use the same module
    modules = {
        str(each.bom_ref): each
        for path in sorted(builds.glob("gomod/*/go.mod"))
        for each in go_modules(path.read_text())
    }
    pinned = _pinned(tomllib.loads((builds / "pins.toml").read_text()))
    nodes = [one for path in sorted(builds.glob("npm/*/package-lock.json")) for one in node_packages(path.read_text())]
    return _bom("flink-lab", [*found, *modules.values(), *nodes, *pinned], root)


def python_packages(requirements: str) -> list[Component]:
    """The packages of a requirements file with digests; their licences, if they are installed in that version."""
    return [
        Component(
            name=name,
            version=version,
            purl=PackageURL("pypi", None, name, version),
            bom_ref=f"pkg:pypi/{name}@{version}",
            licenses=_license(name, version),
            # Of all files of the release; pip takes the one for its platform
            properties=[Property(name="flink:sha256", value=digest) for digest in _DIGEST.findall(rest)],
        )
        for name, version, rest in _PINNED.findall(requirements)
    ]


def _license(name: str, version: str) -> list[Any]:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return []
    if found.version != version:
        return []
    metadata = found.metadata
    text = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
    if "\n" in text or not text or " License" in text:
        classifiers = [one for one in metadata.get_all("Classifier") or [] if one.startswith("License ::")]
        text = " OR ".join(_CLASSIFIERS.get(one, one.rpartition(" :: ")[2]) for one in classifiers[:1]) or text[:60]
    return [LicenseFactory().make_from_string(text.strip())] if text.strip() else []


def go_modules(text: str) -> list[Component]:
    """The modules of a go.mod. Their digests are in go.sum, in a form that CycloneDX does not have."""
    return [
        Component(
            name=name,
            version=version,
            purl=PackageURL("golang", name.rpartition("/")[0], name.rpartition("/")[2], version),
            bom_ref=f"pkg:golang/{name}@{version}",
        )
        for name, version in dict.fromkeys(_MODULE.findall(text))
    ]


def node_packages(lock: str) -> list[Component]:
    """The packages of a lock file of npm. Their digests are there, in a form that CycloneDX does not have."""
    return [
        Component(
            name=path.rpartition("node_modules/")[2],
            version=each["version"],
            purl=PackageURL("npm", None, path.rpartition("node_modules/")[2], each["version"]),
            bom_ref=f"npm:{path}@{each['version']}",
            licenses=[LicenseFactory().make_from_string(each["license"])] if "license" in each else [],
        )
        for path, each in json.loads(lock)["packages"].items()
        if path
    ]


def _releases(configuration: dict[str, Any]) -> Iterable[Component]:
    for name, (title, licence) in RELEASES.items():
        is_optional = not _is_used(name, configuration)
        version = str(configuration.get(f"{name}Version") or releases.DEFAULT_VERSIONS[name])
        archive = releases.official(name, version)
        url = str(configuration.get(f"{name}Url") or archive.url)
        checksum = str(configuration.get(f"{name}Checksum") or archive.checksum.replace(archive.url, url))
        kind, _, digest = checksum.partition(":")
        algorithm = {"sha512": HashAlgorithm.SHA_512, "sha256": HashAlgorithm.SHA_256}[kind]
        is_url = digest.startswith("http")
        places = [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url))]
        if is_url:
            comment = f"the {kind} that hosts compare"
            reference = ExternalReferenceType.OTHER
            places.append(ExternalReference(type=reference, url=XsUri(digest), comment=comment))
        parts = _plugins(configuration, version) if name == "flink" else []
        yield Component(
            name=title,
            version=version,
            type=ComponentType.APPLICATION,
            scope=ComponentScope.OPTIONAL if is_optional else ComponentScope.REQUIRED,
            bom_ref=f"{name}@{version}",
            licenses=[LicenseFactory().make_from_string(licence)],
            hashes=[] if is_url else [HashType(alg=algorithm, content=digest)],
            external_references=places,
            components=parts,
        )


def _is_used(name: str, configuration: dict[str, Any]) -> bool:
    if kind := next((kind for kind in STORAGES if f"{name}Version" in kind.keys), None):
        return any(kind_of(str(configuration.get(key) or "")) is kind for key in PLACES)
    key, value = _ONLY_WITH.get(name, ("", None))
    return not key or configuration.get(key) == value


def _plugins(configuration: dict[str, Any], version: str) -> list[Component]:
    """Flink's file system, which is a part of its archive."""
    places = [str(configuration[key]) for key in PLACES if configuration.get(key)]
    if places and not any(kind_of(uri) is s3.KIND for uri in places):
        return []
    name = str(configuration.get("storagePlugin") or s3.DEFAULT_PLUGIN)
    return [
        Component(
            name=name,
            group="org.apache.flink",
            version=version,
            purl=PackageURL("maven", "org.apache.flink", name, version),
            bom_ref=f"pkg:maven/org.apache.flink/{name}@{version}",
            licenses=[LicenseFactory().make_from_string(APACHE)],
        )
    ]


def _tool() -> Component:
    """The host tool, with each of its files on the hosts of any role."""
    files: dict[str, File] = {file.path: file for row in ROLES.values() for file in host_tool.files(row)}
    return Component(
        name="flink-host",
        type=ComponentType.APPLICATION,
        bom_ref="flink-host",
        licenses=[LicenseFactory().make_from_string(APACHE)],
        components=[
            Component(
                name=path,
                type=ComponentType.FILE,
                bom_ref=path,
                hashes=[
                    HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(files[path].text.encode()).hexdigest())
                ],
            )
            for path in sorted(files)
        ],
    )


def _pinned(pins: dict[str, Any]) -> Iterable[Component]:
    """What the lab takes from registries in versions of its own choice (stand_ins/builds/pins.toml)."""
    for line, digests in pins.get("python", {}).items():
        name, _, version = line.partition("==")
        properties = [Property(name="flink:sha256", value=digest) for digest in digests]
        purl = PackageURL("pypi", None, name, version)
        yield Component(name=name, version=version, purl=purl, bom_ref=f"pin:{line}", properties=properties)
    for release, jars in pins.get("maven", {}).items():
        for jar, digest in jars.items():
            yield Component(
                name=jar,
                type=ComponentType.FILE,
                bom_ref=f"pin:{release}/{jar}",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )


def _bom(name: str, components: Iterable[Component], root: Path) -> Bom:
    found = re.search(r"^## \[([0-9.]+)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    bom = Bom(components=components)
    bom.metadata.timestamp = datetime.now(UTC)
    whole = bom.metadata.component = Component(
        name=name,
        version=found[1] if found else "0",
        type=ComponentType.APPLICATION,
        bom_ref=name,
        licenses=[LicenseFactory().make_from_string(APACHE)],
    )
    bom.register_dependency(whole, bom.components)
    return bom


def text(bom: Bom) -> str:
    """The document. Raises ValueError if it does not fit CycloneDX's schema."""
    written = JsonV1Dot6(bom).output_as_string(indent=2)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(written)
    if wrong is not None:
        raise ValueError(f"the bill of materials does not fit CycloneDX 1.6: {wrong}")
    return f"{written}\n"


def configuration(stack: str, root: Path = REPO) -> dict[str, Any]:
    """The keys of a stack's file; none for the defaults. Raises OSError without such a file."""
    if not stack:
        return {}
    found = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text()) or {}
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in (found.get("config") or {}).items()}


def main(words: Sequence[str]) -> int:
    """Write both documents."""
    parser = argparse.ArgumentParser(prog="python -m docs.sbom", description="Write bills of materials.")
    parser.add_argument("--stack", default="", help="whose releases; without it the defaults of Pulumi.yaml")
    parser.add_argument("--to", type=Path, default=REPO / "sbom", help="folder, by default sbom/")
    args = parser.parse_args(words)
    try:
        documents = {PRODUCT: text(product(configuration(args.stack))), LAB: text(lab())}
    except OSError as error:
        print(f"sbom: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    args.to.mkdir(parents=True, exist_ok=True)
    for name, written in documents.items():
        (args.to / name).write_text(written)
        print(f"sbom: wrote {args.to / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
