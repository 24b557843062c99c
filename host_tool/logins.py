"""Proves, before any daemon starts, that this host's daemons' user can log in to all hosts that rollouts and
start-cluster.sh need.
"""

from __future__ import annotations

from .output import Failure, differs, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .hosts import Hosts

DENIED = "Permission denied"
LOGIN_SECONDS = 30
PATIENCE_SECONDS = 15
"""Tolerates an sshd that refuses for a moment because of many logins at once."""
REMEDY = (
    "No daemon was started or restarted. Check on these hosts that sshd admits the user (AllowUsers, AllowGroups,"
    " DenyUsers, DenyGroups, AuthorizedKeysFile), that it listens on the port of the inventory (port, sshdPort), and"
    " that no other firewall drops the connection; then run `up` again"
)


class Logins:
    """The logins. `values`: host (this one's name), hosts (names of the hosts to log in to), user."""

    def __init__(self, values: dict[str, Any], hosts: Hosts, clock: Clock) -> None:
        self._values = values
        self._hosts, self._clock = hosts, clock
        self._problems: dict[str, str] = dict.fromkeys(values["hosts"], "")

    def apply(self) -> None:
        """Log in to each. Raises Failure with all that cannot be logged in to."""
        values = self._values
        self._clock.until(PATIENCE_SECONDS, self._is_clear)
        if self._problems:
            said = "; ".join(f"{host}: {problem}" for host, problem in self._problems.items())
            raise Failure(f"cannot log in as {values['user']} to {len(self._problems)} hosts ({said}). {REMEDY}")
        say(values["host"], f"logins: {values['user']} can log in to {len(values['hosts'])} hosts")

    def check(self) -> None:
        """Report the hosts that cannot be logged in to."""
        self._is_clear()
        for host, problem in self._problems.items():
            differs(f"login to {host}", f"expected {self._values['user']} to be admitted, found: {problem}")

    def _is_clear(self) -> bool:
        """Whether another attempt would change nothing. One that was denied is not repeated: sshd 9.8 and newer shuts
        out an address after a few of these (PerSourcePenalties), also for logins that it would admit.
        """
        asked = [host for host, problem in self._problems.items() if DENIED not in problem]
        denied = {host: problem for host, problem in self._problems.items() if DENIED in problem}
        self._problems = {**denied, **self._hosts.problems(asked)}
        return all(DENIED in problem for problem in self._problems.values())
