"""The tests' server with OSS's interface answers as Alibaba's API reference says."""

import base64
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from tests.serving import serving
from tests.storages.oss_gateway import Gateway, signature

SECRET = "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"
"""That of Alibaba's example."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with serving(Gateway("127.0.0.1", 0, tmp_path, "bucket", "id", SECRET)) as server:
        yield server


def ask(
    gateway: Gateway, verb: str, path: str, body: bytes = b"", when: float | None = None, **headers: str
) -> requests.Response:
    """A signed request."""
    sent = {"Date": formatdate(when, usegmt=True), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if verb == "POST":
        sent["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
    address = urlsplit(path)
    query = dict(parse_qsl(address.query, keep_blank_values=True))
    bucket, _, key = address.path[1:].partition("/")
    sent["Authorization"] = f"OSS id:{signature(SECRET, verb, sent, bucket, key, query)}"
    url = f"http://127.0.0.1:{gateway.server_address[1]}{path}"
    return requests.request(verb, url, data=body, headers=sent, timeout=10, proxies={"http": ""})


def code(answer: requests.Response) -> tuple[int, str | None]:
    return answer.status_code, ET.fromstring(answer.content).findtext("Code")


def test_the_signature_is_that_of_alibabas_example() -> None:
    """ "Include a V1 signature in the Authorization header", "Signature example"."""
    headers = {
        "Content-MD5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
        "Content-Type": "text/html",
        "Date": "Thu, 17 Nov 2005 18:49:58 GMT",
        "X-OSS-Magic": "abracadabra",
        "X-OSS-Meta-Author": "foo@bar.com",
    }
    assert signature(SECRET, "PUT", headers, "oss-example", "nelson", {}) == "26NBxoKdsyly4EDv6inkoDft/yA="


def test_who_is_refused(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.server_address[1]}/bucket/key"
    assert code(requests.get(url, timeout=10, proxies={"http": ""})) == (403, "AccessDenied")
    assert code(ask(gateway, "GET", "/bucket/key", when=0)) == (403, "RequestTimeTooSkewed")
    for authorization, why in (("OSS other:x", "InvalidAccessKeyId"), ("OSS id:x", "SignatureDoesNotMatch")):
        headers = {"Date": formatdate(usegmt=True), "Authorization": authorization}
        assert code(requests.get(url, headers=headers, timeout=10, proxies={"http": ""})) == (403, why)
    assert code(ask(gateway, "GET", "/another/key")) == (404, "NoSuchBucket")
    assert code(ask(gateway, "GET", "/bucket/key")) == (404, "NoSuchKey")
    assert code(ask(gateway, "GET", "/bucket/key?acl")) == (501, "NotImplemented")


def test_an_object(gateway: Gateway) -> None:
    put = ask(gateway, "PUT", "/bucket/a/b", b"content", Content_Type="text/plain")
    assert (put.status_code, put.headers["ETag"]) == (200, f'"{hashlib.md5(b"content").hexdigest().upper()}"')
    got = ask(gateway, "GET", "/bucket/a/b", Range="bytes=1-3")
    assert (got.status_code, got.content, got.headers["Content-Range"]) == (206, b"ont", "bytes 1-3/7")
    # A range beyond the end is ignored, unless standard behaviour is asked for
    assert ask(gateway, "GET", "/bucket/a/b", Range="bytes=5-99").content == b"content"
    beyond = ask(gateway, "GET", "/bucket/a/b", Range="bytes=5-99", x_oss_range_behavior="standard")
    assert (beyond.status_code, beyond.content) == (206, b"nt")
    nothing = ask(gateway, "GET", "/bucket/a/b", Range="bytes=9-", x_oss_range_behavior="standard")
    assert code(nothing) == (416, "InvalidRange")
    copied = ask(gateway, "PUT", "/bucket/c", x_oss_copy_source="/bucket/a/b")
    assert ET.fromstring(copied.content).findtext("ETag") == put.headers["ETag"]
    assert ask(gateway, "GET", "/bucket/c").content == b"content"
    for _ in range(2):  # also of an object that is not there
        assert ask(gateway, "DELETE", "/bucket/c").status_code == 204
    assert ask(gateway, "HEAD", "/bucket/c").status_code == 404


def test_a_list_has_pages_and_folders(gateway: Gateway) -> None:
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        assert ask(gateway, "PUT", f"/bucket/{key}", b"x").status_code == 200

    def page(query: str) -> tuple[list[str | None], list[str | None], str | None]:
        root = ET.fromstring(ask(gateway, "GET", f"/bucket/?{query}").content)
        keys = [entry.findtext("Key") for entry in root.iter("Contents")]
        following = root.findtext("NextMarker") or root.findtext("NextContinuationToken")
        return keys, [entry.findtext("Prefix") for entry in root.iter("CommonPrefixes")], following

    assert page("prefix=a/") == (["a/1", "a/2"], [], None)
    assert page("delimiter=/") == (["b", "d"], ["a/", "c/"], None)
    assert page("delimiter=/&max-keys=2") == (["b"], ["a/"], "b")
    assert page("delimiter=/&max-keys=2&marker=b") == (["d"], ["c/"], None)
    keys, _, token = page("list-type=2&max-keys=3")
    assert keys == ["a/1", "a/2", "b"]
    assert page(f"list-type=2&max-keys=3&continuation-token={token}") == (["c/1", "d"], [], None)
    body = b"<Delete><Quiet>false</Quiet><Object><Key>a/1</Key></Object><Object><Key>none</Key></Object></Delete>"
    root = ET.fromstring(ask(gateway, "POST", "/bucket/?delete", body).content)
    assert [entry.findtext("Key") for entry in root.iter("Deleted")] == ["a/1", "none"]
    assert page("prefix=a/") == (["a/2"], [], None)


def test_an_object_in_parts(gateway: Gateway, tmp_path: Path) -> None:
    def start() -> str:
        return ET.fromstring(ask(gateway, "POST", "/bucket/k?uploads").content).findtext("UploadId") or ""

    def put(upload: str, number: int, body: bytes) -> str:
        return ask(gateway, "PUT", f"/bucket/k?partNumber={number}&uploadId={upload}", body).headers["ETag"]

    def complete(upload: str, *parts: tuple[int, str]) -> requests.Response:
        texts = (f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
        body = f"<CompleteMultipartUpload>{''.join(texts)}</CompleteMultipartUpload>".encode()
        return ask(gateway, "POST", f"/bucket/k?uploadId={upload}", body)

    upload = start()
    first, last = (1, put(upload, 1, b"a" * 102400)), (5, put(upload, 5, b"z"))
    assert code(complete(upload, last, first)) == (400, "InvalidPartOrder")
    assert code(complete(upload, first, (5, '"0"'))) == (400, "InvalidPart")
    assert complete(upload, first, last).status_code == 200
    assert ask(gateway, "GET", "/bucket/k").content == b"a" * 102400 + b"z"
    assert code(complete(upload, first, last)) == (404, "NoSuchUpload")
    upload = start()
    assert code(complete(upload, (1, put(upload, 1, b"a")), (2, put(upload, 2, b"b")))) == (400, "EntityTooSmall")
    assert ask(gateway, "DELETE", f"/bucket/k?uploadId={upload}").status_code == 204
    assert len(list(tmp_path.glob("[0-9a-f]*"))) == 1  # the object's: nothing of the parts is left
