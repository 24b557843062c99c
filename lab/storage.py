"""The lab's S3 server: versitygw over a directory, with the lab's own keys and bucket."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from toolbox import files

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET = "flink"
REGION = "us-east-1"
PORT = 7480
"""First port that is tried."""


@dataclass(frozen=True)
class S3:
    """The connection to the lab's S3 server, path-style."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        """Without the secret, because this may be logged."""
        return f"S3({self.endpoint}, {self.bucket})"

    def client(self) -> "S3Client":
        """A boto3 client for it, which ignores proxies in the environment."""
        config = Config(
            s3={"addressing_style": "path"},
            connect_timeout=5,
            retries={"mode": "standard", "max_attempts": 5},
            proxies={},
        )
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )
        return client


def credentials(directory: Path) -> tuple[str, str]:
    """The lab's access key and secret key, generated once; only the owner can read the file (0600)."""
    path = directory / "credentials.json"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        made = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
        files.write(path, json.dumps(made), 0o600)
    found = json.loads(path.read_text())
    return found["accessKey"], found["secretKey"]


def command(versitygw: Path, directory: Path, address: str, port: int) -> list[str]:
    """The server's command line. The sidecar keeps the ETags of parts; without them no checkpoint can be completed."""
    data, sidecar = directory / "data", directory / "sidecar"
    for path in (data, sidecar):
        path.mkdir(parents=True, exist_ok=True)
    listen = ["--port", f"{address}:{port}", "--region", REGION, "--quiet"]
    return [str(versitygw), *listen, "posix", "--sidecar", str(sidecar), str(data)]


def environment(directory: Path) -> dict[str, str]:
    """The keys, for the server's environment, because every user can read a command line."""
    access_key, secret_key = credentials(directory)
    return {"ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}


def problem(s3: S3) -> str | None:
    """The problem of the server; None if it answers and its bucket exists (it is created if missing)."""
    client = s3.client()
    try:
        if s3.bucket not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=s3.bucket)
    except (BotoCoreError, ClientError) as error:
        return str(error)
    return None
