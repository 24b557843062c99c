"""A small server that speaks the part of Alibaba Cloud OSS's REST interface that Flink's plugin uses, over a folder.

There is no OSS server that can be had. This one is written from Alibaba's API reference
(https://www.alibabacloud.com/help/en/oss/developer-reference/), whose names are in the text below: it checks the
signature (V1, in the header), and answers with OSS's documents, statuses and error codes. It has one bucket. Alibaba's
SDK names it in the path if the endpoint is an IP address, and not at all if it is a name outside aliyuncs.com, which
stands for a bucket ("Map custom domain names"). Not there: versions, ACLs, storage classes, CRC-64 of objects (OSS
sends it; the SDK checks it only if it is sent), signatures in URLs.

`python -m tests.storages.oss_gateway ADDRESS PORT FOLDER BUCKET`, with the keys in `OSS_ACCESS_KEY_ID` and
`OSS_ACCESS_KEY_SECRET`.
"""

import base64
import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, unquote, urlsplit

# fmt: off
SIGNED = frozenset((
    "acl", "uploads", "location", "cors", "logging", "website", "referer", "lifecycle", "delete", "append",
    "tagging", "objectMeta", "uploadId", "partNumber", "security-token", "position", "img", "style", "styleName",
    "replication", "replicationProgress", "replicationLocation", "cname", "bucketInfo", "comp", "qos", "live",
    "status", "vod", "startTime", "endTime", "symlink", "x-oss-process", "response-content-type",
    "response-content-language", "response-expires", "response-cache-control", "response-content-disposition",
    "response-content-encoding", "continuation-token",
))
# fmt: on
"""The sub-resources that are part of the signature ("Include a V1 signature in the Authorization header"); the last one
is in the SDK's list only."""
SKEW_SECONDS = 15 * 60
"""A request that is older or newer is refused (ibid., "Date")."""
SMALLEST_PART = 100 << 10
"""Of all parts but the last ("CompleteMultipartUpload")."""
_CHUNK = 1 << 20
_IP = re.compile(r"[\d.]+(:\d+)?")
_TABLES = """
create table if not exists objects (key text primary key, file text, etag text, size integer, modified real) strict;
create table if not exists uploads (id text primary key, key text) strict;
create table if not exists parts (upload text, number integer, file text, etag text, size integer,
    primary key (upload, number)) strict;
"""
_SELECT = "select key, file, etag, size, modified from objects"


class Refused(Exception):
    """An answer of OSS that refuses a request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def no_key() -> Refused:
    return Refused(404, "NoSuchKey", "The specified key does not exist.")


def no_bucket() -> Refused:
    return Refused(404, "NoSuchBucket", "The specified bucket does not exist.")


def no_upload() -> Refused:
    message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted"
    return Refused(404, "NoSuchUpload", f"{message} or completed.")


@dataclass(frozen=True)
class Found:
    """An object."""

    key: str
    file: str
    etag: str
    size: int
    modified: float


class Bucket:
    """Objects in a folder, with their names in a database. All methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._database = sqlite3.connect(folder / "objects.db", check_same_thread=False, isolation_level=None)
        self._database.executescript(f"pragma journal_mode = wal; pragma synchronous = off; {_TABLES}")

    def _do(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def file(self) -> Path:
        """A new file for the content of an object or a part."""
        return self._folder / secrets.token_hex(12)

    def open(self, key: str) -> tuple[Found, BinaryIO]:
        """An object and its content, also if it is replaced meanwhile."""
        with self._lock:
            row = self._database.execute(f"{_SELECT} where key = ?", (key,)).fetchone()
            if row is None:
                raise no_key()
            found = Found(*row)
            return found, (self._folder / found.file).open("rb")

    def content(self, key: str) -> bytes:
        with self.open(key)[1] as file:
            return file.read()

    def put(self, key: str, file: Path, etag: str, modified: float = 0) -> Found:
        """An object is replaced as a whole. What is read at the time is read to its end."""
        found = Found(key, file.name, etag, file.stat().st_size, modified or time.time())
        with self._lock:
            old = self._database.execute("select file from objects where key = ?", (key,)).fetchone()
            values = (found.key, found.file, found.etag, found.size, found.modified)
            self._database.execute("insert or replace into objects values (?, ?, ?, ?, ?)", values)
            if old:
                (self._folder / old[0]).unlink(missing_ok=True)
        return found

    def delete(self, key: str) -> None:
        with self._lock:
            for (file,) in self._database.execute(
                "delete from objects where key = ? returning file", (key,)
            ).fetchall():
                (self._folder / file).unlink(missing_ok=True)

    def after(self, prefix: str, after: str) -> Iterator[Found]:
        """The objects below a prefix that come after a key, in the order of their UTF-8 names."""
        while rows := self._do(
            f"{_SELECT} where key > ? and substr(key, 1, ?) = ? order by key limit 1000",
            after,
            len(prefix),
            prefix,
        ):
            for row in rows:
                yield Found(*row)  # type: ignore[arg-type]
            after = str(rows[-1][0])

    def start(self, key: str) -> str:
        upload = secrets.token_hex(16).upper()
        self._do("insert into uploads values (?, ?)", upload, key)
        return upload

    def upload(self, upload: str, key: str) -> None:
        """`NoSuchUpload` unless there is one for this object."""
        if not self._do("select 1 from uploads where id = ? and key = ?", upload, key):
            raise no_upload()

    def part(self, upload: str, number: int, file: Path, etag: str) -> None:
        values = (upload, number, file.name, etag, file.stat().st_size)
        self._do("insert or replace into parts values (?, ?, ?, ?, ?)", *values)

    def complete(self, upload: str, key: str, named: list[tuple[int, str]]) -> Found:
        """An object of the parts that are named by number and ETag."""
        self.upload(upload, key)
        rows = self._do("select number, file, etag, size from parts where upload = ?", upload)
        kept = {int(str(number)): (str(file), str(etag), int(str(size))) for number, file, etag, size in rows}
        if [number for number, _ in named] != sorted({number for number, _ in named}):
            message = "The list of parts was not in ascending order."
            raise Refused(400, "InvalidPartOrder", message)
        if not named or any(number not in kept or kept[number][1] != etag for number, etag in named):
            message = "One or more of the specified parts could not be found or the specified entity tag might not "
            raise Refused(400, "InvalidPart", f"{message}have matched the part's entity tag.")
        if any(kept[number][2] < SMALLEST_PART for number, _ in named[:-1]):
            message = "Your proposed upload smaller than the minimum allowed size."
            raise Refused(400, "EntityTooSmall", message)
        whole = self.file()
        with whole.open("wb") as to:
            for number, _ in named:
                to.write((self._folder / kept[number][0]).read_bytes())
        joined = hashlib.md5("".join(etag for _, etag in named).encode()).hexdigest().upper()
        found = self.put(key, whole, f"{joined}-{len(named)}")
        self.abort(upload, key)
        return found

    def abort(self, upload: str, key: str) -> None:
        self.upload(upload, key)
        for (file,) in self._do("delete from parts where upload = ? returning file", upload):
            (self._folder / str(file)).unlink(missing_ok=True)
        self._do("delete from uploads where id = ?", upload)

    def uploads(self) -> list[tuple[str, str]]:
        """Uploads that are neither complete nor aborted: key and id."""
        return [(str(key), str(upload)) for key, upload in self._do("select key, id from uploads order by key, id")]


def signature(secret: str, verb: str, headers: Mapping[str, str], bucket: str, key: str, query: dict[str, str]) -> str:
    """The signature of a request ("Include a V1 signature in the Authorization header")."""
    own = sorted((name.lower(), value.strip()) for name, value in headers.items() if name.lower().startswith("x-oss-"))
    signed = "&".join(f"{name}={value}" if value else name for name, value in sorted(query.items()) if name in SIGNED)
    text = "\n".join(
        [
            verb,
            headers.get("Content-MD5") or "",
            headers.get("Content-Type") or "",
            headers.get("x-oss-date") or headers.get("Date") or "",
            *(f"{name}:{value}" for name, value in own),
            f"/{bucket}/{key}" + (f"?{signed}" if signed else ""),
        ]
    )
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _element(parent: ET.Element, name: str, text: object = "") -> ET.Element:
    child = ET.SubElement(parent, name)
    child.text = str(text)
    return child


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Gateway"

    def _serve(self) -> None:
        try:
            self._answer()
        except Refused as refused:
            self._refuse(refused)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *values: object) -> None:
        """Each request in one line, without keys or signatures."""
        print(f"{time.strftime('%H:%M:%S')} {format % values}", flush=True)

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query = dict(parse_qsl(address.query, keep_blank_values=True))
        self.key = unquote(address.path)[1:]
        if _IP.fullmatch(self.headers.get("Host") or ""):
            self.named, _, self.key = self.key.partition("/")
        else:
            self.named = self.server.name
        # The body is read first: what follows on the connection is the next request
        self.body, self.md5 = self._receive()
        try:
            self._check()
            if self.named != self.server.name:
                raise no_bucket()
            if self.key:
                self._object()
            else:
                self._bucket()
        finally:
            if self.body:
                self.body.unlink(missing_ok=True)

    def _receive(self) -> tuple[Path | None, str]:
        """The body as a file, and its MD5 in base64."""
        if self.command not in ("PUT", "POST"):
            return None, ""
        digest = hashlib.md5()
        file = self.server.bucket.file()
        with file.open("wb") as to:
            for piece in self._pieces():
                to.write(piece)
                digest.update(piece)
        return file, base64.b64encode(digest.digest()).decode()

    def _pieces(self) -> Iterator[bytes]:
        """The body, in one of the two ways in which OSS takes it ("PutObject"): with its length, or in chunks."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        elif "Content-Length" in self.headers:
            yield from self._read(int(self.headers["Content-Length"]))
        else:
            self.close_connection = True
            raise Refused(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")

    def _read(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece

    def _check(self) -> None:
        """Who asks, and when."""
        found = re.fullmatch(r"OSS ([^:]+):(\S+)", self.headers.get("Authorization") or "")
        if found is None:
            raise Refused(403, "AccessDenied", "You have no right to access this object because of bucket acl.")
        if found.group(1) != self.server.access_key:
            raise Refused(
                403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
            )
        date = self.headers.get("x-oss-date") or self.headers.get("Date") or ""
        try:
            skew = abs(parsedate_to_datetime(date).timestamp() - time.time())
        except ValueError:
            raise Refused(403, "AccessDenied", "OSS authentication requires a valid Date.") from None
        if skew > SKEW_SECONDS:
            message = "The difference between the request time and the current time is too large."
            raise Refused(403, "RequestTimeTooSkewed", message)
        headers = {name: value for name, value in self.headers.items() if name.lower().startswith("x-oss-")}
        for name in ("Content-MD5", "Content-Type", "Date", "x-oss-date"):
            if name in self.headers:
                headers[name] = self.headers[name]
        own = signature(self.server.secret_key, self.command, headers, self.named, self.key, self.query)
        if not hmac.compare_digest(own, found.group(2)):
            message = "The request signature we calculated does not match the signature you provided. Check your key "
            raise Refused(403, "SignatureDoesNotMatch", f"{message}and signing method.")
        if self.headers.get("Content-MD5") not in (None, self.md5):
            raise Refused(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"x-oss-request-id": secrets.token_hex(12).upper(), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _document(self, root: ET.Element) -> None:
        self._send(200, ET.tostring(root, "utf-8", xml_declaration=True), Content_Type="application/xml")

    def _refuse(self, refused: Refused) -> None:
        root = ET.Element("Error")
        _element(root, "Code", refused.code)
        _element(root, "Message", refused.message)
        _element(root, "RequestId", secrets.token_hex(12).upper())
        _element(root, "HostId", self.headers.get("Host") or "")
        body = ET.tostring(root, "utf-8", xml_declaration=True)
        self.log_message("%s: %s", self.requestline, refused)
        self._send(refused.status, body, Content_Type="application/xml")

    def _xml(self) -> ET.Element:
        try:
            return ET.fromstring(self.body.read_bytes() if self.body else b"")
        except ET.ParseError:
            message = "The XML you provided was not well-formed or did not validate against our published schema"
            raise Refused(400, "MalformedXML", message) from None

    # Operations on the bucket

    def _bucket(self) -> None:
        if self.command == "GET" and "uploads" in self.query:
            self._list_uploads()
        elif self.command == "GET" and not set(self.query) & (SIGNED - {"continuation-token"}):
            self._list()
        elif self.command == "POST" and "delete" in self.query:
            self._delete_objects()
        else:
            raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented.")

    def _named(self, text: str) -> str:
        return quote(text, safe="") if self.query.get("encoding-type") == "url" else text

    def _list(self) -> None:
        """ "GetBucket (ListObjects)" and "ListObjectsV2 (GetBucketV2)"."""
        second = self.query.get("list-type") == "2"
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        most = int(self.query.get("max-keys", "100"))
        token = self.query.get("continuation-token") if second else None
        after = base64.b64decode(token).decode() if token else self.query.get("start-after" if second else "marker", "")
        objects: list[Found] = []
        prefixes: list[str] = []
        last, truncated = after, False
        for found in self.server.bucket.after(prefix, after):
            rest = found.key[len(prefix) :]
            folder = prefix + rest.partition(delimiter)[0] + delimiter if delimiter and delimiter in rest else ""
            if folder and (folder in prefixes[-1:] or after.startswith(folder)):
                continue
            if len(objects) + len(prefixes) == most:
                truncated = True
                break
            if folder:
                prefixes.append(folder)
            else:
                objects.append(found)
            last = folder or found.key
        root = ET.Element("ListBucketResult")
        _element(root, "Name", self.server.name)
        _element(root, "Prefix", self._named(prefix))
        if second:
            _element(root, "StartAfter", self._named(self.query.get("start-after", "")))
        else:
            _element(root, "Marker", self._named(after))
        _element(root, "MaxKeys", most)
        _element(root, "Delimiter", self._named(delimiter))
        if "encoding-type" in self.query:
            _element(root, "EncodingType", self.query["encoding-type"])
        _element(root, "IsTruncated", str(truncated).lower())
        if truncated and second:
            _element(root, "NextContinuationToken", base64.b64encode(last.encode()).decode())
        elif truncated:
            _element(root, "NextMarker", self._named(last))
        for found in objects:
            entry = _element(root, "Contents")
            _element(entry, "Key", self._named(found.key))
            _element(entry, "LastModified", _iso(found.modified))
            _element(entry, "ETag", f'"{found.etag}"')
            _element(entry, "Type", "Multipart" if "-" in found.etag else "Normal")
            _element(entry, "Size", found.size)
            _element(entry, "StorageClass", "Standard")
            if not second or self.query.get("fetch-owner") == "true":
                owner = _element(entry, "Owner")
                _element(owner, "ID", "0022012")
                _element(owner, "DisplayName", "user")
        for folder in prefixes:
            _element(_element(root, "CommonPrefixes"), "Prefix", self._named(folder))
        if second:
            _element(root, "KeyCount", len(objects) + len(prefixes))
        self._document(root)

    def _list_uploads(self) -> None:
        """ "ListMultipartUploads", in one page."""
        root = ET.Element("ListMultipartUploadsResult")
        _element(root, "Bucket", self.server.name)
        for key, upload in self.server.bucket.uploads():
            if key.startswith(self.query.get("prefix", "")):
                entry = _element(root, "Upload")
                _element(entry, "Key", self._named(key))
                _element(entry, "UploadId", upload)
        _element(root, "IsTruncated", "false")
        self._document(root)

    def _delete_objects(self) -> None:
        """ "DeleteMultipleObjects": a key that is not there counts as deleted."""
        request = self._xml()
        keys = [entry.findtext("Key") or "" for entry in request.iter("Object")]
        if "Content-MD5" not in self.headers or not 0 < len(keys) <= 1000:
            raise Refused(400, "InvalidArgument", "1 to 1000 keys and Content-MD5 are expected.")
        root = ET.Element("DeleteResult")
        if "encoding-type" in self.query:
            _element(root, "EncodingType", self.query["encoding-type"])
        for key in keys:
            self.server.bucket.delete(key)
            if request.findtext("Quiet") != "true":
                _element(_element(root, "Deleted"), "Key", self._named(key))
        self._document(root)

    # Operations on an object

    def _object(self) -> None:
        bucket, upload = self.server.bucket, self.query.get("uploadId")
        source = self.headers.get("x-oss-copy-source")
        match self.command:
            case "GET" | "HEAD" if not set(self.query) & SIGNED or "objectMeta" in self.query:
                self._get(*bucket.open(self.key))
            case "PUT" if upload is not None and "partNumber" in self.query:
                self._put_part(upload, int(self.query["partNumber"]), source)
            case "PUT" if source and not set(self.query) & SIGNED:
                self._copied("CopyObjectResult", self._put(bucket.content(self._source(source))))
            case "PUT" if not set(self.query) & SIGNED:
                found = self._put(None)
                self._send(200, ETag=f'"{found.etag}"', Content_MD5=self.md5)
            case "DELETE" if upload is not None:
                bucket.abort(upload, self.key)
                self._send(204)
            case "DELETE" if not self.query:
                bucket.delete(self.key)
                self._send(204)
            case "POST" if "uploads" in self.query:
                root = ET.Element("InitiateMultipartUploadResult")
                if "encoding-type" in self.query:
                    _element(root, "EncodingType", self.query["encoding-type"])
                _element(root, "Bucket", self.server.name)
                _element(root, "Key", self._named(self.key))
                _element(root, "UploadId", bucket.start(self.key))
                self._document(root)
            case "POST" if upload is not None:
                self._complete(upload)
            case _:
                message = "A header you provided implies functionality that is not implemented."
                raise Refused(501, "NotImplemented", message)

    def _source(self, header: str) -> str:
        """The key that is copied, of the same bucket: `/BUCKET/KEY`, encoded as in a URL."""
        name, _, key = unquote(header).removeprefix("/").partition("/")
        if name != self.server.name:
            raise no_bucket()
        return key

    def _put(self, content: bytes | None) -> Found:
        """Make an object of this content, or of the body."""
        if self.body is None:
            raise AssertionError("a PUT has a body")
        if content is not None:
            self.body.write_bytes(content)
        etag = hashlib.md5(self.body.read_bytes()).hexdigest().upper()
        found, self.body = self.server.bucket.put(self.key, self.body, etag), None
        return found

    def _copied(self, name: str, found: Found) -> None:
        root = ET.Element(name)
        _element(root, "LastModified", _iso(found.modified))
        _element(root, "ETag", f'"{found.etag}"')
        self._document(root)

    def _get(self, found: Found, file: BinaryIO) -> None:
        first, last, status = 0, found.size - 1, 200
        headers = {
            "ETag": f'"{found.etag}"',
            "Last_Modified": formatdate(found.modified, usegmt=True),
            "Content_Type": "application/octet-stream",
            "x_oss_object_type": "Multipart" if "-" in found.etag else "Normal",
            "Accept_Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        # A range that OSS cannot serve is ignored, and the whole object is sent ("GetObject"), unless the standard
        # behaviour is asked for
        standard = self.headers.get("x-oss-range-behavior") == "standard"
        if asked and any(asked.groups()):
            low, high = asked.groups()
            start = int(low) if low else max(found.size - int(high), 0)
            end = min(int(high), last) if low and high else last
            if start <= end and (standard or not (low and high) or int(high) <= last):
                first, last, status = start, end, 206
                headers["Content_Range"] = f"bytes {first}-{last}/{found.size}"
            elif standard:
                raise Refused(416, "InvalidRange", "The requested range cannot be satisfied")
        with file:
            self.send_response(status)
            self.send_header("x-oss-request-id", secrets.token_hex(12).upper())
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            left = last - first + 1
            self.send_header("Content-Length", str(left))
            self.end_headers()
            file.seek(first)
            while left > 0 and self.command == "GET":
                piece = file.read(min(left, _CHUNK))
                self.wfile.write(piece)
                left -= len(piece)

    def _put_part(self, upload: str, number: int, source: str | None) -> None:
        """ "UploadPart" and "UploadPartCopy"."""
        bucket = self.server.bucket
        bucket.upload(upload, self.key)
        if not 1 <= number <= 10000 or self.body is None:
            raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.")
        if source:
            content = bucket.content(self._source(source))
            piece = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("x-oss-copy-source-range") or "")
            self.body.write_bytes(content[int(piece[1]) : int(piece[2]) + 1] if piece else content)
        etag = hashlib.md5(self.body.read_bytes()).hexdigest().upper()
        bucket.part(upload, number, self.body, etag)
        size, self.body = self.body.stat().st_size, None
        if source:
            self._copied("CopyPartResult", Found(self.key, "", etag, size, time.time()))
        else:
            self._send(200, ETag=f'"{etag}"', Content_MD5=self.md5)

    def _complete(self, upload: str) -> None:
        parts = [
            (int(part.findtext("PartNumber") or 0), (part.findtext("ETag") or "").strip('"'))
            for part in self._xml().iter("Part")
        ]
        found = self.server.bucket.complete(upload, self.key, parts)
        root = ET.Element("CompleteMultipartUploadResult")
        if "encoding-type" in self.query:
            _element(root, "EncodingType", self.query["encoding-type"])
        _element(root, "Location", f"http://{self.headers.get('Host')}/{quote(self.key)}")
        _element(root, "Bucket", self.server.name)
        _element(root, "Key", self._named(self.key))
        _element(root, "ETag", f'"{found.etag}"')
        self._document(root)


class Gateway(ThreadingHTTPServer):
    """The server; `port` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, folder: Path, name: str, access_key: str, secret_key: str) -> None:
        super().__init__((address, port), Handler)
        self.bucket, self.name = Bucket(folder), name
        self.access_key, self.secret_key = access_key, secret_key


def main() -> None:
    """Serve until the process is ended."""
    address, port, folder, name = sys.argv[1:]
    keys = os.environ["OSS_ACCESS_KEY_ID"], os.environ["OSS_ACCESS_KEY_SECRET"]
    Gateway(address, int(port), Path(folder), name, *keys).serve_forever()


if __name__ == "__main__":
    main()
