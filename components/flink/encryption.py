"""TLS between the daemons of a cluster: the authority that signs their certificates, and each host's identity.

A host creates its key, which never leaves it, and a request; an authority in the stack's state signs it. Flink accepts
every certificate of a trusted authority (https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/security/security-ssl/,
Internal Connectivity), so this authority signs nothing else.

Renewal is part of `up`: the provider's own `early_renewal_hours` does not renew (pulumi-tls issue 39). The number of
the current period, counted from the first `up` with TLS, is in every request; in a new period hosts create new keys,
get new certificates, and the rollout restarts their daemons.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pulumi
import pulumi_tls as tls
from pulumi_command import remote

from .. import naming
from ..host import Host, Role
from ..remote import File, script_text, step
from ..roles import ROLES
from .node import Node
from .settings import ClusterSettings

FOLDER = "/etc/flink/tls"
KEYSTORE, TRUSTSTORE, OPTIONS = f"{FOLDER}/keystore.p12", f"{FOLDER}/truststore.p12", f"{FOLDER}/options.yaml"
INPUTS = (OPTIONS, KEYSTORE, TRUSTSTORE)
"""The files that a daemon reads: if they change, it restarts. OPTIONS are lines of config.yaml with the passwords."""

CONFIG = {
    "security.ssl.internal.enabled": True,
    "security.ssl.internal.keystore": KEYSTORE,
    "security.ssl.internal.truststore": TRUSTSTORE,
    "security.ssl.internal.keystore-type": "PKCS12",
    "security.ssl.internal.truststore-type": "PKCS12",
    "security.ssl.protocol": "TLSv1.3",
    "security.ssl.algorithms": "TLS_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256",
}
"""Keys of config.yaml, without passwords."""

AUTHORITY_YEARS = 10


def applies(role: Role, settings: ClusterSettings) -> bool:
    """Whether the daemon of a role has an identity."""
    return settings.tls and ROLES[role].identity


def period(begun: str, days: int, now: datetime) -> str:
    """The current period of certificates that are valid for `days`: two thirds of their life. `begun` is the time of
    the first `up` with TLS, in ISO format.
    """
    length = timedelta(days=days) * 2 / 3
    return f"{days}-days-{(now - datetime.fromisoformat(begun)) // length}"


@dataclass(frozen=True)
class Authority:
    """A certificate authority in the state."""

    key: tls.PrivateKey
    certificate: tls.SelfSignedCert


class Encryption(pulumi.ComponentResource):
    """What signs and is trusted in a cluster.

    All daemons trust the authority that signs, the one before it and the next one. So when the next one signs, because
    `tlsAuthority` was increased, each daemon can restart on its own: all others already trust its new certificate, and
    it still trusts theirs.
    """

    def __init__(self, name: str, settings: ClusterSettings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Encryption"), name, None, opts)
        self._settings = settings
        current = settings.tls_authority
        begun = pulumi.Stash(
            f"{name}-tls-begun",
            input=_now().isoformat(timespec="seconds"),
            # The first one counts
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["input"]),
        )
        self._period = begun.output.apply(lambda text: period(text, settings.certificate_days, _now()))
        self._authorities = {
            number: self._authority(name, number) for number in range(max(1, current - 1), current + 2)
        }
        self.register_outputs({})

    def _authority(self, name: str, number: int) -> Authority:
        child = pulumi.ResourceOptions(parent=self)
        key = tls.PrivateKey(f"{name}-authority-{number}", algorithm="ECDSA", ecdsa_curve="P256", opts=child)
        certificate = tls.SelfSignedCert(
            f"{name}-authority-{number}",
            private_key_pem=key.private_key_pem,
            is_ca_certificate=True,
            set_subject_key_id=True,
            allowed_uses=["cert_signing", "crl_signing"],
            subject=tls.SelfSignedCertSubjectArgs(
                common_name=f"{self._settings.cluster_id} authority {number}"[:64], organization="Flink"
            ),
            validity_period_hours=AUTHORITY_YEARS * 366 * 24,
            opts=child,
        )
        return Authority(key, certificate)

    def identity(self, host: Host, node: Node, parent: pulumi.Resource) -> remote.Command:
        """The steps that give a host its key, and a certificate of the current authority. The stdout of the last one,
        which is returned, is a hash of what is public of them.
        """
        requested = self._request(host, node, parent)
        authority = self._authorities[self._settings.tls_authority]
        certificate = tls.LocallySignedCert(
            naming.step(host, "certificate"),
            cert_request_pem=requested.stdout,
            ca_private_key_pem=authority.key.private_key_pem,
            ca_cert_pem=authority.certificate.cert_pem,
            allowed_uses=["digital_signature", "server_auth", "client_auth"],
            set_subject_key_id=True,
            validity_period_hours=self._settings.certificate_days * 24,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        return self._install(host, certificate, parent)

    def _request(self, host: Host, node: Node, parent: pulumi.Resource) -> remote.Command:
        def text(known: list[str]) -> str:
            values = {
                "user": ROLES[host.role].user,
                "folder": FOLDER,
                "names": ",".join(_name(name) for name in dict.fromkeys([host.name, host.reached_as, known[1]])),
                "period": f"{known[0]} of authority {self._settings.tls_authority}",
            }
            return script_text(host, "tls_request.sh", values)

        stdin = pulumi.Output.all(self._period, host.address).apply(text)
        opts = pulumi.ResourceOptions(parent=parent, depends_on=[node.prepared, node.java])
        return step(host, "tls-request", stdin, opts=opts)

    def _install(self, host: Host, certificate: tls.LocallySignedCert, parent: pulumi.Resource) -> remote.Command:
        trusted = [authority.certificate.cert_pem for authority in self._authorities.values()]

        def text(known: list[str]) -> str:
            own, signer, ends, *authorities = known
            values = {
                "user": ROLES[host.role].user,
                "folder": FOLDER,
                "ends": ends,
                # Not before `up` would renew it
                "warn_days": str(min(30, self._settings.certificate_days // 3)),
            }
            files = [
                File(path=f"{FOLDER}/certificate.pem", text=own.rstrip() + "\n" + signer),
                File(path=f"{FOLDER}/authorities.pem", text="".join(pem.rstrip() + "\n" for pem in authorities)),
            ]
            return script_text(host, "tls.sh", values, files)

        told = pulumi.Output.all(certificate.cert_pem, certificate.ca_cert_pem, certificate.validity_end_time, *trusted)
        return step(host, "tls", told.apply(text), opts=pulumi.ResourceOptions(parent=parent))


def _name(name: str) -> str:
    """A subject alternative name, as keytool takes it."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"dns:{name}"
    return f"ip:{name}"


def _now() -> datetime:
    return datetime.now(UTC)
