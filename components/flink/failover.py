"""The failover budget: one number from which every timeout derives.

A leading JobManager that dies is noticed when its ZooKeeper session expires; a TaskManager, when its heartbeats stop.
Measured on lab hosts with Flink's defaults: 40 of 43 seconds of a failover are the expiry, 2 to 3 s the recovery
(docs/operations.md). So half of the budget goes to detection; the rest is for the
expiry's rounding up to a tick, election, recovery and a machine that is busy. Not less than half: a client whose
ZooKeeper server goes away tries the others in turn, a third of the session each, and with a session of 6 s it was back
only after 5 s (seen on the lab).
"""

from dataclasses import dataclass

MINIMUM_SECONDS = 8
"""Below it a session would be under 4 s: a garbage collection or a busy host would look like a death."""

MAXIMUM_SECONDS = 600

DEFAULT_SECONDS = 15


@dataclass(frozen=True)
class Timings:
    """All in milliseconds but the limits, which ZooKeeper counts in ticks."""

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
    """Timings for a budget in seconds; ValueError if it cannot be met.

    ZooKeeper grants sessions of 2 to 20 ticks (administrator's guide, minSessionTimeout); six ticks a session lets two
    pings be lost. A follower may lag five seconds before the ensemble drops it. A client retries for at least
    30 s
    while there is no quorum.
    """
    if not MINIMUM_SECONDS <= budget_seconds <= MAXIMUM_SECONDS:
        raise ValueError(f"{budget_seconds} is out of range: expected {MINIMUM_SECONDS} to {MAXIMUM_SECONDS} seconds")
    session = budget_seconds * 1000 // 2
    tick = session // 6
    retry_wait = min(1000, session // 6)
    return Timings(
        session_timeout=session,
        connection_timeout=max(3000, session * 2 // 3),
        retry_wait=retry_wait,
        retry_attempts=-(-30_000 // retry_wait),
        heartbeat_interval=max(500, session // 5),
        heartbeat_timeout=session,
        tick_time=tick,
        init_limit=max(10, -(-30_000 // tick)),
        sync_limit=max(4, -(-5_000 // tick)),
    )
