"""The bills of materials fit CycloneDX's schema, and name all that is used and installed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.output.json import JsonV1Dot6

from components.flink import releases
from docs import sbom
from toolbox.paths import REPO


@pytest.fixture(scope="module")
def product() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sbom.text(sbom.product({})))
    return found


def test_all_packages_of_the_program_have_version_licence_and_digests(product: dict[str, Any]) -> None:
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (REPO / "requirements.txt").read_text(), re.MULTILINE))
    found = {each["name"]: each for each in product["components"] if each.get("purl", "").startswith("pkg:pypi/")}
    assert {name: each["version"] for name, each in found.items()} == pinned
    for name, each in found.items():
        assert each["licenses"], name
        assert all(re.fullmatch("[0-9a-f]{64}", one["value"]) for one in each["properties"]), name
        assert each["properties"], name


def test_releases_have_licence_and_the_digest_or_the_place_of_it(product: dict[str, Any]) -> None:
    found = {each["bom-ref"]: each for each in product["components"]}
    for name in releases.DEFAULT_VERSIONS:
        version = releases.DEFAULT_VERSIONS[name]
        one = found[f"{name}@{version}"]
        assert one["licenses"] and "hashes" not in one
        urls = {each["url"] for each in one["externalReferences"]}
        archive = releases.default(name)
        # A URI template is no URI
        assert {url.replace("%7B", "{").replace("%7D", "}") for url in urls} == {
            archive.url,
            archive.checksum.partition(":")[2],
        }
    (plugin,) = found[f"flink@{releases.DEFAULT_VERSIONS['flink']}"]["components"]
    assert plugin["name"] == "flink-s3-fs-hadoop"
    keys = {"flinkVersion": "2.2.0", "flinkUrl": "https://x/f.tgz", "flinkChecksum": f"sha256:{'a' * 64}"}
    mine = json.loads(sbom.text(sbom.product(keys)))
    (flink,) = [each for each in mine["components"] if each["bom-ref"] == "flink@2.2.0"]
    assert flink["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert [each["url"] for each in flink["externalReferences"]] == ["https://x/f.tgz"]


def test_what_only_some_stacks_install_is_optional_elsewhere(product: dict[str, Any]) -> None:
    def scopes(found: dict[str, Any]) -> dict[str, str]:
        return {each["bom-ref"].partition("@")[0]: each["scope"] for each in found["components"] if "scope" in each}

    required = dict.fromkeys(("flink", "zookeeper", "java"), "required")
    more = set(releases.DEFAULT_VERSIONS) - set(required)
    assert scopes(product) == {**required, **dict.fromkeys(more, "optional")}
    keys = {"frontDoor": True, "frontDoorLogin": "oidc", "monitoringHosts": 1, "grafana": True, "haUri": "hdfs://a/b"}
    mine = json.loads(sbom.text(sbom.product(keys)))
    assert scopes(mine) == {**required, **dict.fromkeys(more, "required")}


def test_the_host_tool_is_there_with_each_file(product: dict[str, Any]) -> None:
    (tool,) = [each for each in product["components"] if each["name"] == "flink-host"]
    names = {each["name"] for each in tool["components"]}
    assert {"/usr/local/lib/flink/flink-host", "/usr/local/lib/flink/java/Leftovers.java"} <= names
    assert all(each["hashes"] for each in tool["components"])


def test_the_lab_is_apart(product: dict[str, Any]) -> None:
    lab = json.loads(sbom.text(sbom.lab()))
    names = {each["name"] for each in lab["components"]}
    assert {"pytest", "github.com/pulumi/pulumi/pkg/v3", "oidc-provider"} <= names

    def packages(found: dict[str, Any]) -> set[str]:
        # Registries share names: semver is in two
        return {each["purl"].partition("@")[0] for each in found["components"] if "purl" in each}

    assert packages(lab)
    assert not packages(lab) & packages(product)


def test_a_document_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    good = JsonV1Dot6.output_as_string
    monkeypatch.setattr(
        JsonV1Dot6,
        "output_as_string",
        lambda self, indent=None: good(self, indent=indent).replace('"application"', '"x"'),
    )
    with pytest.raises(ValueError, match="does not fit CycloneDX"):
        sbom.text(sbom.product({}))


def test_the_command_writes_both_and_names_a_stack_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sbom.main(["--stack", "prod", "--to", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {sbom.PRODUCT, sbom.LAB}
    assert sbom.main(["--stack", "none", "--to", str(tmp_path)]) == 1
    assert "Pulumi.none.yaml: No such file" in capsys.readouterr().err
