"""Google Cloud Storage."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi

from .. import forms
from ..problems import shown
from .base import Asked, Backend, ConfigFile, HostStep, Kind

PLUGIN = "flink-gs-fs-hadoop"
"""Flink's file system for Google Cloud Storage. Each release has it in `opt/`."""

GOOGLE = "https://storage.googleapis.com"
KEY_FILE = "/etc/flink/gcs/key.json"
"""The key on hosts with daemons."""
_CREDENTIALS = "gcsCredentials"
_NEEDED = ("client_email", "private_key", "private_key_id", "token_uri")
_TOKENS = "https://oauth2.googleapis.com/token"
_PEM = "-----BEGIN PRIVATE KEY-----\n"


@dataclass(frozen=True, kw_only=True)
class Gcs(Backend):
    """Buckets of Google Cloud Storage. Without a key hosts have an identity of their own: the service account of a
    Compute Engine instance, whose tokens come from its metadata server.
    """

    SCHEMES: ClassVar[Sequence[str]] = ("gs",)

    endpoint: str = ""
    """URL of another server, such as one of Private Service Connect; empty: Google's."""
    account: str = ""
    """Email of the service account that `key` is of."""
    key: pulumi.Input[str] | None = None
    """Text of a service account's key file. Pass it as a secret Output."""
    token_server: str = ""
    """URL of the server that gives tokens for `key`; empty: Google's."""
    key_digest: str = ""
    """Differs for another key, because daemons read it when they start."""

    @property
    def plugins(self) -> Sequence[str]:
        """The only one."""
        return (PLUGIN,)

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options in Flink's config.yaml. The first one is for both of Google's clients in the plugin: Hadoop's
        connector, and that with which a FileSink writes. The second one is for the connector: the other reads the key.
        """
        return {
            **({"gs.storage.root.url": self.endpoint} if self.endpoint else {}),
            **({"gs.token.server.url": self.token_server} if self.token_server else {}),
        }

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """Where the key is: the only way to tell both of Google's clients in the plugin."""
        if self.key is None:
            return {}
        return {"GOOGLE_APPLICATION_CREDENTIALS": KEY_FILE, "FLINK_GCS_KEY": self.key_digest}

    @property
    def host_step(self) -> HostStep | None:
        """The key."""
        if self.key is None:
            return None
        return HostStep(script="storage/gcs.sh", files=[ConfigFile(path=KEY_FILE, text=self.key, secret=True)])

    def server(self, uri: str) -> str:
        """The endpoint, or Google's."""
        return self.endpoint or GOOGLE

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by what Google's clients say."""
        if self.key is None:
            who = "a service account of this instance"
            login = "an instance with a service account and the scope cloud-platform, or gcsCredentials"
        else:
            who = self.account
            login = f"that Google still has this key of {self.account} (gcsCredentials), and that this host's clock "
            login += "is right"
        return {
            "bucket does not exist": "expected a bucket of this name",
            "403|[Ff]orbidden|does not have": f"expected {who} with the rights in docs/storage.md",
            # Of a refused key only the first line is here: TokenResponseException: 400 Bad Request
            "401|Unauthorized|[Cc]redential|TokenResponse|access token|metadata": f"expected {login}",
            "UnknownHost|ConnectException|SocketTimeout|no answer": "expected that this host reaches "
            f"{self.endpoint or GOOGLE}"
            + (" and the metadata server (169.254.169.254)" if self.key is None else " and the key's token_uri"),
        }


def _read(asked: Asked) -> Gcs:
    endpoint, given = asked.values["gcsEndpoint"], asked.values[_CREDENTIALS]
    if endpoint:
        asked.problems.catch("gcsEndpoint", lambda: forms.SERVER_URL(endpoint), "")
    none: dict[str, Any] = {}
    fields = asked.problems.catch(_CREDENTIALS, lambda: _key(given), none) if given else none
    # In one form, whatever blanks it has
    text = json.dumps(fields, indent=2, sort_keys=True)
    return Gcs(
        # With a slash at its end one of the clients would ask for //batch
        endpoint=endpoint.rstrip("/"),
        account=fields.get("client_email", ""),
        token_server=fields.get("token_uri", "").replace(_TOKENS, ""),
        key=pulumi.Output.secret(text) if fields else None,
        key_digest=hashlib.sha256(text.encode()).hexdigest()[:16] if fields else "",
    )


def _key(text: str) -> dict[str, Any]:
    """The fields of a service account's key file. Raises ValueError for another text, without showing it."""
    expected = "expected the JSON file that `gcloud iam service-accounts keys create` writes"
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"is not JSON: {expected}") from None
    if not isinstance(found, dict):
        raise ValueError(f"is JSON without fields: {expected}")
    kind = found.get("type")
    if kind != "service_account":
        what = f"is of the type {shown(kind[:40])}" if isinstance(kind, str) else "has no type"
        raise ValueError(f"{what}: expected service_account, as the JSON file of a service account's key has it")
    for name in _NEEDED:
        if not isinstance(found.get(name), str) or not found[name]:
            raise ValueError(f"has no {name}: {expected}")
    if not forms.DOWNLOAD_URL.fits(found["token_uri"]):
        raise ValueError(f"has a token_uri that is not a URL: expected {_TOKENS}, or that of your cloud")
    if not found["private_key"].startswith(_PEM):
        raise ValueError(f"has a private_key that is not in PEM: {expected}")
    return found


KIND = Kind(
    title="Google Cloud Storage",
    schemes=Gcs.SCHEMES,
    uri=forms.GCS_URI,
    keys=("gcsEndpoint", _CREDENTIALS),
    secrets=(_CREDENTIALS,),
    owned=(r"(fs\.)?gs\.(storage\.root\.url|token\.server\.url|auth\.service\.account\..*)",),
    step="gcs",
    read=_read,
)
