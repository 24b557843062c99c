"""Flink's HistoryServer on a JobManager's host: jobs that have ended stay visible after a failover or a restart.

It is there, and not on a host of its own, because all that it needs is there already: Flink, the storage's credentials,
certificates, and the front door. Every door asks that of its own host, so there is none to lose; all of them read the
same archives (docs/decisions/0034-history.md).
"""

from collections.abc import Sequence
from typing import Any

from .. import ports
from ..circles import Circle
from ..flink import encryption, trusted
from ..flink.config_yaml import config_yaml, flink_config
from ..flink.flink_host import logging, recorded
from ..flink.settings import ClusterSettings, HistorySettings
from ..flink.topology import Members
from ..host import Role
from ..logs import store
from ..remote import File
from ..roles import unit_path
from ..storage import Storage
from ..templates import render

UNIT = "flink-history"
ENTRYPOINT = "org.apache.flink.runtime.webmonitor.history.HistoryServer"
FOLDER = f"/etc/{UNIT}"
CONF = f"/run/{UNIT}/conf"
"""In memory, since it has passwords."""
_SECONDS, _JOBS_PER_SECOND = 120, 4
"""Seconds for it to start, while daemons of the same host start, too; before it answers it reads all archives."""
REFRESH_SECONDS = 30
"""How often it asks the storage for new archives: one request to list each time."""
HEAP_MIB = 256
LIMIT_MIB = 512
"""For heap, metaspace, and buffers of the storage's client."""


def config(settings: ClusterSettings, storage: Storage, members: Members, history: HistorySettings) -> str:
    """Its config.yaml: that of a JobManager, for storage and TLS, and its own keys."""
    base = flink_config(Role.JOBMANAGER, settings, storage, members)
    folder = base["jobmanager.archive.fs.dir"]
    own: dict[str, Any] = {
        # It is idle most of the time: the better compiler costs more than it saves
        "env.java.opts.historyserver": f"-Xmx{HEAP_MIB}m -XX:TieredStopAtLevel=1",
        "historyserver.archive.fs.dir": folder,
        "historyserver.archive.fs.refresh-interval": f"{REFRESH_SECONDS} s",
        # What another one has deleted disappears
        "historyserver.archive.clean-expired-jobs": True,
        "historyserver.archive.clean-expired-applications": True,
        "historyserver.archive.retained-jobs": history.jobs,
        # Since 2.3 each job is one of an application
        "historyserver.archive.retained-applications": history.jobs,
        "historyserver.archive.retained-ttl": f"{history.retention_seconds} s",
        "historyserver.web.address": "127.0.0.1",
        "historyserver.web.port": ports.number("history"),
        "historyserver.web.tmpdir": f"/var/cache/{UNIT}/web",
        "historyserver.web.ssl.enabled": settings.tls,
    }
    if settings.logs.to_store(monitored=members.monitored) and settings.front_door is None:
        # As people reach it: a front door answers this by itself, with an address that holds wherever it is reached
        page = store.url("localhost", tls=settings.tls)
        own |= {
            f"historyserver.log.{daemon}.url-pattern": store.search(page, query, settings.logs, "<jobid>", "<tmid>")
            for daemon, query in (
                ("jobmanager", store.of_job("<jobid>")),
                ("taskmanager", store.of_job("<jobid>", "<tmid>")),
            )
        }
    return config_yaml({**base, **own, **{key: value for key, value in base.items() if key in own}})


def seconds(settings: ClusterSettings) -> int:
    """Seconds for it to answer after its start."""
    return _SECONDS + (settings.history.jobs if settings.history else 0) // _JOBS_PER_SECOND


def inputs(settings: ClusterSettings) -> Sequence[str]:
    """The files whose changes restart it."""
    return [
        unit_path(UNIT),
        f"{FOLDER}/config.yaml",
        f"{FOLDER}/start",
        "/etc/flink/credentials.env",
        *(encryption.inputs(Role.JOBMANAGER) if settings.tls else ()),
        *trusted.inputs(settings),
    ]


def unit(settings: ClusterSettings, marks: Sequence[str] = ()) -> str:
    """Its unit; `marks` as in `flink_unit`."""
    return render(
        "jobmanager/flink-history.service.j2",
        inputs=inputs(settings),
        folder=FOLDER,
        conf=CONF,
        tls_options=encryption.OPTIONS if settings.tls else "",
        secrets=settings.secret_config is not None,
        limit_mib=LIMIT_MIB,
        marks=marks,
        devices=False,
    )


def files(settings: ClusterSettings, config_text: str, *, logs: bool, marks: Sequence[str] = ()) -> list[File]:
    """Its unit, which is stopped before the others are removed, and its configuration; `marks` as in `flink_unit`."""
    return [
        File(path=unit_path(UNIT), text=unit(settings, marks)),
        File(path=f"{FOLDER}/config.yaml", text=config_text),
        logging(f"{FOLDER}/log4j-console.properties", logs=logs),
    ]


def values(settings: ClusterSettings, storage: Storage, wants: str) -> dict[str, str | int | Sequence[str]]:
    """Values of history.sh."""
    scheme = "https" if settings.tls else "http"
    return {
        **recorded(Role.JOBMANAGER, settings, storage),
        "entrypoint": ENTRYPOINT,
        "conf": CONF,
        "unit": UNIT,
        "folder": FOLDER,
        "inputs": inputs(settings),
        "url": f"{scheme}://localhost:{ports.number('history')}/config",
        "tls": f"{encryption.folder(Role.JOBMANAGER)}/{Circle.REST.value}" if settings.tls else "",
        "seconds": seconds(settings),
        "wants": wants,
    }
