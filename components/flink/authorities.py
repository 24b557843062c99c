"""What signs certificates, and what hosts trust: authorities in the stack's state, or a command of the operator's."""

import ipaddress
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pulumi
import pulumi_tls as tls
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pulumi_command import local

from .. import naming
from ..certificates import is_authority, lacks, signed_by
from ..circles import Circle
from ..host import Host
from .settings import ClusterSettings, TlsSigner

_AUTHORITY_YEARS = 10


@dataclass(frozen=True)
class Signed:
    """A certificate with the chain to its authority, in PEM, and when it expires, in ISO format."""

    pem: str
    ends: str


@dataclass(frozen=True)
class Request:
    """What a host asks for: a certificate for a circle, with `names`. `pem` is signed by its key."""

    host: Host
    circle: Circle
    names: pulumi.Output[Sequence[str]]
    pem: pulumi.Output[str]
    what: str = ""
    """Whose it is, if not the daemon's of the host."""

    @property
    def resource(self) -> str:
        """Name of the resource that answers it."""
        return naming.step(self.host, f"{self.what or self.circle.value}-certificate")


class Authorities(Protocol):
    """The authorities of all circles."""

    def sign(self, request: Request, parent: pulumi.Resource) -> pulumi.Output[Signed]:
        """The answer to a host's request."""

    def trusted(self, circle: Circle) -> pulumi.Output[Sequence[str]]:
        """The certificates that hosts of a circle trust, in PEM."""


@dataclass(frozen=True)
class Authority:
    """An authority in the state."""

    key: tls.PrivateKey
    certificate: tls.SelfSignedCert


def new_authority(key: str, certificate: str, common_name: str, opts: pulumi.ResourceOptions) -> Authority:
    """Create an authority; `key` and `certificate` are the names of its resources."""
    private = tls.PrivateKey(key, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
    signed = tls.SelfSignedCert(
        certificate,
        private_key_pem=private.private_key_pem,
        is_ca_certificate=True,
        set_subject_key_id=True,
        allowed_uses=["cert_signing", "crl_signing"],
        subject=tls.SelfSignedCertSubjectArgs(common_name=common_name, organization="Flink"),
        validity_period_hours=_AUTHORITY_YEARS * 366 * 24,
        opts=opts,
    )
    return Authority(private, signed)


class OwnAuthorities:
    """Authorities in the state.

    All hosts of a circle trust the authority that signs, the one before it and the next one. So when the next one
    signs, because `tlsAuthority` was increased, each daemon can restart on its own: all others already trust its new
    certificate, and it still trusts theirs.
    """

    def __init__(
        self, name: str, settings: ClusterSettings, circles: Sequence[Circle], parent: pulumi.Resource
    ) -> None:
        self._settings, self._parent = settings, parent
        current = settings.tls_authority
        numbers = range(max(1, current - 1), current + 2)
        self._of = {circle: {number: self._make(name, circle, number) for number in numbers} for circle in circles}

    def _make(self, name: str, circle: Circle, number: int) -> Authority:
        name = f"{name}-{circle.value}-authority-{number}"
        # 64 characters at most (RFC 5280, ub-common-name)
        common_name = f"{self._settings.cluster_id[:40]} {circle.value} authority {number}"
        return new_authority(name, name, common_name, pulumi.ResourceOptions(parent=self._parent))

    def sign(self, request: Request, parent: pulumi.Resource) -> pulumi.Output[Signed]:
        """As `Authorities`; the names are in the request."""
        authority = self._of[request.circle][self._settings.tls_authority]
        made = tls.LocallySignedCert(
            request.resource,
            cert_request_pem=request.pem,
            ca_private_key_pem=authority.key.private_key_pem,
            ca_cert_pem=authority.certificate.cert_pem,
            allowed_uses=["digital_signature", "server_auth", "client_auth"],
            set_subject_key_id=True,
            validity_period_hours=self._settings.certificate_days * 24,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        told = pulumi.Output.all(made.cert_pem, made.ca_cert_pem, made.validity_end_time)
        return told.apply(lambda known: Signed(joined(known[:2]), known[2]))

    def trusted(self, circle: Circle) -> pulumi.Output[Sequence[str]]:
        """As `Authorities`."""
        return pulumi.Output.all(*[authority.certificate.cert_pem for authority in self._of[circle].values()])


class SignerCommand:
    """A command on the machine that runs Pulumi, which reads a request from stdin and prints the certificate."""

    def __init__(self, signer: TlsSigner, settings: ClusterSettings) -> None:
        self._signer, self._settings = signer, settings

    def sign(self, request: Request, parent: pulumi.Resource) -> pulumi.Output[Signed]:
        """As `Authorities`. Raises RunError if what the command prints is not such a certificate."""
        made = local.Command(
            request.resource,
            create=shlex.join(self._signer.command),
            environment={
                "FLINK_TLS_HOST": request.host.name,
                "FLINK_TLS_CIRCLE": request.circle.value,
                **_life(self._signer, self._settings),
                "FLINK_TLS_AUTHORITY": str(self._settings.tls_authority),
            },
            stdin=request.pem,
            logging=local.Logging.STDERR,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=parent),
        )
        life = self._settings.certificate_life

        def checked(known: Sequence[str | Sequence[str]]) -> Signed:
            pem, asked, expected, urn = str(known[0]), str(known[1]), known[2], known[3]
            try:
                return check(pem, asked, [*expected], self._signer.authorities[request.circle], life)
            except ValueError as error:
                who = f"{request.host.name}: the command of tlsSigner printed for the circle {request.circle.value}"
                # What it printed is in the state, and the command runs again only if its inputs change
                again = f"mend the command, then `pulumi up --replace '{urn}'`"
                raise pulumi.RunError(f"{who}: {error}; {again}") from None

        return pulumi.Output.all(made.stdout, request.pem, request.names, made.urn).apply(checked)

    def trusted(self, circle: Circle) -> pulumi.Output[Sequence[str]]:
        """As `Authorities`."""
        return pulumi.Output.from_input([self._signer.authorities[circle]])


def authorities(
    name: str, settings: ClusterSettings, circles: Sequence[Circle], parent: pulumi.Resource
) -> Authorities:
    """Those of a cluster with these circles."""
    if settings.tls_signer:
        return SignerCommand(settings.tls_signer, settings)
    return OwnAuthorities(name, settings, circles, parent)


def _life(signer: TlsSigner, settings: ClusterSettings) -> Mapping[str, str]:
    if signer.minutes:
        return {"FLINK_TLS_MINUTES": str(signer.minutes)}
    return {"FLINK_TLS_DAYS": str(settings.certificate_days)}


def certificates(pem: str) -> list[x509.Certificate]:
    """The certificates in a text. Raises ValueError if there is none, or one cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError("no certificate in PEM: expected -----BEGIN CERTIFICATE-----") from None


def check(pem: str, request: str, names: Sequence[str], trusted: str, life: timedelta) -> Signed:
    """A certificate and its chain, if they are an answer to the request, and valid for at least two thirds of `life`:
    then the next period begins. Raises ValueError.

    Each `up` compares them again, so the result does not depend on the time.
    """
    chain = certificates(pem)
    own, asked = chain[0], x509.load_pem_x509_csr(request.encode())
    if own.public_key() != asked.public_key():
        raise ValueError("a certificate of another key than the request's: expected its own certificate first")
    missing = [name for name in names if name not in _names(own)]
    if missing:
        raise ValueError(f"a certificate without {', '.join(missing)}: expected all names of the request")
    if not _leads(chain, certificates(trusted)):
        raise ValueError("a certificate of another authority: expected one of tlsSigner authorities, after its chain")
    missing = lacks(own, ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    if missing:
        raise ValueError(f"a certificate that is not for {', '.join(missing)}: hosts are clients and servers")
    if is_authority(own):
        raise ValueError("a certificate that may sign others: expected one that may not")
    expired = [each for each in chain[1:] if each.not_valid_after_utc < own.not_valid_after_utc]
    if expired:
        raise ValueError(
            f"a certificate of an authority that expires before it, on {expired[0].not_valid_after_utc:%Y-%m-%d}"
        )
    valid = own.not_valid_after_utc - own.not_valid_before_utc
    if valid < life * 2 / 3:
        raise ValueError(
            f"a certificate that is valid for {valid}, so it expires before `up` would renew it: expected {life}"
            " (certificateDays, or minutes of tlsSigner), or less there"
        )
    whole = joined([each.public_bytes(Encoding.PEM).decode() for each in chain])
    return Signed(whole, own.not_valid_after_utc.isoformat(timespec="seconds"))


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


def _leads(chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]) -> bool:
    """Whether each certificate is signed by the next one, which may do so, and the last one by one that is trusted."""
    *issued, last = chain
    pairs = [*zip(issued, chain[1:], strict=True)]
    return all(signed_by(each, issuer) and is_authority(issuer) for each, issuer in pairs) and any(
        signed_by(last, authority) for authority in trusted
    )


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def joined(pems: Sequence[str]) -> str:
    """Several texts in PEM as one."""
    return "".join(pem.rstrip() + "\n" for pem in pems)
