"""The failover budget: one number from which every timeout derives.

The failure of the leading JobManager is detected when its ZooKeeper session expires, that of a TaskManager when its
heartbeats stop. Measured on lab hosts with Flink's defaults: 40 of 43 seconds of a failover are the expiry, 2 to 3 s
the recovery (docs/operations.md). So half of the budget is for detection, and the rest for rounding the expiry up to a
tick, election, recovery and busy machines. It is not less than half: a client that loses its ZooKeeper server tries the
others in turn, each for a third of the session timeout. With a session of 6 s it took 5 s to reconnect (in the lab).
"""

from dataclasses import dataclass

from ..problems import shown

MINIMUM_SECONDS = 5
"""Less would make a session shorter than 2.5 s, and a garbage collection or a busy host would look like a failure."""

MAXIMUM_SECONDS = 600

HEARTBEAT_MS = 500
"""The second heartbeat that a host refuses is a death, so it is noticed within two intervals. The shortest session has
five."""

DEFAULT_SECONDS = 15


@dataclass(frozen=True)
class Timings:
    """All in milliseconds, except the limits, which ZooKeeper counts in ticks."""

    session_timeout: int
    connection_timeout: int
    retry_wait: int
    retry_attempts: int
    heartbeat_interval: int
    heartbeat_timeout: int
    tick_time: int
    init_limit: int
    sync_limit: int


def timings(budget_seconds: int) -> Timings:
    """Timings for a budget in seconds. Raises ValueError if the budget is out of range.

    ZooKeeper allows sessions of 2 to 20 ticks (administrator's guide, minSessionTimeout). With six ticks a session
    survives two lost pings. A follower may lag five seconds before the ensemble drops it, and has ten or more to
    find its leader and to get all data, which are few; a server that leads nobody tries again after as long. A client
    retries for at least 30 s without a quorum.
    """
    if not MINIMUM_SECONDS <= budget_seconds <= MAXIMUM_SECONDS:
        raise ValueError(
            f"{shown(budget_seconds)} is out of range: expected {MINIMUM_SECONDS} to {MAXIMUM_SECONDS} seconds"
        )
    session = budget_seconds * 1000 // 2
    tick = session // 6
    retry_wait = min(1000, session // 6)
    return Timings(
        session_timeout=session,
        connection_timeout=max(3000, session * 2 // 3),
        retry_wait=retry_wait,
        retry_attempts=-(-30_000 // retry_wait),
        heartbeat_interval=HEARTBEAT_MS,
        heartbeat_timeout=session,
        tick_time=tick,
        init_limit=max(10, -(-10_000 // tick)),
        sync_limit=max(4, -(-5_000 // tick)),
    )
