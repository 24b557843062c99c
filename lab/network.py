"""The lab's network: a bridge with its own /24, NAT to the outside, and the necessary changes on this machine.

Labs of several clones may exist at the same time. What they share (the subnets in use, the kernel settings before the
first lab) is stored in `REGISTRY`, under a lock.
"""

import fcntl
import hashlib
import ipaddress
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import LabError
from toolbox import files

REGISTRY = Path("/run/flink-lab")
KERNEL = {
    "ip_forward": (Path("/proc/sys/net/ipv4/ip_forward"), 1),
    # systemd uses 6 of root's on each host, and Linux allows 128: three labs could not boot at the same time
    "max_user_instances": (Path("/proc/sys/fs/inotify/max_user_instances"), 1024),
}
"""Kernel settings that labs need, with their minimum; restored when the last lab of the machine is removed."""
_PRIVATE = tuple(ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918. The later ranges are for machines, for example in VPNs, with a route for all of the first one."""


def run(*argv: str, stdin: str | None = None, check: bool = True) -> str:
    """Run a command and return its output; `LabError` with its errors if it fails and `check` is set."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed") from error
    if check and done.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


@dataclass(frozen=True)
class Record:
    """This machine's record of a lab, whichever clone it belongs to."""

    id: str
    name: str
    repo: str
    subnet: str
    public: str = ""
    """The outside addresses that it imitates, if any (`claim`)."""


@dataclass(frozen=True)
class Network:
    """The network of one lab."""

    lab_id: str
    subnet: ipaddress.IPv4Network

    @property
    def bridge(self) -> str:
        """The bridge's interface name."""
        return f"fl-{self.lab_id}"

    @property
    def gateway(self) -> str:
        """This machine's address on the bridge."""
        return self.address(1)

    def address(self, number: int) -> str:
        """The `number`th address of the subnet."""
        return str(self.subnet[number])


@contextmanager
def _registry() -> Iterator[None]:
    """Lock the registry: one process at a time chooses a subnet or changes what labs share."""
    REGISTRY.mkdir(mode=0o700, exist_ok=True)
    with (REGISTRY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def records() -> list[Record]:
    """All labs in this machine's registry, of this and other clones."""
    found = []
    for path in sorted(REGISTRY.glob("*.json")):
        try:
            found.append(Record(**json.loads(path.read_text())))
        except (
            OSError,
            ValueError,
            TypeError,
        ):  # removed in the meantime, or the machine stopped during the write
            continue
    return found


def _taken(lab_id: str) -> list[ipaddress.IPv4Network]:
    """The networks in use on this machine: addresses, routes of all tables, name servers, other labs."""
    own = f"fl-{lab_id}"
    texts = [record.subnet for record in records() if record.id != lab_id]
    for link in json.loads(run("ip", "-j", "-4", "address") or "[]"):
        if link.get("ifname") != own:
            texts += [f"{info['local']}/{info['prefixlen']}" for info in link.get("addr_info", []) if "local" in info]
    for route in json.loads(run("ip", "-j", "-4", "route", "show", "table", "all") or "[]"):
        if route.get("dev") != own:
            texts += [route["dst"]] if route["dst"] != "default" else []
            texts += [route["gateway"]] if "gateway" in route else []
    for line in resolv_conf().splitlines():
        if line.startswith("nameserver") and ":" not in line:
            texts += line.split()[1:2]
    networks = []
    for text in texts:
        try:
            network = ipaddress.IPv4Network(text, strict=False)
        except ValueError:
            continue
        if network.prefixlen > 0:  # 0.0.0.0/0 is another form of the default route
            networks.append(network)
    return networks


def _choose(lab_id: str, previous: str | None) -> ipaddress.IPv4Network:
    """A free /24: the previous one if still free, else one derived from the lab's id; `LabError` if none is free."""
    return _free(lab_id, previous, 24, _taken(lab_id))


def free(lab_id: str, prefix: int) -> ipaddress.IPv4Network:
    """Another private network, besides the lab's own, that nothing on this machine uses; `LabError` if none is free."""
    own = [ipaddress.IPv4Network(record.subnet) for record in records() if record.id == lab_id]
    return _free(lab_id, None, prefix, [*_taken(lab_id), *own])


def _free(lab_id: str, previous: str | None, prefix: int, taken: list[ipaddress.IPv4Network]) -> ipaddress.IPv4Network:

    def free(network: ipaddress.IPv4Network) -> bool:
        return not any(network.overlaps(other) for other in taken)

    if previous and free(kept := ipaddress.IPv4Network(previous)):
        return kept
    seed = int(hashlib.sha256(lab_id.encode()).hexdigest(), 16)
    for block in _PRIVATE:
        count = 1 << max(0, prefix - block.prefixlen)
        for step in range(count):
            base = int(block.network_address) + ((seed + step) % count << (32 - prefix))
            if free(candidate := ipaddress.IPv4Network((base, prefix))):
                return candidate
    raise LabError(
        f"no private /{prefix} is free: this machine's routes cover 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 "
        "(see `ip route show table all`); disconnect the VPN with these routes, or use another machine"
    )


def resolv_conf() -> str:
    """The machine's resolver configuration, with name servers that hosts can reach, if there are any."""
    text = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    behind_stub = Path("/run/systemd/resolve/resolv.conf")
    if "nameserver 127." in text and behind_stub.exists():
        return behind_stub.read_text()
    return text


def _table(network: Network) -> str:
    """The lab's nftables rules: NAT to the outside, no traffic to other labs, TCP segments that fit the route."""
    name, bridge, subnet = f"flinklab_{network.lab_id}", network.bridge, network.subnet
    return f"""
table ip {name} {{}}
delete table ip {name}
table ip {name} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr {subnet} ip daddr != {subnet} masquerade
    }}
    chain forward {{
        type filter hook forward priority filter
        iifname "{bridge}" oifname "fl-*" oifname != "{bridge}" drop
        iifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
        oifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
    }}
}}
"""


def _foreign(kind: str, lab_id: str) -> list[dict[str, Any]]:
    """Chains or rules (`kind`) in tables other than this lab's, as nft describes them."""
    listed = json.loads(run("nft", "-j", "list", "ruleset") or '{"nftables": []}')["nftables"]
    items = [item[kind] for item in listed if kind in item]
    return [item for item in items if not str(item["table"]).startswith("flinklab_")]


def _open_foreign_firewalls(network: Network) -> None:
    """Accept the lab's traffic in other programs' chains that drop by policy (such as those of Docker and ufw).

    An accept in the lab's own table cannot override a drop elsewhere, so each chain gets a rule with the lab's id as
    comment.
    """
    comment, bridge = f"flinklab_{network.lab_id}", network.bridge
    there = {
        (rule["table"], rule["chain"]) for rule in _foreign("rule", network.lab_id) if rule.get("comment") == comment
    }
    for chain in _foreign("chain", network.lab_id):
        if chain.get("policy") != "drop" or chain.get("hook") not in ("forward", "input"):
            continue
        if (chain["table"], chain["name"]) in there:
            continue
        for match in ("iifname", "oifname") if chain["hook"] == "forward" else ("iifname",):
            place = ("insert", "rule", chain["family"], chain["table"], chain["name"])
            run("nft", *place, match, bridge, "accept", "comment", f'"{comment}"')


def _close_foreign_firewalls(lab_id: str) -> None:
    for rule in _foreign("rule", lab_id):
        if rule.get("comment") == f"flinklab_{lab_id}":
            place = (rule["family"], rule["table"], rule["chain"])
            run("nft", "delete", "rule", *place, "handle", str(rule["handle"]), check=False)


def up(lab_id: str, name: str, repo: Path, previous: str | None, in_use: bool) -> Network:
    """Create the lab's network, or what is missing of it, and return it.

    `previous` is its former subnet, which is used again if it is still free, or `in_use` by running hosts.
    """
    with _registry():
        kept = ipaddress.IPv4Network(previous) if previous and in_use else None
        network = Network(lab_id, kept or _choose(lab_id, previous))
        public = next((record.public for record in records() if record.id == lab_id), "")
        record = Record(lab_id, name, str(repo), str(network.subnet), public)
        files.write(REGISTRY / f"{lab_id}.json", json.dumps(asdict(record)))
        _tune_kernel()
    bridge, expected = network.bridge, f"{network.gateway}/{network.subnet.prefixlen}"
    if not Path(f"/sys/class/net/{bridge}").exists():
        # A fixed MAC address: otherwise the bridge takes that of a port, which changes when hosts start and stop.
        mac = ":".join(["02", "f1", *(lab_id[i : i + 2] for i in (0, 2, 4)), "01"])
        run("ip", "link", "add", bridge, "address", mac, "type", "bridge")
    for link in json.loads(run("ip", "-j", "-4", "address", "show", "dev", bridge) or "[]"):
        for info in link.get("addr_info", []):
            if (old := f"{info['local']}/{info['prefixlen']}") != expected:
                run("ip", "address", "delete", old, "dev", bridge)
    run("ip", "address", "replace", expected, "dev", bridge)
    run("ip", "link", "set", bridge, "up")
    run("nft", "-f", "-", stdin=_table(network))
    _open_foreign_firewalls(network)
    return network


def _tune_kernel() -> None:
    for name, (setting, least) in KERNEL.items():
        before = REGISTRY / name
        if not before.exists():
            files.write(before, setting.read_text())
        if int(setting.read_text()) < least:
            setting.write_text(str(least))


def _restore_kernel() -> None:
    for name, (setting, _) in KERNEL.items():
        before = REGISTRY / name
        if before.exists():
            setting.write_text(before.read_text())
            before.unlink()


def claim(lab_id: str, of: ipaddress.IPv4Network, prefix: int) -> ipaddress.IPv4Network:
    """A part of `of` that no other lab of this machine imitates; it belongs to the lab until `down`.

    `LabError` if all of it is in use, or if there is no such lab.
    """
    with _registry():
        mine = next((record for record in records() if record.id == lab_id), None)
        if mine is None:
            raise LabError(f"there is no lab with the id {lab_id} on this machine")
        taken = [ipaddress.IPv4Network(record.public) for record in records() if record.public and record != mine]
        for part in of.subnets(new_prefix=prefix):
            if not any(part.overlaps(other) for other in taken):
                files.write(REGISTRY / f"{lab_id}.json", json.dumps(asdict(replace(mine, public=str(part)))))
                return part
    others = ", ".join(sorted(record.name for record in records() if record.public and record.id != lab_id))
    raise LabError(f"no /{prefix} of {of} is free: other labs of this machine use it ({others}); remove one of them")


def down(lab_id: str) -> None:
    """Remove the lab's network and, with the last lab of the machine, what labs share; also if it is incomplete."""
    bridge = f"fl-{lab_id}"
    if Path(f"/sys/class/net/{bridge}").exists():
        for port in Path(f"/sys/class/net/{bridge}/brif").iterdir():
            run("ip", "link", "delete", port.name, check=False)
        run("ip", "link", "delete", bridge, check=False)
    if shutil.which("nft"):  # without nft no lab ever had rules
        for line in run("nft", "list", "tables", "ip").splitlines():  # "table ip NAME"
            if (name := line.split()[2]) == f"flinklab_{lab_id}" or name.startswith(f"flinklab_{lab_id}_"):
                run("nft", "delete", "table", "ip", name)
        _close_foreign_firewalls(lab_id)
    if not REGISTRY.exists():
        return
    with _registry():
        (REGISTRY / f"{lab_id}.json").unlink(missing_ok=True)
        if not records():
            _restore_kernel()


def outbound_problem() -> str:
    """What on this machine may block the hosts' outgoing traffic, for an error message."""
    chains = [c for c in _foreign("chain", "") if c.get("hook") == "forward"]
    named = ", ".join(f"{c['family']} {c['table']} {c['name']} (policy {c.get('policy')})" for c in chains)
    return (
        "forwarded traffic is dropped on its way out. The lab's own nftables table accepts it, but an accept there "
        f"cannot override a drop elsewhere. Forward chains of others on this machine: {named or 'none that nft lists'};"
        " check also `iptables-legacy -L FORWARD`, and allow traffic from and to the interfaces fl-*"
    )
