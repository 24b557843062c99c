"""The tls stand-in's private keys."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from stand_ins.aws_plugin.tls_provider import TlsProvider
from stand_ins.plugin.values import UNKNOWN, Secret
from tests.aws.thing import Make, Properties, Thing
from tests.plugin_client import PluginClient, plugin

KEY = "tls:index/privateKey:PrivateKey"


@pytest.fixture(scope="module")
def make() -> Iterator[Make]:
    with plugin(TlsProvider, PluginClient) as client:
        yield lambda token: Thing(client, token)


def revealed(state: Properties) -> Properties:
    return {name: value.value if isinstance(value, Secret) else value for name, value in state.items()}


@pytest.mark.parametrize(
    ("inputs", "kind", "begin"),
    [
        ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey, "PRIVATE KEY"),
        ({"algorithm": "RSA"}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "RSA", "rsaBits": 3072}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, ec.EllipticCurvePrivateKey, "EC PRIVATE KEY"),
    ],
)
def test_a_key_in_all_its_forms(make: Make, tmp_path: Path, inputs: Properties, kind: type, begin: str) -> None:
    thing = make(KEY)
    state = thing.create(inputs)
    assert {name for name, value in state.items() if isinstance(value, Secret)} == {
        "privateKeyPem",
        "privateKeyOpenssh",
        "privateKeyPemPkcs8",
    }
    plain = revealed(state)
    assert plain["privateKeyPem"].startswith(f"-----BEGIN {begin}-----\n")
    assert plain["privateKeyPemPkcs8"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert plain["privateKeyOpenssh"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    forms = [
        load_pem_private_key(plain["privateKeyPem"].encode(), None),
        load_pem_private_key(plain["privateKeyPemPkcs8"].encode(), None),
        load_ssh_private_key(plain["privateKeyOpenssh"].encode(), None),
    ]
    assert all(isinstance(form, kind) for form in forms)
    assert isinstance(forms[0], ed25519.Ed25519PrivateKey) or forms[0].key_size == inputs.get(  # type: ignore[union-attr]
        "rsaBits", 2048 if inputs["algorithm"] == "RSA" else 256
    )
    assert (plain["ecdsaCurve"], plain["rsaBits"]) == (inputs.get("ecdsaCurve", "P224"), inputs.get("rsaBits", 2048))
    der = base64.b64decode("".join(plain["publicKeyPem"].split("\n")[1:-2]))
    assert thing.id == hashlib.sha1(der).hexdigest()
    _agree_with_openssh(plain, tmp_path)


def _agree_with_openssh(plain: Properties, folder: Path) -> None:
    """OpenSSH derives from the private key the same public key and fingerprint as the plugin."""
    private = folder / "key"
    private.touch(0o600)
    private.write_text(plain["privateKeyOpenssh"])
    public = _ssh_keygen("-y", "-f", str(private))
    assert plain["publicKeyOpenssh"].split() == public.split()[:2]
    assert plain["publicKeyOpenssh"].endswith("\n")
    (folder / "key.pub").write_text(public)
    assert plain["publicKeyFingerprintSha256"] == _ssh_keygen("-l", "-f", str(private)).split()[1]
    md5 = _ssh_keygen("-l", "-E", "md5", "-f", str(private)).split()[1]
    assert plain["publicKeyFingerprintMd5"] == md5.removeprefix("MD5:")


def _ssh_keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout


def test_openssh_knows_no_p224(make: Make) -> None:
    plain = revealed(make(KEY).create({"algorithm": "ECDSA"}))
    assert plain["privateKeyPem"].startswith("-----BEGIN EC PRIVATE KEY-----\n")
    empty = ("privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256")
    assert [plain[name] for name in empty] == [""] * 4


def test_a_key_is_made_once(make: Make) -> None:
    thing = make(KEY)
    inputs = {"algorithm": "ED25519"}
    preview = thing.preview(inputs)
    assert preview["publicKeyOpenssh"] == UNKNOWN
    assert preview["privateKeyOpenssh"] == Secret(UNKNOWN)
    before = thing.create(inputs)
    assert thing.refresh() == {}
    assert thing.state == before
    assert thing.diff(inputs) == {}
    assert thing.diff({"algorithm": "RSA"}) == {"algorithm": "UPDATE_REPLACE"}
    assert thing.diff({**inputs, "rsaBits": 4096}) == {"rsaBits": "ADD_REPLACE"}
    thing.delete()
    assert revealed(make(KEY).create(inputs))["privateKeyPem"] != revealed(before)["privateKeyPem"]


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"algorithm": "ed25519"}, "algorithm"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P-256"}, "ecdsaCurve"),
        ({"algorithm": "RSA", "rsaBits": 512}, "rsaBits"),
    ],
)
def test_keys_that_cannot_be_made(make: Make, inputs: Properties, path: str) -> None:
    assert list(make(KEY).refusals(inputs)) == [path]
