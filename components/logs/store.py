"""The built-in store of logs, VictoriaLogs: its options and unit, as text. Pure."""

from collections.abc import Sequence
from urllib.parse import quote

from .. import ports
from ..templates import render
from .settings import LogsSettings

UNIT = "flink-logstore"
FOLDER = f"/etc/{UNIT}"
IDENTITY = tuple(f"{FOLDER}/tls/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
DATA = "/var/lib/prometheus/data/logs"
MEMORY_MIB = 384
"""For what it keeps in memory to be fast; its unit allows it more in all."""
PREFIX = "/logs"
"""In front of all its paths, as behind a proxy."""


def url(host: str, *, tls: bool) -> str:
    """Where it is reached at `host`."""
    return f"{'https' if tls else 'http'}://{host}:{ports.number('log-store')}{PREFIX}"


_RANGES = {1: "last_24_hours", 2: "last_2_days", 7: "last_7_days", 30: "last_30_days", 90: "last_90_days"}
"""Days → what its page calls them: only for these it shows what was until now."""


def search(base: str, query: str, settings: LogsSettings, *replaced: str) -> str:
    """The address of its page with what a query in LogsQL finds in all that it keeps. `base`: as `url` gives it, or a
    path that leads there. `replaced`: words of the query that somebody puts others in place of.
    """
    shown = quote(query, safe="")
    for word in replaced:
        shown = shown.replace(quote(word, safe=""), word)
    days = settings.retention_seconds / 86_400
    last = next((name for most, name in _RANGES.items() if days <= most), "last_1_year")
    return f"{base}/select/vmui/#/?query={shown}&g0.relative_time={last}"


def of_job(job: str, host: str = "") -> str:
    """A query for what a job has written, on a host or on all."""
    return f'{{host="{host}"}} job_id:="{job}"' if host else f'job_id:="{job}"'


def flags(settings: LogsSettings, *, tls: bool, data: str = DATA, identity: Sequence[str] = IDENTITY) -> list[str]:
    """Its options on the command line."""
    size = settings.retention_mib
    return [
        f"-storageDataPath={data}",
        f"-retentionPeriod={settings.retention_seconds}s",
        *([f"-retention.maxDiskSpaceUsageBytes={size}MiB"] if size else []),
        f"-httpListenAddr=:{ports.number('log-store')}",
        "-enableTCP6",
        # By default most of the memory of the machine
        f"-memory.allowedBytes={MEMORY_MIB}MiB",
        f"-http.pathPrefix={PREFIX}",
        # It reads a new certificate by itself
        *(["-tls", f"-tlsCertFile={identity[0]}", f"-tlsKeyFile={identity[1]}", "-tlsMinVersion=TLS13"] if tls else []),
    ]


def unit(settings: LogsSettings, *, tls: bool, data_disk: bool) -> str:
    """The store's unit. With a `data_disk` it starts only while that is mounted."""
    return render("logs/flink-logstore.service.j2", flags=flags(settings, tls=tls), data_disk=data_disk, devices=False)
