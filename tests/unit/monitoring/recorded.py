"""What the targets of a cluster show, as recorded (expositions/README.md), with the labels that Prometheus gives it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

EXPOSITIONS = Path(__file__).parent / "expositions"
CLUSTER = "dev"
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Target:
    """A target of Prometheus, and the recording of what it shows."""

    job: str
    role: str
    host: str
    port: int
    recording: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its series."""
        return {"cluster": CLUSTER, "role": self.role, "host": self.host, "job": self.job, "instance": self.instance}

    @property
    def instance(self) -> str:
        """Its address."""
        return f"{self.host}:{self.port}"

    @property
    def text(self) -> str:
        """The recording."""
        return (EXPOSITIONS / f"{self.recording}.prom").read_text()


_HOSTS = {
    "jobmanager": ("jm-0", "jm-1"),
    "taskmanager": ("tm-0", "tm-1"),
    "zookeeper": ("zk-0", "zk-1", "zk-2"),
    "monitoring": ("mon-0",),
}
TARGETS = (
    *(Target("flink", role, host, 9249, host) for role in ("jobmanager", "taskmanager") for host in _HOSTS[role]),
    *(Target("zookeeper", "zookeeper", host, 7000, host) for host in _HOSTS["zookeeper"]),
    *(Target("node", role, host, 9100, "node") for role, hosts in _HOSTS.items() for host in hosts),
    *(Target("logs", role, host, 8888, "logs") for role, hosts in _HOSTS.items() for host in hosts),
    Target("prometheus", "monitoring", "mon-0", 9090, "prometheus"),
    Target("alertmanager", "monitoring", "mon-0", 9093, "alertmanager"),
)


@dataclass(frozen=True)
class Series:
    """A series at the time of the recording."""

    name: str
    labels: Mapping[str, str] = field(hash=False)
    value: float

    def of(self, cluster: str) -> Series:
        """The same of another cluster."""
        return replace(self, labels={**self.labels, "cluster": cluster})

    def __str__(self) -> str:
        inside = ", ".join(f'{key}="{value}"' for key, value in sorted(self.labels.items()))
        return f"{self.name}{{{inside}}}"


def series_of(target: Target) -> Iterator[Series]:
    """The series of a target. A label of its own that Prometheus's configuration drops is not there."""
    for line in target.text.splitlines():
        if not line.startswith("#"):
            found = _SAMPLE.fullmatch(line)
            assert found, line
            own = {key: value for key, value in _LABEL.findall(found[2] or "") if key not in target.labels}
            yield Series(found[1], {**own, **target.labels}, float(found[3]))


@cache
def healthy() -> tuple[Series, ...]:
    """All series of a healthy cluster."""
    up = [Series("up", target.labels, 1) for target in TARGETS]
    return (*up, *(one for target in TARGETS for one in series_of(target)))
