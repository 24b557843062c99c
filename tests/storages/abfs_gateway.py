"""A small server that speaks the part of Azure Data Lake Storage Gen2's REST interface that Flink's plugin uses for
abfs://, over a folder with real directories, as an account with a hierarchical namespace has.

Azurite has no such interface ("dfs"), and the plugin's Hadoop (3.3.4) uses no other for abfs://. This one is made from
Microsoft's reference (https://learn.microsoft.com/en-us/rest/api/storageservices/data-lake-storage-gen2), whose names
are in the text below. It checks who asks: by "Authorize with Shared Key", or by a token that its metadata server gave
("How to use managed identities … to acquire an access token"), for tests that lead 169.254.169.254 to METADATA_PORT.
Not there: ACLs, leases, owners, expiry, continuation of long lists.

`python -m tests.storages.abfs_gateway ADDRESS PORT METADATA_PORT FOLDER ACCOUNT CERTIFICATE KEY_FILE`, with the
account's key in `AZURE_STORAGE_KEY`. URLs are `https://ADDRESS:PORT/ACCOUNT/FILESYSTEM/PATH`, as those of an emulator.
"""

import base64
import hmac
import json
import os
import re
import secrets
import shutil
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

RESOURCE = "https://storage.azure.com/"
_SIGNED = """Content-Encoding Content-Language Content-Length Content-MD5 Content-Type Date If-Modified-Since If-Match
If-None-Match If-Unmodified-Since Range"""


class Refused(Exception):
    """An answer that refuses a request."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def signature(key: str, verb: str, headers: Mapping[str, str], account: str, path: str, query: dict[str, str]) -> str:
    """The signature of a request ("Authorize with Shared Key", version 2015-02-21 and later)."""
    values = [headers.get(name) or "" for name in _SIGNED.split()]
    values[2] = "" if values[2] == "0" else values[2]
    own = sorted((name.lower(), value.strip()) for name, value in headers.items() if name.lower().startswith("x-ms-"))
    resource = "".join(f"\n{name.lower()}:{value}" for name, value in sorted(query.items()))
    text = "\n".join([verb, *values, *(f"{name}:{value}" for name, value in own), f"/{account}{path}{resource}"])
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()


class Tree:
    """A filesystem in a folder. What is appended is visible once it is flushed ("Path - Update")."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.RLock()
        self.folder = folder
        self._appended: dict[Path, dict[int, bytes]] = {}

    def append(self, path: Path, position: int, body: bytes) -> None:
        with self.lock:
            self._known(path)
            self._appended.setdefault(path, {})[position] = body

    def flush(self, path: Path, position: int, retain: bool) -> None:
        with self.lock:
            self._known(path)
            pieces, size = self._appended.get(path, {}), path.stat().st_size
            with path.open("ab") as file:
                while size < position:
                    if size not in pieces:
                        message = "The uploaded data is not contiguous or the position query parameter value is not "
                        raise Refused(400, "InvalidFlushPosition", f"{message}equal to the length of the file")
                    file.write(pieces[size])
                    size += len(pieces.pop(size))
            if size != position:
                raise Refused(400, "InvalidFlushPosition", "The position is not equal to the length of the file.")
            if not retain:
                self._appended.pop(path, None)

    def forget(self, path: Path) -> None:
        """What was appended to this file, which is another one now."""
        self._appended.pop(path, None)

    def _known(self, path: Path) -> None:
        if not path.is_file():
            raise Refused(404, "PathNotFound", "The specified path does not exist.")


def etag(path: Path) -> str:
    """Changes with each write, and goes with the file."""
    stat = path.stat()
    return f'"0x{stat.st_mtime_ns:X}{stat.st_size:X}"'


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Gateway"

    def _serve(self) -> None:
        try:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            self.query = dict(parse_qsl(address.query, keep_blank_values=True))
            if self.server.gives_metadata:
                self._metadata(address.path)
                return
            self._check(address.path)
            with self.server.tree.lock:
                self._answer(unquote(address.path).removeprefix(f"/{self.server.account}/"))
        except Refused as refused:
            self.log_message("%s: %s", self.requestline, refused)
            body = json.dumps({"error": {"code": refused.code, "message": refused.message}}).encode()
            self._send(refused.status, body, x_ms_error_code=refused.code, Content_Type="application/json")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *values: object) -> None:
        """Each request in one line."""
        print(f"{time.strftime('%H:%M:%S')} {format % values}", flush=True)

    def _send(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"x-ms-request-id": secrets.token_hex(16), "x-ms-version": "2021-10-04", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _metadata(self, path: str) -> None:
        """The instance metadata service's token of a managed identity."""
        if self.headers.get("Metadata") != "true" or path != "/metadata/identity/oauth2/token":
            raise Refused(400, "bad_request_102", "Required metadata header not specified")
        if self.query.get("resource") != RESOURCE:
            raise Refused(400, "invalid_resource", f"{self.query.get('resource')}: expected {RESOURCE}")
        token = secrets.token_urlsafe(40)
        self.server.tokens.add(token)
        found = {"access_token": token, "expires_in": "86399", "resource": RESOURCE, "token_type": "Bearer"}
        found["expires_on"] = str(int(time.time()) + 86399)
        self._send(200, json.dumps(found).encode(), Content_Type="application/json")

    def _check(self, path: str) -> None:
        """Who asks."""
        given = self.headers.get("Authorization") or ""
        if given.startswith("Bearer ") and given.removeprefix("Bearer ") in self.server.tokens:
            return
        own = signature(
            self.server.key, self.command, dict(self.headers.items()), self.server.account, path, self.query
        )
        if not hmac.compare_digest(given, f"SharedKey {self.server.account}:{own}"):
            message = "Server failed to authenticate the request. Make sure the value of Authorization header is formed"
            raise Refused(403, "AuthenticationFailed", f"{message} correctly including the signature.")

    def _answer(self, text: str) -> None:
        filesystem, _, name = text.partition("/")
        root = self.server.tree.folder / filesystem
        if not filesystem or ".." in text.split("/"):
            raise Refused(400, "InvalidUri", "The request URI is invalid.")
        if self.query.get("resource") == "filesystem":
            self._filesystem(root)
            return
        if not root.is_dir():
            raise Refused(404, "FilesystemNotFound", "The specified filesystem does not exist.")
        path = root / name.strip("/")
        action = self.query.get("action", "")
        verb = self.headers.get("X-HTTP-Method-Override") or self.command
        if verb == "PUT":
            self._create(root, path)
        elif verb == "PATCH" and action == "append":
            self.server.tree.append(path, int(self.query["position"]), self.body)
            self._send(202)
        elif verb == "PATCH" and action == "flush":
            self._match(path)
            retain = self.query.get("retainUncommittedData") == "true"
            self.server.tree.flush(path, int(self.query["position"]), retain)
            self._send(200, b"", None, **self._properties(path))
        elif verb in ("HEAD", "GET", "DELETE") and not path.exists():
            raise Refused(404, "PathNotFound", "The specified path does not exist.")
        elif verb == "HEAD":
            length = 0 if path.is_dir() else path.stat().st_size
            self._send(200, b"", length, **self._properties(path))
        elif verb == "GET":
            self._read(path)
        elif verb == "DELETE":
            self._delete(path)
        else:
            raise Refused(400, "UnsupportedHttpVerb", f"{verb} {action}")

    def _filesystem(self, root: Path) -> None:
        """ "Filesystem - Create", "- Get Properties", "Path - List"."""
        if self.command == "PUT":
            if root.exists():
                raise Refused(409, "FilesystemAlreadyExists", "The specified filesystem already exists.")
            root.mkdir()
            self._send(201)
        elif not root.is_dir():
            raise Refused(404, "FilesystemNotFound", "The specified filesystem does not exist.")
        elif self.command == "HEAD":
            self._send(200, x_ms_namespace_enabled="true")
        else:
            top = root / self.query.get("directory", "").strip("/")
            if not top.is_dir():
                raise Refused(404, "PathNotFound", "The specified path does not exist.")
            found = top.rglob("*") if self.query.get("recursive") == "true" else top.iterdir()
            paths = [self._entry(root, path) for path in sorted(found)]
            self._send(200, json.dumps({"paths": paths}).encode(), Content_Type="application/json")

    @staticmethod
    def _entry(root: Path, path: Path) -> dict[str, str]:
        stat = path.stat()
        found = {
            "name": str(path.relative_to(root)),
            "contentLength": "0" if path.is_dir() else str(stat.st_size),
            "lastModified": formatdate(stat.st_mtime, usegmt=True),
            "etag": etag(path),
            "owner": "$superuser",
            "group": "$superuser",
            "permissions": "rwxr-x---" if path.is_dir() else "rw-r-----",
        }
        return {**found, "isDirectory": "true"} if path.is_dir() else found

    @staticmethod
    def _properties(path: Path) -> dict[str, str]:
        return {
            "ETag": etag(path),
            "Last_Modified": formatdate(path.stat().st_mtime, usegmt=True),
            "x_ms_resource_type": "directory" if path.is_dir() else "file",
            "x_ms_owner": "$superuser",
            "x_ms_group": "$superuser",
            "x_ms_permissions": "rwxr-x---" if path.is_dir() else "rw-r-----",
            "x_ms_acl": "user::rwx,group::r-x,other::---",
        }

    def _match(self, path: Path) -> None:
        """Conditions of the request."""
        wanted = self.headers.get("If-Match")
        if wanted and (not path.exists() or wanted.strip('"') != etag(path).strip('"')):
            raise Refused(
                412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met."
            )
        if self.headers.get("If-None-Match") == "*" and path.exists():
            raise Refused(409, "PathAlreadyExists", "The specified path already exists.")

    def _create(self, root: Path, path: Path) -> None:
        """ "Path - Create": a file, a directory, or another name of one."""
        self._match(path)
        source = self.headers.get("x-ms-rename-source")
        if source:
            old = root.parent / unquote(source.partition("?")[0]).lstrip("/").removeprefix(f"{self.server.account}/")
            if not old.exists():
                raise Refused(404, "RenameSourceOrDestinationPathNotFound", "The source or its new parent is missing.")
            if not path.parent.is_dir():
                raise Refused(404, "RenameDestinationParentPathNotFound", "The parent of the destination is missing.")
            if path.is_dir() and any(path.iterdir()):
                raise Refused(409, "DestinationPathIsNotEmpty", "The destination is a directory that is not empty.")
            if path.is_dir() and old.is_file():
                path /= old.name
            self.server.tree.forget(path)
            old.replace(path)
        elif self.query.get("resource") == "directory":
            if path.is_file():
                raise Refused(409, "PathAlreadyExists", "The specified path already exists.")
            path.mkdir(parents=True, exist_ok=True)
        else:
            if path.is_dir():
                raise Refused(409, "PathAlreadyExists", "The specified path already exists.")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.server.tree.forget(path)
            new = path.with_name(f".{secrets.token_hex(6)}.new")
            new.touch()
            new.replace(path)
        self._send(201, b"", None, **self._properties(path))

    def _read(self, path: Path) -> None:
        """ "Path - Read"."""
        self._match(path)
        size, asked = path.stat().st_size, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and int(asked[1]) >= size:
            raise Refused(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        first = int(asked[1]) if asked else 0
        last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        more = {"Content_Range": f"bytes {first}-{last}/{size}"} if asked else {}
        self._send(206 if asked else 200, body, None, **self._properties(path), **more)

    def _delete(self, path: Path) -> None:
        """ "Path - Delete"."""
        self._match(path)
        if path.is_file():
            self.server.tree.forget(path)
            path.unlink()
        elif any(path.iterdir()) and self.query.get("recursive") != "true":
            raise Refused(409, "DirectoryNotEmpty", "The recursive query parameter value must be true.")
        else:
            shutil.rmtree(path)
        self._send(200)


class Gateway(ThreadingHTTPServer):
    """The server. With `of`, another one, it is the metadata server of its tokens."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: str, port: int, folder: Path, account: str, key: str, of: "Gateway | None" = None
    ) -> None:
        super().__init__((address, port), Handler)
        folder.mkdir(parents=True, exist_ok=True)
        self.tree, self.account, self.key = Tree(folder), account, key
        self.gives_metadata = of is not None
        self.tokens: set[str] = of.tokens if of else set()


def main() -> None:
    """Serve until the process is ended."""
    address, port, metadata, folder, account, certificate, key_file = sys.argv[1:]
    key = os.environ["AZURE_STORAGE_KEY"]
    gateway = Gateway(address, int(port), Path(folder), account, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key_file)
    # Each connection's handshake is its own thread's
    gateway.socket = context.wrap_socket(gateway.socket, server_side=True, do_handshake_on_connect=False)
    server = Gateway(address, int(metadata), Path(folder), account, key, of=gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    gateway.serve_forever()


if __name__ == "__main__":
    main()
