"""TLS between the hosts of a cluster: the authorities that sign their certificates, and each host's identities.

A host creates its keys, which never leave it, and requests; authorities in the stack's state sign them. Flink accepts
every certificate of a trusted authority (https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/security/security-ssl/),
so each circle has authorities of its own, which sign nothing else.

Renewal is part of `up`: the provider's own `early_renewal_hours` does not renew (pulumi-tls issue 39). The number of
the current period, counted from the first `up` with TLS, is in every request; in a new period hosts create new keys,
get new certificates, and the rollout restarts their daemons.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pulumi
import pulumi_tls as tls
from pulumi_command import remote

from .. import naming
from ..certificates import notice
from ..circles import Circle, circles
from ..host import Host, Role
from ..remote import File, script_text, shipped, step
from ..roles import ROLES
from .authorities import Request, Signed, authorities, is_address, joined
from .node import Node
from .settings import ClusterSettings

OPTIONS = "/etc/flink/tls/options.yaml"
"""On hosts with Flink: lines of config.yaml with the passwords of its stores."""

_OF_FLINK = {Circle.INTERNAL: "security.ssl.internal", Circle.REST: "security.ssl.rest"}
"""Prefixes of Flink's keys for circles."""
_PASSWORDS = ("keystore-password", "key-password", "truststore-password")
_PROGRAM = "/usr/local/lib/flink/IdentityStores.java"
_PEM = re.compile(r"-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----\n?", re.DOTALL)


def folder(role: Role) -> str:
    """Where a host of a role has its identities: a folder for each circle."""
    return f"{ROLES[role].configuration}/tls"


def applies(role: Role, settings: ClusterSettings) -> bool:
    """Whether hosts of a role have identities."""
    return settings.tls and bool(ROLES[role].circles)


def probed(role: Role, settings: ClusterSettings) -> Mapping[str, str | int]:
    """Values with which the probe compares `tlsAuthority` with the authority that a running daemon knows; none if the
    stack's own authorities do not sign.
    """
    daemon = ROLES[role].daemon
    if not applies(role, settings) or settings.tls_signer or not daemon:
        return {}
    return {"authority": settings.tls_authority, "unit": daemon.unit, "identities": folder(role)}


def inputs(role: Role) -> Sequence[str]:
    """The files that the daemon of a role reads: if they change, it restarts."""
    stores = [f"{folder(role)}/{circle.value}" for circle in ROLES[role].circles]
    return [
        *([OPTIONS] if ROLES[role].runs_flink else []),
        *(f"{store}/{name}.p12" for store in stores for name in ("keystore", "truststore")),
    ]


def config(role: Role) -> Mapping[str, Any]:
    """Keys of config.yaml for a role, without passwords."""
    found: dict[str, Any] = {
        "security.ssl.protocol": "TLSv1.3",
        "security.ssl.algorithms": "TLS_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256",
    }
    for circle in _of_flink(role):
        key, stores = _OF_FLINK[circle], f"{folder(role)}/{circle.value}"
        found[f"{key}.enabled"] = True
        for name in ("keystore", "truststore"):
            found |= {f"{key}.{name}": f"{stores}/{name}.p12", f"{key}.{name}-type": "PKCS12"}
        if circle is Circle.REST:
            # Clients need a certificate, too
            found[f"{key}.authentication-enabled"] = True
    return found


def _of_flink(role: Role) -> Sequence[Circle]:
    """The circles of a role whose stores Flink's own options name."""
    return [circle for circle in ROLES[role].circles if circle in _OF_FLINK]


def period(begun: str, life: timedelta, now: datetime) -> str:
    """The current period of certificates that are valid for `life`: two thirds of it. `begun` is the time of the first
    `up` with TLS, in ISO format.
    """
    number = (now - datetime.fromisoformat(begun)) // (life * 2 / 3)
    whole = life == timedelta(days=life.days)
    return f"{life.days}-days-{number}" if whole else f"{life // timedelta(minutes=1)}-minutes-{number}"


def current_period(name: str, life: timedelta, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """The current period; the resource `name` remembers when the first one began."""
    now = datetime.now(UTC)
    begun = pulumi.Stash(
        name,
        input=now.isoformat(timespec="seconds"),
        # The first one counts
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["input"])),
    )
    return begun.output.apply(lambda text: period(text, life, now))


@dataclass(frozen=True)
class Client:
    """What a member of a circle needs that is not a host's daemon, as PEM."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]
    authorities: pulumi.Output[str]
    """Those that it trusts."""
    ends: pulumi.Output[str]
    """When the certificate expires, in ISO format; no PEM."""


class Encryption(pulumi.ComponentResource):
    """What signs and is trusted in a cluster, and the identities of its hosts."""

    def __init__(
        self,
        name: str,
        settings: ClusterSettings,
        opts: pulumi.ResourceOptions | None = None,
        *,
        monitored: bool = False,
    ) -> None:
        super().__init__(naming.type_token("flink", "Encryption"), name, None, opts)
        self._settings = settings
        self.ends: dict[str, dict[str, pulumi.Output[str]]] = {}
        """Host name → circle, or what else has a certificate there → when that expires, in ISO format."""
        child = pulumi.ResourceOptions(parent=self)
        self._period = current_period(f"{name}-tls-begun", settings.certificate_life, child)
        self._authorities = authorities(name, settings, circles(monitored=monitored), self)
        self.register_outputs({})

    def identity(self, host: Host, node: Node, parent: pulumi.Resource) -> remote.Command:
        """The steps that give a host its keys, and certificates of the current authorities. The stdout of the last one,
        which is returned, is a hash of what is public of them.
        """
        names = pulumi.Output.from_input(host.address).apply(
            lambda address: [*dict.fromkeys([host.name, host.reached_as, address, "localhost"])]
        )
        requested = self._request(host, names, node, parent).stdout.apply(_PEM.findall)
        certificates = [
            self._authorities.sign(Request(host, circle, names, requested[index]), parent)
            for index, circle in enumerate(ROLES[host.role].circles)
        ]
        for circle, signed in zip(ROLES[host.role].circles, certificates, strict=True):
            self._note(host, circle.value, signed)
        return self._install(host, certificates, parent)

    def trusted(self, circle: Circle) -> pulumi.Output[str]:
        """What members of a circle trust, as PEM."""
        return self._authorities.trusted(circle).apply(joined)

    def _note(self, host: Host, what: str, signed: pulumi.Output[Signed]) -> pulumi.Output[str]:
        ends = signed.apply(lambda made: made.ends)
        self.ends.setdefault(host.name, {})[what] = ends
        return ends

    def client(
        self,
        host: Host,
        what: str,
        parent: pulumi.Resource,
        circle: Circle = Circle.REST,
        names: pulumi.Output[Sequence[str]] | None = None,
    ) -> Client:
        """A key and a certificate in a circle for another user of a host than its daemon's, whose files that user
        cannot read; with `names` also for a server with these. The key is in the state, encrypted.
        """
        known = pulumi.Output.from_input([host.name]) if names is None else names
        opts = pulumi.ResourceOptions(parent=parent)
        key_name = naming.step(host, naming.numbered(f"{what}-key", self._settings.tls_authority))
        key = tls.PrivateKey(key_name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
        request = tls.CertRequest(
            naming.step(host, f"{what}-request"),
            private_key_pem=key.private_key_pem,
            dns_names=known.apply(lambda found: [name for name in found if not is_address(name)]),
            ip_addresses=None if names is None else names.apply(lambda found: [*filter(is_address, found)]),
            subject=tls.CertRequestSubjectArgs(
                common_name=f"{host.name} {what}"[:64], organization="Flink", organizational_unit=self._period
            ),
            opts=opts,
        )
        signed = self._authorities.sign(Request(host, circle, known, request.cert_request_pem, what), parent)
        return Client(
            certificate=signed.apply(lambda made: made.pem),
            key=key.private_key_pem,
            authorities=self.trusted(circle),
            ends=self._note(host, what, signed),
        )

    def _request(
        self, host: Host, names: pulumi.Output[Sequence[str]], node: Node, parent: pulumi.Resource
    ) -> remote.Command:
        row = ROLES[host.role]

        def text(known: Sequence[Any]) -> str:
            values: dict[str, str | Sequence[str]] = {
                "group": row.user,
                "folder": folder(host.role),
                "circles": [circle.value for circle in row.circles],
                "names": ",".join(map(_name, known[1])),
                "period": f"{known[0]} of authority {self._settings.tls_authority}",
            }
            return script_text(host, "tls/request.sh", values)

        stdin = pulumi.Output.all(self._period, names).apply(text)
        opts = pulumi.ResourceOptions(parent=parent, depends_on=[node.prepared, node.java])
        return step(host, "tls-request", stdin, opts=opts)

    def _install(
        self, host: Host, certificates: Sequence[pulumi.Output[Signed]], parent: pulumi.Resource
    ) -> remote.Command:
        row = ROLES[host.role]

        def text(known: Sequence[Any]) -> str:
            signed, trusted = known
            values: dict[str, str | int | Sequence[str]] = {
                "folder": folder(host.role),
                "circles": [circle.value for circle in row.circles],
                # People of the daemons' group run commands on hosts without a daemon
                "owned_by": f"{row.user}:{row.user}" if row.daemon else f"root:{row.user}",
                "mode": "0600" if row.daemon else "0640",
                "options": [f"{_OF_FLINK[circle]}.{key}" for circle in _of_flink(host.role) for key in _PASSWORDS],
                "ends": min(one.ends for one in signed),
                "authority": 0 if self._settings.tls_signer else self._settings.tls_authority,
                # Not before `up` would renew it
                "notice_seconds": int(notice(self._settings.certificate_life).total_seconds()),
                "program": _PROGRAM,
            }
            files = [shipped(_PROGRAM, "tls/IdentityStores.java")]
            for circle, own, pems in zip(row.circles, signed, trusted, strict=True):
                place = f"{folder(host.role)}/declared/{circle.value}"
                files += [
                    File(path=f"{place}/certificate.pem", text=own.pem),
                    File(path=f"{place}/authorities.pem", text=joined(pems)),
                ]
            return script_text(host, "tls/identity.sh", values, files, uses=("tls/ends.sh",))

        trusted = pulumi.Output.all(*[self._authorities.trusted(circle) for circle in row.circles])
        stdin = pulumi.Output.all(pulumi.Output.all(*certificates), trusted).apply(text)
        return step(host, "tls", stdin, opts=pulumi.ResourceOptions(parent=parent))


def _name(name: str) -> str:
    """A subject alternative name, as keytool takes it."""
    return f"ip:{name}" if is_address(name) else f"dns:{name}"
