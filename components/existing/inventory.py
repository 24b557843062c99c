"""The inventory: a YAML file that lists existing hosts.

    ssh: {user: admin, privateKeyFile: keys/id_ed25519}       # defaults for all hosts
    hosts:
      - {name: jm-0, role: jobmanager, address: 10.0.0.10, hostKey: ssh-ed25519 AAAA…}

docs/configuration.md (Inventory) has every field.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from .. import private_key
from ..host import Role
from ..openssh import Login
from ..problems import Problems

_HOST_NAME = re.compile(r"^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
_DNS_NAME = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", re.I)
_HOST_KEY = re.compile(r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( .*)?$")

_SSH_FIELDS = {"user": str, "port": int, "privateKeyFile": str}
_JUMP_FIELDS = {**_SSH_FIELDS, "address": str, "hostKey": str}
_HOST_FIELDS = {
    **_JUMP_FIELDS, "name": str, "role": str, "sshAddress": str, "sshdPort": int, "cpus": int, "memoryMiB": int,
    "zone": str, "jump": dict,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InventoryHost:
    """A host of the inventory, with the defaults of the inventory filled in."""

    name: str
    role: Role
    address: str
    login: Login
    cpus: int | None
    memory_mib: int | None
    zone: str
    sshd_port: int
    """Port of its sshd, where JobManagers log in."""


def load(path: Path, problems: Problems) -> tuple[InventoryHost, ...]:
    """The hosts in the file at `path`, in its order, without invalid ones. Errors are added to `problems`.

    Reads the private keys that it names, with paths relative to the inventory's folder.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        problems.add("inventory", f"{path} cannot be read: {error.strerror}")
        return ()
    except UnicodeDecodeError:
        problems.add("inventory", f"{path} is not UTF-8 text")
        return ()
    except yaml.YAMLError as error:
        problems.add("inventory", f"{path} is not valid YAML: {' '.join(str(error).split())}")
        return ()
    if not isinstance(content, dict) or not isinstance(content.get("hosts"), list):
        problems.add("inventory", f"{path} has no list of hosts: expected `hosts:` with an entry for each host")
        return ()
    reader = _Reader(path.parent, problems)
    defaults = reader.fields("inventory ssh", content.get("ssh") or {}, _SSH_FIELDS)
    for key in sorted(set(content) - {"ssh", "hosts"}):
        problems.add(f"inventory {key}", "is unknown: expected ssh or hosts")
    hosts = [reader.host(index, entry, defaults) for index, entry in enumerate(content["hosts"])]
    found = tuple(host for host in hosts if host)
    _unique(found, problems)
    return found


class _Reader:
    def __init__(self, folder: Path, problems: Problems) -> None:
        self.folder = folder
        self.problems = problems
        self.keys: dict[str, str] = {}

    def fields(self, where: str, entry: Any, known: Mapping[str, type]) -> dict[str, Any]:
        """The known fields of the entry that have the right type. All others are added to `problems`."""
        if not isinstance(entry, dict):
            self.problems.add(where, f"{entry!r} is not a mapping: expected `key: value` pairs")
            return {}
        good = {}
        for key, value in entry.items():
            if key not in known:
                self.problems.add(f"{where} {key}", f"is unknown: expected one of {', '.join(sorted(known))}")
            elif not isinstance(value, known[key]) or isinstance(value, bool):
                self.problems.add(f"{where} {key}", f"{value!r} has the wrong type: expected {known[key].__name__}")
            else:
                good[key] = value
        return good

    def host(self, index: int, entry: Any, defaults: Mapping[str, Any]) -> InventoryHost | None:
        name = entry.get("name", "") if isinstance(entry, dict) else ""
        where = f"inventory host {name or f'number {index + 1}'}"
        before = len(self.problems.found)
        own = self.fields(where, entry, _HOST_FIELDS)
        if not _HOST_NAME.match(own.get("name", "")):
            self.problems.add(f"{where} name", f"{name!r} is not a short host name: expected a-z, 0-9 and -, up to 63")
        roles = [role.value for role in Role]
        if own.get("role") not in roles:
            self.problems.add(f"{where} role", f"{own.get('role')!r} is not a role: expected {', '.join(roles)}")
        address = self._ip(where, own.get("address"))
        for key, least in (("cpus", 1), ("memoryMiB", 256)):
            if key in own and own[key] < least:
                self.problems.add(f"{where} {key}", f"{own[key]} is too small: expected {least} or more")
        login = self._login(where, {**defaults, **own, "address": own.get("sshAddress", own.get("address"))})
        jump = None
        if "jump" in own:
            fields = self.fields(f"{where} jump", own["jump"], _JUMP_FIELDS)
            jump = self._login(f"{where} jump", {**defaults, **fields})
        if not 0 < own.get("sshdPort", 22) < 65536:
            self.problems.add(f"{where} sshdPort", f"{own['sshdPort']} is out of range: expected 1 to 65535")
        if len(self.problems.found) > before or login is None:
            return None
        return InventoryHost(
            name=own["name"], role=Role(own["role"]), address=address, login=replace(login, jump=jump),
            cpus=own.get("cpus"), memory_mib=own.get("memoryMiB"), zone=own.get("zone", ""),
            sshd_port=own.get("sshdPort", login.port),
        )  # fmt: skip

    def _ip(self, where: str, address: Any) -> str:
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            self.problems.add(f"{where} address", f"{address!r} is not an IP address: expected one such as 10.0.0.10")
            return ""
        if parsed.is_loopback or parsed.is_unspecified or parsed.is_multicast:
            self.problems.add(
                f"{where} address", f"{address} is unreachable from other hosts: expected an address of the host's own"
            )
        return str(parsed)

    def _login(self, where: str, fields: Mapping[str, Any]) -> Login | None:
        before = len(self.problems.found)
        address = str(fields.get("address") or "")
        if not _DNS_NAME.match(address):
            self._ip(where, address)
        if not fields.get("user"):
            self.problems.add(f"{where} user", "is missing: expected a user with passwordless sudo, here or in ssh")
        if not 0 < fields.get("port", 22) < 65536:
            self.problems.add(f"{where} port", f"{fields['port']} is out of range: expected 1 to 65535")
        host_key = fields.get("hostKey", "")
        if host_key.startswith("ssh-rsa "):
            # The command plugin asks a host for the type of the pinned key by its name, and `ssh-rsa` names signatures
            # with SHA-1, which sshd 8.8 and newer do not give.
            self.problems.add(
                f"{where} hostKey",
                "is of type ssh-rsa, with which no login to a current sshd succeeds: expected the host's ssh-ed25519 or"
                " ecdsa-sha2-nistp256 key, which `ssh-keyscan -t ed25519,ecdsa ADDRESS` prints",
            )
        elif not _HOST_KEY.match(host_key):
            self.problems.add(
                f"{where} hostKey",
                f"{fields.get('hostKey')!r} is not a public host key: expected the output of `ssh-keyscan -t ed25519"
                " ADDRESS` after the address, verified on the host's console",
            )
        key = self._private_key(where, fields.get("privateKeyFile"))
        if len(self.problems.found) > before:
            return None
        return Login(
            address=address,
            user=fields["user"],
            port=fields.get("port", 22),
            private_key=key,
            host_key=fields["hostKey"],
        )

    def _private_key(self, where: str, name: str | None) -> str:
        """Text of the key file. An invalid file is one problem, however many hosts use it."""
        if not name:
            self.problems.add(f"{where} privateKeyFile", "is missing: expected a path, here or in ssh")
            return ""
        if name not in self.keys:
            path = self.folder / Path(name).expanduser()
            self.keys[name] = private_key.read(path, "inventory privateKeyFile", self.problems)
        return self.keys[name]


def _unique(hosts: tuple[InventoryHost, ...], problems: Problems) -> None:
    for what in ("name", "address"):
        seen: set[str] = set()
        for host in hosts:
            value = getattr(host, what)
            if value in seen:
                problems.add(
                    f"inventory host {host.name} {what}",
                    f"{value} is used twice: expected a unique {what} for each host",
                )
            seen.add(value)
