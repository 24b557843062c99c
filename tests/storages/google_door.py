"""What checks who asks, in front of fake-gcs-server, which lets everyone in.

It gives tokens as Google's server does (RFC 7523, "Using OAuth 2.0 for Server to Server Applications"), for an
assertion that is signed with the service account's key. Requests for the storage without such a token are refused; all
others are passed on. In the answers an object with a custom time was written then, because fake-gcs-server can only say
that objects were written now. A token is also what Compute Engine's metadata server gives (`/computeMetadata/v1/…`):
this one does so at METADATA_PORT, for tests that lead 169.254.169.254 to it.

`python -m tests.storages.google_door ADDRESS PORT STORAGE_PORT METADATA_PORT KEY_FILE`
"""

import base64
import http.client
import json
import re
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL = "flink@lab.iam.gserviceaccount.com"
PROJECT = "lab"
_METADATA = "/computeMetadata/v1/"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade"}


def account(address: str, port: int) -> str:
    """The key file of a new service account, in Google's form."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    fields = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": secrets.token_hex(20),
        "private_key": pem,
        "client_email": EMAIL,
        "client_id": "100000000000000000000",
        "token_uri": f"http://{address}:{port}/token",
    }
    return json.dumps(fields, indent=2) + "\n"


def _part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(assertion: str, key: rsa.RSAPublicKey, audiences: set[str]) -> dict[str, Any]:
    """What a signed assertion says; `ValueError` if it is not from this account, or not valid now."""
    head, body, signature = assertion.split(".")
    if json.loads(_part(head)).get("alg") != "RS256":
        raise ValueError("the algorithm is not RS256")
    try:
        key.verify(_part(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise ValueError("the signature is not of the account's key") from None
    found: dict[str, Any] = json.loads(_part(body))
    now = time.time()
    if found["iss"] != EMAIL or found["aud"] not in audiences or not found["iat"] - 60 <= now < found["exp"]:
        raise ValueError(f"it is of {found}, expected {EMAIL} and one of {audiences}")
    return found


def _dated(content: bytes, kind: str) -> bytes:
    """An answer about objects, in which those with a custom time were written then."""
    if not kind.startswith("application/json") or b'"customTime"' not in content:
        return content
    found = json.loads(content)
    for item in [found, *found.get("items", [])]:
        if then := item.get("customTime"):
            item.update(timeCreated=then, updated=then)
    return json.dumps(found).encode()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: "Door"

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        if self.command == "POST" and path == "/token":
            self._token()
            return
        if self.server.gives_metadata:
            self._metadata(path)
            return
        # A batch has a token in each of its requests
        body = self._body()
        tokens = re.findall(rb"(?im)^authorization: *(.*?)\r?$", body) if path == "/batch/storage/v1" else []
        if not self.server.admits([token.decode() for token in tokens] or [self.headers.get("Authorization") or ""]):
            found = {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}
            self._send(401, {"error": found})
        else:
            self._pass_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def log_message(self, format: str, *values: object) -> None:
        """Each request in one line."""
        print(f"{time.strftime('%H:%M:%S')} {format % values}", flush=True)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, found: dict[str, Any]) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _token(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self._body().decode()).items()}
        # Google's connector for Hadoop names Google's server, wherever it sends the assertion
        audiences = {f"http://{self.headers['Host']}/token", "https://oauth2.googleapis.com/token"}
        try:
            if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
                raise ValueError("the grant type is another one")
            claims(form["assertion"], self.server.key, audiences)
        except (ValueError, KeyError) as error:
            self._send(400, {"error": "invalid_grant", "error_description": f"Invalid JWT: {error}"})
            return
        self._send(200, self.server.new_token())

    def _metadata(self, path: str) -> None:
        """ "About VM metadata": `default` is the instance's service account."""
        account = f"{_METADATA}instance/service-accounts/default/"
        if self.headers.get("Metadata-Flavor") != "Google":
            self._send(403, {"error": "Missing Metadata-Flavor:Google header."})
        elif path == f"{account}token":
            self._send(200, self.server.new_token())
        elif path in ("/", _METADATA, _METADATA.rstrip("/")):
            self._send(200, {})
        else:
            self._send(404, {})

    def _pass_on(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        # fake-gcs-server writes this host into the addresses of uploads
        connection = http.client.HTTPConnection(self.server.server_address[0], self.server.storage, timeout=120)  # type: ignore[arg-type]
        try:
            connection.request(self.command, self.path, body, {**headers, "Host": self.headers["Host"]})
            answer = connection.getresponse()
            content = _dated(answer.read(), answer.headers.get("Content-Type", ""))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            if answer.status != 204:
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
        finally:
            connection.close()


class Door(ThreadingHTTPServer):
    """The server; `storage` is fake-gcs-server's port at the same address. With `of`, another door, it is the metadata
    server of its tokens.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, storage: int, key_file: str, of: "Door | None" = None) -> None:
        super().__init__((address, port), Handler)
        loaded = serialization.load_pem_private_key(json.loads(key_file)["private_key"].encode(), None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise TypeError("the account's key is not an RSA key")
        self.key, self.storage, self.gives_metadata = loaded.public_key(), storage, of is not None
        self._tokens: set[str] = of._tokens if of else set()

    def new_token(self) -> dict[str, Any]:
        token = secrets.token_urlsafe(40)
        self._tokens.add(token)
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def admits(self, authorizations: list[str]) -> bool:
        return all(given.removeprefix("Bearer ") in self._tokens for given in authorizations)


def main() -> None:
    """Serve until the process is ended."""
    address, port, storage, metadata, path = sys.argv[1:]
    key_file = Path(path).read_text()
    door = Door(address, int(port), int(storage), key_file)
    server = Door(address, int(metadata), int(storage), key_file, of=door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    door.serve_forever()


if __name__ == "__main__":
    main()
