"""The VPC's resolver: Route 53's private zones, EC2's instance names, and this machine's resolver for the rest."""

from __future__ import annotations

import socketserver
from collections.abc import Callable
from typing import Any

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, SOA, TXT, A, DNSRecord
from dnslib.server import DNSLogger, DNSServer

from lab.network import resolv_conf
from stand_ins.aws_cloud.api import Snapshot

_TTL = 1
"""A changed record must be visible at once."""
_SECONDS = 3.0
_TYPES: dict[str, Any] = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "TXT": TXT}


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def serve(address: str, port: int, snapshot: Callable[[], Snapshot], region: str) -> list[DNSServer]:
    """Servers for UDP and TCP that run until they are stopped."""
    resolver, logger = Resolver(snapshot, region), DNSLogger(log="-request,-reply,-truncated,-error")
    servers = [
        DNSServer(resolver, address, port, tcp=tcp, logger=logger, server=_Tcp if tcp else _Udp)
        for tcp in (False, True)
    ]
    for server in servers:
        server.start_thread()
    return servers


class Resolver:
    """Answers from moto's current state."""

    def __init__(self, snapshot: Callable[[], Snapshot], region: str) -> None:
        self._snapshot = snapshot
        self._internal = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"

    def resolve(self, request: DNSRecord, handler: Any) -> DNSRecord:
        """The answer to a request."""
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        snapshot = self._snapshot()
        zones = [zone for zone in snapshot.zones if name == zone or name.endswith(f".{zone}")]
        if zones:
            zone = max(zones, key=len)
            return _answer(request, name, kind, zone, snapshot.zones[zone])
        if name.endswith(f".{self._internal}"):
            own = {
                (f"ip-{each.private.replace('.', '-')}.{self._internal}", "A"): (each.private,)
                for each in snapshot.instances.values()
                if each.lives
            }
            return _answer(request, name, kind, self._internal, own)
        return _forward(request, tcp=handler.protocol == "tcp")


def _answer(request: DNSRecord, name: str, kind: str, zone: str, records: Any) -> DNSRecord:
    reply = request.reply()
    if not any(known == name or known.endswith(f".{name}") for known, _ in records):
        reply.header.rcode = RCODE.NXDOMAIN
    found = [(kind, value) for value in records.get((name, kind), ())]
    if not found:
        found = [("CNAME", value) for value in records.get((name, "CNAME"), ())]
    for each, value in found:
        if each in _TYPES:
            reply.add_answer(RR(name, getattr(QTYPE, each), ttl=_TTL, rdata=_TYPES[each](value.strip('"'))))
    if not reply.rr:
        reply.add_auth(RR(zone, QTYPE.SOA, ttl=_TTL, rdata=SOA(f"ns.{zone}", f"root.{zone}", (1, 60, 60, 60, _TTL))))
    return reply


def _forward(request: DNSRecord, tcp: bool) -> DNSRecord:
    """The answer of the first of this machine's name servers that answers."""
    servers = [line.split()[1] for line in resolv_conf().splitlines() if line.startswith("nameserver")]
    for server in servers:
        try:
            return DNSRecord.parse(request.send(server, 53, tcp=tcp, timeout=_SECONDS, ipv6=":" in server))
        except OSError:
            continue
    reply = request.reply()
    reply.header.rcode = RCODE.SERVFAIL
    return reply
