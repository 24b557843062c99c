"""The instance metadata service, version 2. The source address of a request identifies the instance.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-categories.html
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stand_ins.aws_cloud import api
from stand_ins.aws_cloud.api import Aws, Instance

MOST_SECONDS = 21600
"""Maximum lifetime of a token."""
_FRESH = timedelta(minutes=15)
"""Credentials are renewed this long before they expire."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TOKEN = "X-aws-ec2-metadata-token"
_VERSIONS = ("latest", "2021-07-15")


class Metadata:
    """The content of the service."""

    def __init__(self, aws: Aws, account: str) -> None:
        self._aws = aws
        self._account = account
        self._tokens: dict[str, tuple[str, float]] = {}
        self._credentials: dict[tuple[str, str], dict[str, Any]] = {}
        self._notices: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()

    def token(self, address: str, seconds: int) -> str:
        """A token for the instance at an address."""
        made = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[made] = (address, time.monotonic() + seconds)
        return made

    def notify(self, instance: str, path: str, **content: str) -> None:
        """Publish a notice to a spot instance at a path below `meta-data`; it stays until the instance ends."""
        with self._lock:
            self._notices.setdefault(instance, {})[path] = json.dumps(content)

    def knows(self, token: str, address: str) -> bool:
        """Whether a token is that instance's, and still valid."""
        owner, until = self._tokens.get(token, ("", 0.0))
        return owner == address and time.monotonic() < until

    def answer(self, instance: Instance, path: str) -> str | None:
        """The content at a path such as `meta-data/instance-id`; None if it does not exist."""
        if path == "user-data":
            return api.user_data(self._aws, instance.id) or None
        if path == "dynamic/instance-identity/document":
            return json.dumps(self._document(instance), indent=2)
        root, _, rest = path.partition("/")
        if root != "meta-data":
            return None
        tree = self._tree(instance)
        if (value := tree.get(rest)) is not None:
            return value() if callable(value) else value
        return _listing(tree, rest)

    def _tree(self, instance: Instance) -> dict[str, str | Callable[[], str]]:
        region = self._aws.region
        hostname = f"ip-{instance.private.replace('.', '-')}.{region}.compute.internal"
        tree: dict[str, str | Callable[[], str]] = {
            "ami-id": instance.image,
            "hostname": hostname,
            "instance-id": instance.id,
            "instance-type": instance.type,
            "local-hostname": hostname,
            "local-ipv4": instance.private,
            "placement/availability-zone": instance.zone,
            "placement/region": region,
            "services/domain": "amazonaws.com",
        }
        tree["instance-life-cycle"] = "spot" if instance.spot else "on-demand"
        tree.update(self._notices.get(instance.id, {}))
        if instance.public:
            tree["public-ipv4"] = instance.public
        if instance.profile:
            role, arn = api.role_of(self._aws, instance.profile)
            tree["iam/info"] = lambda: json.dumps(self._profile(instance), indent=2)
            if role:
                tree[f"iam/security-credentials/{role}"] = lambda: json.dumps(self._keys(instance, arn), indent=2)
        return tree

    def _document(self, instance: Instance) -> dict[str, Any]:
        return {
            "accountId": self._account,
            "architecture": "x86_64",
            "availabilityZone": instance.zone,
            "imageId": instance.image,
            "instanceId": instance.id,
            "instanceType": instance.type,
            "privateIp": instance.private,
            "region": self._aws.region,
            "version": "2017-09-30",
        }

    def _profile(self, instance: Instance) -> dict[str, Any]:
        client = self._aws.client("iam")
        found = client.get_instance_profile(InstanceProfileName=instance.profile)["InstanceProfile"]
        updated = datetime.now(UTC).strftime(_TIME)
        arn, identity = found["Arn"], found["InstanceProfileId"]
        return {"Code": "Success", "LastUpdated": updated, "InstanceProfileArn": arn, "InstanceProfileId": identity}

    def _keys(self, instance: Instance, role: str) -> dict[str, Any]:
        """Temporary credentials of the instance's role: the same until they are about to expire."""
        with self._lock:
            kept = self._credentials.get((instance.id, role))
            now = datetime.now(UTC)
            if kept is None or datetime.strptime(kept["Expiration"], _TIME).replace(tzinfo=UTC) - now < _FRESH:
                made = self._aws.client("sts").assume_role(RoleArn=role, RoleSessionName=instance.id)["Credentials"]
                kept = self._credentials[instance.id, role] = {
                    "Code": "Success",
                    "LastUpdated": now.strftime(_TIME),
                    "Type": "AWS-HMAC",
                    "AccessKeyId": made["AccessKeyId"],
                    "SecretAccessKey": made["SecretAccessKey"],
                    "Token": made["SessionToken"],
                    "Expiration": made["Expiration"].astimezone(UTC).strftime(_TIME),
                }
            return kept


def _listing(tree: Mapping[str, Any], folder: str) -> str | None:
    """The children of a folder, one per line; None if there are none."""
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    below = [path.removeprefix(prefix) for path in tree if path.startswith(prefix)]
    names = {name if not rest else f"{name}/" for name, _, rest in (path.partition("/") for path in below)}
    return "\n".join(sorted(names)) or None


def serve(address: str, port: int, metadata: Metadata, instance_at: Callable[[str], Instance | None]) -> Any:
    """A server that runs until it is shut down; `instance_at` returns the instance with an address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _say(self, status: int, text: str = "", kind: str = "text/plain", **headers: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_PUT(self) -> None:
            """Issue a token."""
            seconds = self.headers.get(f"{_TOKEN}-ttl-seconds", "")
            if self.path != "/latest/api/token":
                self._say(404)
            elif self.headers.get("X-Forwarded-For"):
                self._say(403)
            elif not (seconds.isdecimal() and 1 <= int(seconds) <= MOST_SECONDS):
                self._say(400)
            else:
                made = metadata.token(self.client_address[0], int(seconds))
                self._say(200, made, **{f"{_TOKEN}-ttl-seconds": seconds})

        def do_GET(self) -> None:
            """Answer a request with a valid token."""
            source = self.client_address[0]
            instance = instance_at(source)
            version, _, path = self.path.partition("?")[0].strip("/").partition("/")
            if instance is None or not metadata.knows(self.headers.get(_TOKEN, ""), source):
                self._say(401)
            elif version not in _VERSIONS or (found := metadata.answer(instance, path)) is None:
                self._say(404)
            else:
                self._say(200, found)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.1,), name="imds", daemon=True).start()
    return server
