"""Files for OpenSSH to log in to hosts, made by pure functions: the way to a host when it is not Pulumi that connects.

All names in them are relative: `ssh -F config HOST` has to run in the folder that holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CONFIG, KNOWN_HOSTS = "config", "known_hosts"

# OpenSSH ends the process of its jump by SIGHUP. Where that is ignored, as under nohup, the process would stay, and
# whoever reads what ssh says would wait for ever. A shell cannot take back what was ignored when it started; `env` can,
# from coreutils 8.31 on, and so can Python. Without $ and single quotes, for any login shell.
_RESET = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
_THROUGH = (
    "sh -c 'env --default-signal=HUP true 2>/dev/null && exec env --default-signal=HUP {ssh};"
    ' command -v python3 >/dev/null && exec python3 -I -c "{reset}" {ssh}; exec {ssh}'
    "'"
)

# A host that just reboots refuses for a moment; a dead one takes half a minute to be told from a slow one. One that
# dies in the middle is noticed after a minute.
_ALL = """\
Host *
  BatchMode yes
  ClearAllForwardings yes
  ConnectTimeout 10
  ConnectionAttempts 3
  ControlPath none
  GlobalKnownHostsFile /dev/null
  IdentitiesOnly yes
  IdentityAgent none
  LogLevel ERROR
  ServerAliveCountMax 4
  ServerAliveInterval 15
  StrictHostKeyChecking yes
  UpdateHostKeys no
  UserKnownHostsFile known_hosts
"""


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where and how to log in by SSH, all of it known."""

    address: str
    user: str
    port: int
    private_key: str
    """Text of the private key, not its path."""
    host_key: str
    jump: "Login | None" = None
    """SSH host on the way to it."""


def files(logins: Mapping[str, Login]) -> dict[str, str]:
    """The files by their names, for hosts by theirs: config, known_hosts, and a key0, key1, … for each private key."""
    entries, known = [], ""
    keys: dict[str, str] = {}
    for name, login in logins.items():
        for alias, one in ((name, login), *([(f"{name}-jump", login.jump)] if login.jump else [])):
            key = keys.setdefault(one.private_key.strip() + "\n", f"key{len(keys)}")
            entries.append(_entry(alias, one, key))
            # Under the alias, so that neither port nor address matters
            known += f"{alias} {one.host_key.strip()}\n"
    return {CONFIG: "".join([*entries, _ALL]), KNOWN_HOSTS: known, **{name: text for text, name in keys.items()}}


def _entry(alias: str, login: Login, key: str) -> str:
    lines = [
        f"Host {alias}",
        f"  HostName {login.address}",
        f"  HostKeyAlias {alias}",
        f"  IdentityFile {key}",
        f"  Port {login.port}",
        f"  User {login.user}",
        *([f"  ProxyCommand {_through(f'{alias}-jump')}"] if login.jump else []),
    ]
    return "\n".join(lines) + "\n"


def _through(jump: str) -> str:
    """The command that ssh runs to reach a host by way of `jump`."""
    return _THROUGH.format(ssh=f"ssh -F {CONFIG} -W [%h]:%p {jump}", reset=_RESET)
