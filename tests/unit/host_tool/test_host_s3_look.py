"""The look at S3 before Flink starts: what each answer means, against a server that answers as AWS documents."""

from __future__ import annotations

import http.server
import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tool import credentials, s3_look
from host_tool.commands import main
from host_tool.output import Failure
from host_tool.s3_look import RETRY_SECONDS, Look
from tests.lab import private_ca
from tests.serving import serving
from tests.unit.host_tool.world import FakeClock

KEYS = ("AKIAEXAMPLE", "s3cret")
Reply = tuple[int, str, dict[str, str]]


def error(status: int, code: str, message: str = "No.", more: str = "", **headers: str) -> Reply:
    text = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return status, text, {name.replace("_", "-"): value for name, value in headers.items()}


class Bucket(http.server.BaseHTTPRequestHandler):
    """A bucket with one object. `server.answers` come first: method → what it answers, once each."""

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        server: Any = self.server
        server.asked.append((self.command, self.path, dict(self.headers), body))
        planned = server.answers.get(self.command, [])
        status, text, headers = planned.pop(0) if planned else self._works(body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def _works(self, body: str) -> Reply:
        server: Any = self.server
        if self.command == "PUT":
            server.content = body
            return 200, "", {}
        if "list-type" in self.path:
            key = re.search("prefix=([^&]*)", self.path)
            return 200, f"<ListBucketResult><Contents><Key>{key and key[1].replace('%2F', '/')}</Key></Contents>", {}
        return (200, server.content, {}) if self.command == "GET" else (204, "", {})

    do_PUT = do_GET = do_DELETE = _do

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    made: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    made.answers, made.asked, made.content = {}, [], ""
    with serving(made):
        yield made


def look(asked: Any, clock: FakeClock | None = None, keys: tuple[str, str] = KEYS, **more: Any) -> Look:
    values = {
        "host": "tm-0",
        "places": {"storageUri": "s3://flink/dev"},
        "server": f"http://127.0.0.1:{asked.server_address[1]}",
        "region": "eu-central-1",
        "pathStyle": True,
        "encryption": "",
        "kmsKey": "",
        "proxy": "",
        "certificates": "",
        "store": ["-cacerts"],
        "followsRegion": False,
    }
    identity = more.pop("identity", lambda: {"AccessKeyId": "ASIA", "SecretAccessKey": "x", "Token": "t"})
    return Look({**values, **more}, keys, clock or FakeClock(), identity)


def refused(asked: Any, clock: FakeClock | None = None, **more: Any) -> str:
    with pytest.raises(Failure) as told:
        look(asked, clock, **more).apply()
    return str(told.value).partition("cannot use the storage at s3://flink/dev (storageUri): ")[2]


def test_it_leaves_nothing_and_asks_as_flink_does(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    look(server, encryption="sse-kms", kmsKey="a-key").apply()
    assert [(method, path) for method, path, _, _ in server.asked] == [
        ("PUT", "/flink/dev/.access-tm-0"),
        ("GET", "/flink/?list-type=2&max-keys=1&prefix=dev%2F.access-tm-0"),
        ("GET", "/flink/dev/.access-tm-0"),
        ("DELETE", "/flink/dev/.access-tm-0"),
    ]
    headers = {name.lower(): value for name, value in server.asked[0][2].items()}
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "a-key"
    assert "x-amz-server-side-encryption;" in headers["authorization"], "a header that is not signed is refused"
    said = capfd.readouterr()
    assert said.err == "tm-0: the storage at s3://flink/dev (storageUri): this host writes, lists, reads and deletes\n"
    assert KEYS[1] not in str(server.asked)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(403, "SignatureDoesNotMatch"), "expected the storageSecretKey that belongs to storageAccessKey"),
        (error(403, "InvalidAccessKeyId"), "expected a key that this server knows (storageAccessKey)"),
        (error(404, "NoSuchBucket"), "expected an existing bucket flink"),
        (error(403, "AccessDenied"), "expected that storageAccessKey has the right s3:PutObject there, and storageE"),
        (
            error(403, "AccessDenied", "not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:x"),
            "expected an enabled KMS key in the bucket's region (storageKmsKey), and the right kms:GenerateDataKey",
        ),
        (error(400, "KMS.NotFoundException"), "expected an enabled KMS key in the bucket's region (storageKmsKey)"),
        (
            error(400, "AuthorizationHeaderMalformed", more="<Region>eu-west-1</Region>"),
            "bucket flink is in eu-west-1: expected storageRegion: eu-west-1, not eu-central-1",
        ),
        (
            error(301, "PermanentRedirect", x_amz_bucket_region="us-west-2"),
            "bucket flink is in us-west-2: expected storageRegion: us-west-2, not eu-central-1",
        ),
        (error(301, "PermanentRedirect"), "expected the region of bucket flink, not eu-central-1 (storageRegion)"),
        (error(400, "ExpiredToken"), "the credentials of the instance profile have expired"),
        ((405, "<html>Not Allowed</html>", {}), "which is not S3: expected the URL of an S3 server (storageEndpoint)"),
    ],
)
def test_what_s3_says_is_told_with_what_is_expected(server: Any, reply: Reply, expected: str) -> None:
    server.answers["PUT"] = [reply]
    told = refused(server)
    assert told.startswith(f"cannot write: http://127.0.0.1:{server.server_address[1]} says ")
    assert expected in told
    assert len(server.asked) == 1, "it says so at once, and goes on to nothing"


def test_the_clock_is_told_apart_from_the_rest(server: Any) -> None:
    # The clock of the test is 1000 s after 1970; the server adds its own Date, which comes first
    server.answers["PUT"] = [error(403, "RequestTimeTooSkewed")]
    told = refused(server)
    off = re.search(r"this host's clock is ([0-9]+) s behind the storage's: expected 900 s at most", told)
    assert off and abs(int(off[1]) - time.time()) < 2000


@pytest.mark.parametrize(
    ("method", "before", "right"),
    [("GET", [], "s3:ListBucket"), ("GET", ["works"], "s3:GetObject"), ("DELETE", [], "s3:DeleteObject")],
)
def test_the_right_that_is_missing_is_named(server: Any, method: str, before: list[str], right: str) -> None:
    listed: Reply = (200, "<ListBucketResult><Contents><Key>dev/.access-tm-0</Key></Contents>", {})
    server.answers[method] = [*(listed for _ in before), error(403, "AccessDenied")]
    assert f"expected that storageAccessKey has the right {right} there" in refused(server)
    assert server.asked[-1][0] == "DELETE", "it leaves nothing, as far as it may"


def test_an_answer_that_nobody_knows_refuses_nothing(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    server.answers["PUT"] = [error(501, "NotImplemented", "A header.")]
    look(server).apply()
    said = capfd.readouterr().err
    assert "says NotImplemented: A header.; going on, because Flink may be able to use it" in said
    server.answers["GET"] = [(200, "<ListBucketResult/>", {})]
    look(server).apply()
    assert "dev/.access-tm-0 was written, and is not listed; going on" in capfd.readouterr().err


def test_a_server_that_restarts_is_waited_for(server: Any) -> None:
    clock = FakeClock()
    server.answers["PUT"] = [error(503, "SlowDown"), error(500, "InternalError"), (502, "", {})]
    look(server, clock).apply()
    assert clock.time == 1003
    server.answers["PUT"] = [error(503, "SlowDown")] * 99
    told = refused(server, clock)
    assert "says SlowDown: No.; that did not end within 20 s" in told and clock.time == 1003 + RETRY_SECONDS


def test_a_server_that_does_not_answer_is_said(server: Any) -> None:
    clock = FakeClock()
    told = refused(server, clock, server="http://127.0.0.1:1")
    assert told.startswith("cannot write: http://127.0.0.1:1 does not answer ([Errno 111] Connection refused) for 20 s")
    assert "(storageEndpoint)" in told and clock.time == 1000 + RETRY_SECONDS


# An identity of this machine


def test_an_instance_profile_signs_with_its_token(server: Any) -> None:
    look(server, keys=("", "")).apply()
    headers = {name.lower(): value for name, value in server.asked[0][2].items()}
    assert headers["x-amz-security-token"] == "t" and "x-amz-security-token" in headers["authorization"]


def test_rights_of_a_new_instance_profile_are_waited_for(server: Any) -> None:
    clock = FakeClock()
    server.answers["PUT"] = [error(403, "AccessDenied"), error(403, "InvalidAccessKeyId"), error(400, "ExpiredToken")]
    look(server, clock, keys=("", "")).apply()
    assert clock.time == 1003
    server.answers["PUT"] = [error(400, "ExpiredToken")] * 99
    assert "the credentials of the instance profile have expired: expected that its m" in refused(server, keys=("", ""))


def test_a_host_with_neither_keys_nor_profile_is_told_so(server: Any) -> None:
    def identity() -> dict[str, Any]:
        raise OSError("timed out")

    clock = FakeClock()
    told = refused(server, clock, keys=("", ""), identity=identity)
    assert clock.time == 1000 + RETRY_SECONDS, "its metadata service may not answer for a moment"
    assert told.startswith("there is no storageAccessKey, and this machine has no instance profile (timed out); expect")


# Regions


def test_a_bucket_that_flink_finds_in_another_region_is_only_shown(
    server: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answers["PUT"] = [error(301, "PermanentRedirect", x_amz_bucket_region="us-west-2")]
    look(server, followsRegion=True).apply()
    said = capfd.readouterr().err
    assert "bucket flink is in us-west-2, and storageRegion is eu-central-1: Flink finds it" in said
    assert "/us-west-2/s3/aws4_request" in server.asked[1][2]["Authorization"]
    server.answers["PUT"] = [error(301, "PermanentRedirect", x_amz_bucket_region=f"us-west-{n}") for n in range(9)]
    assert "bucket flink is in us-west-1: expected" in refused(server, followsRegion=True), "it does not go in circles"


# Certificates


@pytest.fixture
def behind_tls(server: Any, tmp_path: Path) -> Iterator[str]:
    private_ca.make_certificates(tmp_path, "127.0.0.1")
    with private_ca.serving(tmp_path, "127.0.0.1", ("127.0.0.1", server.server_address[1])) as port:
        yield f"https://127.0.0.1:{port}"


def keytool(folder: Path, monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    path = folder / "keytool"
    path.write_text(f'#!/bin/sh\necho "Your keystore contains 1 entry"\ncat {certificate}\necho "$@" >{folder}/asked\n')
    path.chmod(0o755)
    monkeypatch.setattr(s3_look, "KEYTOOL", str(path))


def test_a_private_authority_is_that_of_the_stack(server: Any, behind_tls: str, tmp_path: Path) -> None:
    look(server, server=behind_tls, certificates=str(tmp_path / "ca.pem")).apply()


def test_what_the_jvm_trusts_counts(
    server: Any, behind_tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keytool(tmp_path, monkeypatch, tmp_path / "ca.pem")
    look(server, server=behind_tls).apply()
    assert (tmp_path / "asked").read_text().endswith(" -list -rfc -storepass changeit -cacerts\n")
    other = tmp_path / "other"
    other.mkdir()
    private_ca.make_certificates(other, "127.0.0.2")
    keytool(tmp_path, monkeypatch, other / "ca.pem")
    told = refused(server, server=behind_tls)
    assert told.startswith(f"the certificate of {behind_tls} is refused (") and "trustedCertificates" in told


def test_a_store_of_the_stacks_own_is_for_flink_to_judge(
    server: Any, behind_tls: str, capfd: pytest.CaptureFixture[str]
) -> None:
    look(server, server=behind_tls, store=[]).apply()
    assert "going on, because Flink may be able to use it" in capfd.readouterr().err


# A proxy, and names


def test_it_goes_through_the_proxy_that_flink_uses(server: Any) -> None:
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    look(server, proxy=proxy, server="http://s3.example.org", pathStyle=False).apply()
    assert {path.partition("/dev")[0].partition("?")[0] for _, path, _, _ in server.asked} == {
        "http://flink.s3.example.org",
        "http://flink.s3.example.org/",
    }


# doctor


def test_doctor_says_what_cannot_be_used_and_else_nothing(server: Any, capfd: pytest.CaptureFixture[str]) -> None:
    look(server).check()
    assert capfd.readouterr() == ("", "")
    server.answers["PUT"] = [error(404, "NoSuchBucket")]
    look(server).check()
    out = capfd.readouterr().out
    assert out.startswith("! storage\tcannot use the storage at s3://flink/dev (storageUri): cannot write: ")


# As hosts run it


def test_hosts_run_it_with_the_credentials_of_the_daemons(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "credentials.env"
    file.write_text("AWS_ACCESS_KEY_ID='AKIAOTHER'\nAWS_SECRET_ACCESS_KEY='a=b'\nHADOOP_USER_NAME='x'\n")
    monkeypatch.setattr(credentials.variables, "__defaults__", (str(file),))
    values = {"host": "tm-0", "places": {"storageUri": "s3://flink/dev"}, "pathStyle": True, "followsRegion": False}
    values |= dict.fromkeys(("encryption", "kmsKey", "proxy", "certificates"), "")
    values |= {"server": f"http://127.0.0.1:{server.server_address[1]}", "region": "eu-central-1", "store": []}
    for words in (["storage"], ["storage", "--check"]):
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(values)))
        assert main(words) == 0
    assert all("Credential=AKIAOTHER/" in headers["Authorization"] for _, _, headers, _ in server.asked)
    assert len(server.asked) == 8 and capfd.readouterr().out == ""
