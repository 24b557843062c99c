"""The certificates of the front door: one for each host, signed by an authority in the state of the stack.

Browsers and tools trust the authority after somebody has installed it there. It signs nothing else, so it is not one
of those that Flink's daemons trust. Keys are made in the state, encrypted, for one host each.
"""

import base64
import hashlib
from datetime import timedelta

import pulumi
import pulumi_tls as tls

from .. import naming
from ..certificates import first_end, notice
from ..flink.authorities import Authority, is_address, joined, new_authority
from ..flink.encryption import current_period
from ..flink.settings import ClusterSettings
from ..host import Host


class FrontDoorAuthority(pulumi.ComponentResource):
    """The authority, which is created only if no certificate of yours is configured. `tlsAuthority` is its number."""

    certificate: pulumi.Output[str]
    """PEM, for browsers and tools: the one that signs, and the next one, which can be installed before that signs."""

    def __init__(self, name: str, settings: ClusterSettings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("frontdoor", "FrontDoorAuthority"), name, None, opts)
        self._settings = settings
        life = timedelta(days=settings.certificate_days)
        self._period = current_period(f"{name}-begun", life, pulumi.ResourceOptions())
        self._signer, following = (self._make(name, settings.tls_authority + more) for more in (0, 1))
        known = pulumi.Output.all(self._signer.certificate.cert_pem, following.certificate.cert_pem)
        self.certificate = known.apply(joined)
        self.register_outputs({})

    def _make(self, name: str, number: int) -> Authority:
        # 64 characters at most (RFC 5280, ub-common-name)
        common_name = naming.numbered(f"{self._settings.cluster_id} front door"[:58], number)
        name = naming.numbered(name, number)
        return new_authority(f"{name}-key", f"{name}-certificate", common_name, pulumi.ResourceOptions(parent=self))

    def certificate_of(
        self, host: Host, names: pulumi.Output[list[str]], opts: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], pulumi.Output[str], pulumi.Output[str]]:
        """Certificate and key of a host, as PEM, and when the certificate expires, in ISO format. A new period
        (`certificateDays`) makes a new certificate, another number of the authority also a new key.
        """
        key_name = naming.step(host, naming.numbered("front-door-key", self._settings.tls_authority))
        key = tls.PrivateKey(key_name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
        request = tls.CertRequest(
            naming.step(host, "front-door-request"),
            private_key_pem=key.private_key_pem,
            dns_names=names.apply(lambda all_names: [name for name in all_names if not is_address(name)]),
            ip_addresses=names.apply(lambda all_names: [name for name in all_names if is_address(name)]),
            subject=tls.CertRequestSubjectArgs(
                common_name=host.name, organization="Flink", organizational_unit=self._period
            ),
            opts=opts,
        )
        signed = tls.LocallySignedCert(
            naming.step(host, "front-door-certificate"),
            cert_request_pem=request.cert_request_pem,
            ca_private_key_pem=self._signer.key.private_key_pem,
            ca_cert_pem=self._signer.certificate.cert_pem,
            allowed_uses=["digital_signature", "server_auth"],
            set_subject_key_id=True,
            validity_period_hours=self._settings.certificate_days * 24,
            opts=opts,
        )
        return signed.cert_pem, key.private_key_pem, signed.validity_end_time


def reported_before(settings: ClusterSettings) -> timedelta:
    """How long before its end the front door's certificate is reported, be it yours or the stack's."""
    door = settings.front_door
    if door and door.certificate:
        return first_end(door.certificate)[1]
    return notice(timedelta(days=settings.certificate_days))


def shared_secret(name: str, what: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """32 bytes in base64 that several hosts know: `sessions`, with which the front doors of all hosts sign and encrypt
    sessions, or `grafana`, by which it knows them. They come from a key in the state: replacing that ends all sessions.
    """
    key = tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
    return pulumi.Output.secret(
        key.private_key_pem.apply(
            lambda pem: base64.urlsafe_b64encode(hashlib.sha256(f"{what} {pem}".encode()).digest()).decode()
        )
    )
