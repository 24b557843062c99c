"""One run at a time changes a declared job: `up`, or the watch of a JobManager's host, or a command of a person.
Whoever has the lock reads the record first, and continues what a run before it has begun.
"""

from __future__ import annotations

import contextlib

from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .clock import Clock
    from .store import Store


@contextlib.contextmanager
def locked(values: dict[str, Any], store: Store, clock: Clock, what: str, seconds: float) -> Iterator[None]:
    """Hold the lock of a job; `what` is for those who wait for it, `values` as in `Job`. Raises Failure if another run
    has it for longer than the given seconds.
    """
    other = ""

    def taken() -> bool:
        nonlocal other
        other = store.claim(values["name"], f"{what} on {values['host']}")
        return not other

    if not clock.until(seconds, taken):
        raise Busy(
            f"job {values['name']}: {other} changes it for more than {seconds:.0f} s; try again when it has ended"
        )
    try:
        yield
    finally:
        # After a failure of the storage this fails as well, and would hide it; the lock ends with the process
        with contextlib.suppress(Failure):
            store.release()


class Busy(Failure):
    """Another run changes the job."""


def waits(values: dict[str, Any]) -> float:
    """Seconds that `up` and people wait: the watch may be starting the job."""
    return float(2 * values["seconds"] + 120)
