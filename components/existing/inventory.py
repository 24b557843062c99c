"""The inventory: a YAML file that lists existing hosts.

    ssh: {user: admin, privateKeyFile: keys/id_ed25519}       # defaults for all hosts
    hosts:
      - {name: jm-0, role: jobmanager, address: 10.0.0.10, hostKey: ssh-ed25519 AAAA…}

docs/configuration.md (Inventory) has every field.
"""

import ipaddress
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from .. import files, forms, private_key, yaml_text
from ..host import Role
from ..openssh import Login
from ..problems import Problems, shown
from ..shapes import Shape, fields, names

MOST_MEMORY_MIB = 64 * 2**20
"""64 TiB: what has more is a size in bytes."""


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


def address_of_a_host(text: str) -> str:
    """An IP address that a host can have and others can reach. Raises ValueError for any other text."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not an IP address: expected one such as 10.0.0.10") from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        raise ValueError(f"{text} is an IPv4 address in IPv6: expected {parsed.ipv4_mapped}")
    if (
        parsed.is_loopback
        or parsed.is_unspecified
        or parsed.is_multicast
        or parsed.is_link_local  # with and without a zone
        or parsed.is_reserved
        or (parsed.version == 4 and parsed in ipaddress.ip_network("0.0.0.0/8"))
    ):
        raise ValueError(f"{text} is unreachable from other hosts: expected an address of the host's own")
    return text


def _server(text: str) -> str:
    return text if forms.DNS_NAME.fits(text) else address_of_a_host(text)


def _role(text: str) -> str:
    roles = [role.value for role in Role]
    if text not in roles:
        raise ValueError(f"{shown(text)} is not a role: expected {', '.join(roles)}")
    return text


def _host_key(text: str) -> str:
    if text.startswith("ssh-rsa "):
        # The command plugin asks a host for the type of the pinned key by its name, and `ssh-rsa` names signatures with
        # SHA-1, which sshd 8.8 and newer do not give.
        raise ValueError(
            "is of type ssh-rsa, with which no login to a current sshd succeeds: expected the host's ssh-ed25519 or"
            " ecdsa-sha2-nistp256 key, which `ssh-keyscan -t ed25519,ecdsa ADDRESS` prints"
        )
    forms.HOST_KEY(text)
    try:
        private_key.check_host_key(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} {error}: expected {forms.HOST_KEY.expected}") from None
    return text


_Address = Annotated[str, AfterValidator(address_of_a_host)]
_Server = Annotated[str, AfterValidator(_server)]
_HostKey = Annotated[str, AfterValidator(_host_key)]


class _Ssh(Shape):
    user: Annotated[str, AfterValidator(forms.USER)] = Field(
        description="a user with passwordless sudo, here or in ssh"
    )
    port: int = Field(22, ge=1, le=65535)
    private_key_file: Annotated[str, AfterValidator(forms.PATH)] = Field(description="a path, here or in ssh")


class _Jump(_Ssh):
    address: _Server = Field(description="its IP address or DNS name")
    host_key: _HostKey = Field(description=forms.HOST_KEY.expected)


class _Host(_Jump):
    name: Annotated[str, AfterValidator(forms.HOST_NAME)] = Field(description=forms.HOST_NAME.expected)
    role: Annotated[str, AfterValidator(_role)] = Field(description=", ".join(role.value for role in Role))
    address: _Address = Field(description="an IP address such as 10.0.0.10")
    ssh_address: _Server = ""
    cpus: int = Field(1, ge=1, le=4096)
    memory_mib: int = Field(256, alias="memoryMiB", ge=256, le=MOST_MEMORY_MIB)
    zone: Annotated[str, AfterValidator(forms.ZONE)] = ""
    sshd_port: int = Field(22, ge=1, le=65535)
    jump: dict[Any, Any] = {}


FIELDS = tuple(names(_Host))
"""Of a host."""


def load(path: Path, problems: Problems) -> tuple[InventoryHost, ...]:
    """The hosts in the file at `path`, in its order, without invalid ones. Errors are added to `problems`.

    Reads the private keys that it names, with paths relative to the inventory's folder.
    """
    try:
        content = yaml_text.read(files.text(path), str(path))
    except ValueError as error:
        problems.add("inventory", str(error))
        return ()
    if not isinstance(content, dict) or not isinstance(content.get("hosts"), list):
        problems.add("inventory", f"{path} has no list of hosts: expected `hosts:` with an entry for each host")
        return ()
    for key in content:
        if key not in ("ssh", "hosts"):
            problems.add(
                f"inventory {key if isinstance(key, str) else shown(key)}", "is unknown: expected ssh or hosts"
            )
    if not content["hosts"]:
        problems.add("inventory", f"{path} has no hosts: expected an entry for each host")
    reader = _Reader(path.parent, problems, content.get("ssh") or {})
    hosts = [reader.host(index, entry) for index, entry in enumerate(content["hosts"])]
    found = tuple(host for host in hosts if host)
    _unique(found, problems)
    return found


class _Reader:
    def __init__(self, folder: Path, problems: Problems, defaults: Any) -> None:
        self.folder = folder
        self.problems = problems
        self.keys: dict[str, str] = {}
        self.defaults = fields(_Ssh, defaults, "inventory ssh", problems, may_be_missing=_SSH_FIELDS)
        # A default that is wrong is one problem, and not one of each host that does without
        written = defaults if isinstance(defaults, Mapping) else {}
        self.told: Collection[str] = {name for name in _SSH_FIELDS if name in written and name not in self.defaults}

    def host(self, index: int, entry: Any) -> InventoryHost | None:
        name = entry.get("name") if isinstance(entry, dict) else None
        where = f"inventory host {name if forms.HOST_NAME.fits(name) else f'number {index + 1}'}"
        before = len(self.problems.found)
        own = self._fields(_Host, entry, where)
        jump = None
        if "jump" in own:
            hop = self._fields(_Jump, own["jump"], f"{where} jump")
            jump = self._login(f"{where} jump", hop, hop.get("address"))
        login = self._login(where, own, own.get("sshAddress", own.get("address")))
        if len(self.problems.found) > before or login is None:
            return None
        return InventoryHost(
            name=own["name"], role=Role(own["role"]), address=str(ipaddress.ip_address(own["address"])),
            login=replace(login, jump=jump), cpus=own.get("cpus"), memory_mib=own.get("memoryMiB"),
            zone=own.get("zone", ""), sshd_port=own.get("sshdPort", login.port),
        )  # fmt: skip

    def _fields(self, shape: type[Shape], entry: Any, where: str) -> dict[str, Any]:
        """The entry's good fields, with the defaults of all hosts."""
        whole = {**self.defaults, **entry} if isinstance(entry, dict) else entry
        return fields(shape, whole, where, self.problems, may_be_missing=self.told)

    def _login(self, where: str, own: Mapping[str, Any], address: str | None) -> Login | None:
        key = self._private_key(own.get("privateKeyFile"))
        if not (key and address and "user" in own and "hostKey" in own):
            return None
        return Login(
            address=address,
            user=own["user"],
            port=own.get("port", 22),
            private_key=key,
            host_key=own["hostKey"],
        )

    def _private_key(self, name: str | None) -> str:
        """Text of the key file; a bad file is one problem, however many hosts name it."""
        if not name:
            return ""
        if name not in self.keys:
            self.keys[name] = ""
            where = "inventory privateKeyFile"
            path = self.problems.catch(where, lambda: files.located(name, self.folder), None)
            if path:
                self.keys[name] = private_key.read(path, where, self.problems)
        return self.keys[name]


_SSH_FIELDS = ("user", "port", "privateKeyFile")


def _unique(hosts: tuple[InventoryHost, ...], problems: Problems) -> None:
    """Each machine may be listed once, by its name, its address, and where SSH connects to."""
    for what, of in (
        ("name", lambda host: host.name),
        ("address", lambda host: host.address),
        ("sshAddress", _reached),
    ):
        seen: dict[Hashable, InventoryHost] = {}
        for host in hosts:
            where, other = f"inventory host {host.name} {what}", seen.setdefault(of(host), host)
            if other is host:
                continue
            if what != "sshAddress":
                problems.add(where, f"{of(host)} is used twice: expected a unique {what} for each host")
            elif other.address != host.address:
                reached = f"{host.login.address} port {host.login.port}"
                problems.add(where, f"SSH to {reached} is also SSH to {other.name}: expected a unique address")


def _reached(host: InventoryHost) -> Hashable:
    """Where SSH ends for a host: the same address behind another host on the way may be another machine."""
    return tuple(
        (_canonical(login.address), login.port) for login in (host.login, host.login.jump) if login is not None
    )


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower()
