"""What the state has of each step: as little as possible, since a file backend writes all of it after each."""

from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components import private_key
from tests.unit.program import PRIVATE_KEY
from tests.unit.test_order import COMMAND, EVERYTHING, before, registered


def test_what_follows_the_probe_of_a_host_depends_on_it_and_need_not_name_what_its_connection_comes_from(
    folder: Path,
) -> None:
    steps = registered(folder, **EVERYTHING)
    later = [one for one in steps.values() if one.type == COMMAND and not one.name.endswith("-probe")]
    assert len(later) > 80
    for one in later:
        host = "-".join(one.name.split("-")[:2])
        assert f"{COMMAND}/{host}-probe" in before(steps, one.key), one.name


def test_connections_have_an_ed25519_key_in_its_shortest_form_which_openssh_gets_back() -> None:
    short = private_key.shortest(PRIVATE_KEY)
    assert short.startswith("-----BEGIN PRIVATE KEY-----\n") and len(short) == 119
    for_openssh = private_key.for_openssh(short)
    assert for_openssh.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    keys = {asyncssh.import_private_key(text).export_public_key() for text in (PRIVATE_KEY, short, for_openssh)}
    assert len({key.split()[1] for key in keys}) == 1
    assert private_key.shortest(short) == short and private_key.for_openssh(PRIVATE_KEY) == PRIVATE_KEY


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
    ids=["ecdsa", "rsa"],
)
def test_other_keys_stay_as_they_are(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    for form in (PrivateFormat.PKCS8, PrivateFormat.OpenSSH):
        text = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        assert private_key.shortest(text) == text and private_key.for_openssh(text) == text


def test_what_is_no_key_stays_as_it_is() -> None:
    assert private_key.shortest("") == "" and private_key.shortest("not a key") == "not a key"
