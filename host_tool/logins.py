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
        """Log in to each host. Raises Failure with all hosts where this fails."""
        values = self._values
        if not self._clock.until(PATIENCE_SECONDS, self._all_work):
            said = "; ".join(f"{host}: {problem}" for host, problem in self._problems.items())
            raise Failure(f"cannot log in as {values['user']} to {len(self._problems)} hosts ({said}). {REMEDY}")
        say(values["host"], f"logins: {values['user']} can log in to {len(values['hosts'])} hosts")

    def check(self) -> None:
        """Report drift for each host where the login fails."""
        self._all_work()
        for host, problem in self._problems.items():
            differs(f"login to {host}", f"expected {self._values['user']} to be admitted, found: {problem}")

    def _all_work(self) -> bool:
        self._problems = self._hosts.problems(list(self._problems))
        return not self._problems
