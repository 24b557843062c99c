"""Which numbers of hosts make a cluster."""

from collections.abc import Collection, Mapping, Sequence

from .. import ports
from ..circles import Circle
from ..host import Role
from ..jobs.settings import JobSettings
from ..logs.settings import KEYS as LOGS_KEYS
from ..logs.settings import LOGS, OPENSEARCH
from ..monitoring.settings import KEYS as MONITORING_KEYS
from ..problems import Problems, shown
from .settings import ClusterSettings


def check(found: Mapping[Role, tuple[str, int]], problems: Problems) -> None:
    """Several JobManagers need an ensemble that survives the loss of a server; a single one needs no ensemble. `found`:
    role → the key that sets the number of hosts, and the number.
    """
    jobmanagers, (key, servers) = found[Role.JOBMANAGER][1], found[Role.ZOOKEEPER]
    if jobmanagers > 1 and not servers:
        problems.add(key, f"has {jobmanagers} JobManagers and no zookeeper: expected 3, 5 or 7 for the leader election")
    elif servers and (servers < 3 or servers % 2 == 0):
        problems.add(
            key, f"has {servers} zookeeper: expected 3, 5 or 7, because an even number tolerates no more failures"
        )
    if servers and jobmanagers == 1:
        problems.add(
            found[Role.JOBMANAGER][0],
            "has zookeeper hosts and a single jobmanager: expected a second jobmanager as standby, or no zookeeper",
        )


def check_parallelism(settings: ClusterSettings, slots: int, problems: Problems) -> None:
    """Warn if jobs would by default have more subtasks than the TaskManagers have slots together, of which Flink says
    nothing until a job waits for them. Jobs that the web UI submits take it from the JobManager's own options.
    """
    for key, options in {"flinkConfig": settings.common_config, "jobManagerConfig": settings.jobmanager_config}.items():
        parallelism = str(options.get("parallelism.default", ""))
        if slots and parallelism.isdecimal() and len(parallelism) < 10 and int(parallelism) > slots:
            problems.warn(
                key, f"parallelism.default is {parallelism}, and the TaskManagers have {slots} slots together"
            )


def check_acme(settings: ClusterSettings, jobmanagers: Collection[str], problems: Problems) -> None:
    """Every front door proves a name of its own to the ACME server. `jobmanagers`: the names of JobManagers' hosts."""
    acme = settings.front_door.acme if settings.front_door else None
    if acme and set(acme.names) != set(jobmanagers):
        problems.add(
            "frontDoorAcme names",
            f"are those of {shown(sorted(acme.names))}: expected a DNS name for each of "
            f"{', '.join(sorted(jobmanagers))}",
        )


def check_monitoring(
    settings: ClusterSettings, hosts: tuple[str, int], given: Collection[str], problems: Problems
) -> None:
    """One monitoring host at most, and nothing of it without one. `hosts`: the key that sets their number, and the
    number; `given`: the keys with another value than the default.
    """
    key, count = hosts
    if count > 1:
        problems.add(key, f"has {count} monitoring hosts: expected one at most")
    if settings.logs.may_lose(monitored=bool(count)):
        problems.warn(
            f"{LOGS}.{OPENSEARCH}",
            "lines that cannot be sent while it is away are lost, and nothing else has them (docs/logs.md): expected a "
            "monitoring host with logsStore: true, or another destination beside it",
        )
    if not count:
        for each in sorted({*MONITORING_KEYS, *LOGS_KEYS} & set(given)):
            problems.add(each, "has no effect without a monitoring host: expected one, or remove it")
        return
    # The other ports are refused with and without a monitoring host (settings/front_door.py)
    taken = [port.number for port in ports.BEHIND if Role.JOBMANAGER in port.listens]
    if settings.front_door_port in taken:
        problems.add(
            "frontDoorPort", f"{settings.front_door_port} is another port of the cluster: expected one such as 443"
        )
    if settings.tls_signer and Circle.MONITORING not in settings.tls_signer.authorities:
        problems.add(
            "tlsSigner authorities",
            f"has none for {Circle.MONITORING.value}: expected a file with certificates, since there is a monitoring "
            "host",
        )


def check_jobs(jobs: Sequence[JobSettings], slots: Sequence[int], problems: Problems) -> None:
    """Warn if the declared jobs together need more slots than the TaskManagers have, or than are left without the
    largest of them. `slots` are those of each TaskManager.
    """
    needed = sum(job.parallelism for job in jobs if job.state == "running")
    total = sum(slots)
    left = total - max(slots, default=0)
    if needed > total:
        problems.warn("jobs", f"need {needed} slots together, and the TaskManagers have {total}")
    elif needed > left:
        problems.warn(
            "jobs", f"need {needed} slots together: without one TaskManager {left} are left, and jobs would wait"
        )
    twice = max((job.parallelism for job in jobs if job.upgrade_mode == "blue-green"), default=0)
    if needed <= total < needed + twice:
        problems.warn(
            "jobs",
            f"need {needed + twice} slots while a change of the largest blue-green job runs beside it, and the"
            f" TaskManagers have {total}",
        )
