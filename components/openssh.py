"""OpenSSH's files for logging in to hosts, for connections that Pulumi does not make. Pure functions.

All paths in them are relative: run `ssh -F config HOST` in the folder with the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass

CONFIG, KNOWN_HOSTS = "config", "known_hosts"

# OpenSSH ends the process of its jump with SIGHUP. If SIGHUP is ignored, as under nohup, the process remains, and the
# reader of ssh's output waits forever. A shell cannot restore a signal that was ignored when it started; `env` of
# coreutils 8.31 or newer and Python can. The command has no $ and no nested single quotes, for any login shell.
_RESET = "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
_THROUGH = (
    "sh -c 'env --default-signal=HUP true 2>/dev/null && exec env --default-signal=HUP {ssh};"
    ' command -v python3 >/dev/null && exec python3 -I -c "{reset}" {ssh}; exec {ssh}'
    "'"
)

# A rebooting host refuses connections for a moment. An unreachable host is reported after half a minute, and one that
# becomes unreachable during a command after a minute.
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
    """Where and how to log in by SSH, with resolved values."""

    address: str
    user: str
    port: int
    private_key: str
    """Text of the private key, not its path."""
    host_key: str
    jump: "Login | None" = None
    """SSH host through which this one is reached."""


def files(logins: Mapping[str, Login]) -> dict[str, str]:
    """Host name → login, to file name → text: config, known_hosts, and key0, key1, … for each private key."""
    entries, known = [], ""
    keys: dict[str, str] = {}
    for name, login in logins.items():
        for alias, one in ((name, login), *([(_jump(name), login.jump)] if login.jump else [])):
            key = keys.setdefault(one.private_key.strip() + "\n", f"key{len(keys)}")
            entries.append(_entry(alias, one, key))
            # By the alias, so that neither port nor address matters
            known += f"{alias} {one.host_key.strip()}\n"
    return {CONFIG: "".join([*entries, _ALL]), KNOWN_HOSTS: known, **{name: text for text, name in keys.items()}}


def _jump(alias: str) -> str:
    """The alias of the jump host of a host. No host has it, since their names have no dot."""
    return f"{alias}.jump"


def _entry(alias: str, login: Login, key: str) -> str:
    lines = [
        f"Host {alias}",
        f"  HostName {login.address}",
        f"  HostKeyAlias {alias}",
        f"  IdentityFile {key}",
        f"  Port {login.port}",
        f"  User {login.user}",
        *([f"  ProxyCommand {_through(_jump(alias))}"] if login.jump else []),
    ]
    return "\n".join(lines) + "\n"


def _through(jump: str) -> str:
    """The command that ssh runs to reach a host by way of `jump`."""
    return _THROUGH.format(ssh=f"ssh -F {CONFIG} -W [%h]:%p {jump}", reset=_RESET)
