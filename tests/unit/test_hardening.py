"""How much of a host each unit of ours could harm: `systemd-analyze security` of the texts that are installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from components.flink.unit import flink_unit
from components.frontdoor.component import acme_unit
from components.host import Role
from components.jobmanager import history
from components.logs import collector, store
from components.logs.settings import LogsSettings
from components.monitoring import alerts, exporter, grafana
from components.monitoring.component import prometheus_unit
from components.monitoring.exporter import exporter_unit
from components.monitoring.settings import MonitoringSettings
from components.templates import render
from components.zookeeper.zoo_cfg import zookeeper_unit
from tests.unit.program import SEVEN, host, load, write_inventory

DAEMON = 2.5
"""From 0 (isolated) to 10. That of a unit without any restriction is 9.6."""
ROOT = 3.5
"""Of what runs as root, because it stops a unit or becomes the daemons' user."""


def analyzed(name: str, text: str, folder: Path) -> tuple[float, str]:
    """The exposure of a unit, and the table that explains it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    path = folder / f"{name}.service"
    path.write_text(text)
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = re.search(rf"exposure level for {name}.service: ([0-9.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this machine's systemd-analyze cannot read a file: {done.stderr.strip()}")
    return float(found[1]), done.stdout


@pytest.mark.parametrize("disks", [0, 2])
@pytest.mark.parametrize("role", [Role.JOBMANAGER, Role.TASKMANAGER])
def test_exposure_of_flinks_daemons(role: Role, disks: int, tmp_path: Path) -> None:
    write_inventory(tmp_path, *map(host, SEVEN))
    text = flink_unit(role, load(tmp_path).cluster, memory_mib=2048, disks=disks, marks=["/mnt/flink/.shared-dev"])
    exposure, table = analyzed("flink", text, tmp_path)
    assert exposure <= DAEMON, table


def test_exposure_of_zookeeper(tmp_path: Path) -> None:
    write_inventory(tmp_path, *map(host, SEVEN))
    exposure, table = analyzed("zookeeper", zookeeper_unit(load(tmp_path).cluster, data_disk=True), tmp_path)
    assert exposure <= DAEMON, table


def test_exposure_of_what_runs_beside_them(tmp_path: Path) -> None:
    write_inventory(tmp_path, *map(host, SEVEN))
    exposure, table = analyzed("flink-history", history.unit(load(tmp_path, tls=True, history=True).cluster), tmp_path)
    assert exposure <= DAEMON, table
    exposure, table = analyzed("flink-classes", render("flink-classes.service", devices=False), tmp_path)
    assert exposure <= DAEMON, table
    exposure, table = analyzed("flink-superseded", render("jobmanager/flink-superseded.service"), tmp_path)
    assert exposure <= DAEMON, table
    for name in ("taskmanager/flink-spot", "jobmanager/flink-alive", "jobmanager/flink-jobs"):
        exposure, table = analyzed(name.partition("/")[2], render(f"{name}.service"), tmp_path)
        assert exposure <= ROOT, table
    watch = render("monitoring/flink-storage.service.j2", script=exporter.STORAGE, folder=exporter.METRICS)
    exposure, table = analyzed("flink-storage", watch, tmp_path)
    assert exposure <= ROOT, table
    exposure, table = analyzed("flink-acme", acme_unit(), tmp_path)
    assert exposure <= ROOT, table


def test_a_job_that_uses_devices_of_the_machine_sees_them(tmp_path: Path) -> None:
    write_inventory(tmp_path, *map(host, SEVEN))
    private = "PrivateDevices=yes"
    for config, role, expected in (
        ({}, Role.TASKMANAGER, True),
        ({"taskManagerConfig": {"external-resources": "gpu"}}, Role.TASKMANAGER, False),
        ({"taskManagerConfig": {"external-resources": "gpu"}}, Role.JOBMANAGER, True),
        ({"flinkConfig": {"external-resources": "gpu"}}, Role.TASKMANAGER, False),
    ):
        text = flink_unit(role, load(tmp_path, **config).cluster, memory_mib=2048)
        assert (private in text.splitlines()) == expected, (config, role)
    # Before the daemon starts, the unit itself formats and mounts the machine's disks
    assert private not in flink_unit(Role.TASKMANAGER, load(tmp_path).cluster, memory_mib=2048, disks=1)


def test_docs_name_the_directories_that_jobs_may_use_as_the_user_of_their_daemon() -> None:
    """A job can do what another unit of the same user can: tests/lab/reach.py looks from inside."""
    roots = {"Runtime": "/run", "State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log"}
    folder = Path(__file__).parents[2] / "config_templates"
    texts = [text for path in folder.rglob("*.service*") if "\nUser=flink\n" in (text := path.read_text())]
    assert len(texts) >= 4
    found = {
        f"{roots[kind]}/{name}"
        for text in texts
        for kind, name in re.findall(r"^(Runtime|State|Cache|Logs)Directory=(.*)$", text, re.MULTILINE)
    }
    assert "/run/{{ row.daemon.unit }}" in found, "the daemons', `/run/flink-*` in the documents"
    docs = (folder.parent / "docs/security.md").read_text().partition("### What a job can read")[2].partition("### ")[0]
    assert [path for path in found if f"`{path}`" not in docs] == ["/run/{{ row.daemon.unit }}"]


def test_exposure_of_monitoring(tmp_path: Path) -> None:
    for name, text in (
        ("flink-prometheus", prometheus_unit(MonitoringSettings(), data_disk=True)),
        ("flink-alertmanager", alerts.unit(data_disk=True)),
        ("flink-exporter", exporter_unit(tls=True)),
        ("flink-logs", collector.unit(Role.JOBMANAGER, front_door=True)),
        ("flink-grafana", grafana.unit(data_disk=True, reads=[])),
        ("flink-logstore", store.unit(LogsSettings(), tls=True, data_disk=True)),
    ):
        exposure, table = analyzed(name, text, tmp_path)
        assert exposure <= DAEMON, table


@pytest.mark.parametrize("name", ["flink-frontdoor", "flink-login"])
def test_exposure_of_the_front_door(name: str, tmp_path: Path) -> None:
    text = render(f"frontdoor/{name}.service.j2", port=443, proxy="http://10.0.0.9:3128", direct="10.0.0.0/8")
    exposure, table = analyzed(name, text, tmp_path)
    assert exposure <= DAEMON, table


def test_no_unit_ends_by_a_call_that_is_refused() -> None:
    """It is an error for the program, as for other users: some of their calls, such as chown, do not matter."""
    folder = Path(__file__).parents[2] / "config_templates"
    filtered = {path: text for path in folder.rglob("*.service*") if "SystemCallFilter=" in (text := path.read_text())}
    assert len(filtered) >= 3
    for path, text in filtered.items():
        assert "SystemCallErrorNumber=EPERM" in text or "include 'hardening" in text, path
    for name in ("hardening.j2", "hardening_root.j2"):
        assert "SystemCallErrorNumber=EPERM" in (folder / name).read_text()
