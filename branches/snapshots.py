"""Whether a branch's hosts will find the snapshots from which its jobs start, looked up before anything is created."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from automation.stack import Stack
from branches.errors import BranchesError

_NONE = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_SCHEMES = ("s3", "s3a")
_URI = "storageUri"
_PLACES = (_URI, "haUri", "checkpointsUri", "savepointsUri")
_SECONDS = 15
_SECRET = "flink:storageSecretKey"


def check(stack: Stack, config: Mapping[str, Any], states: Mapping[str, str], say: Callable[[str], object]) -> None:
    """Look up what the jobs of a stack shall start from: job → URI. Raises BranchesError for what is not there,
    or cannot be read, or would have no effect. What only hosts can look at is told with `say`.
    """
    places = {name: str(config.get(f"flink:{name}") or "").rstrip("/") for name in _PLACES}
    on_s3 = {job: uri for job, uri in states.items() if _is_known(job, uri, places) and _is_s3(uri)}
    for job in states.keys() - on_s3.keys():
        say(
            f"job {job}: only the branch's hosts can look at {states[job]}. They say whether it is complete before the "
            "job starts; if an earlier cluster of this branch has left the job's own state, it continues from that"
        )
    if not on_s3:
        return
    storage = Storage(config, stack.pulumi("config", "get", _SECRET).strip() if _SECRET in config else "")
    place, cluster = places["storageUri"], config.get("flink:clusterId") or stack.name
    for job, uri in on_s3.items():
        storage.check(job, uri)
        if place and _is_s3(place):
            storage.check_record(job, uri, f"{place}/jobs/{cluster}/{job}/record.json")


def _is_known(job: str, uri: str, places: Mapping[str, str]) -> bool:
    """True. Raises BranchesError if no place of the stack is on the snapshot's kind of storage: then its hosts have
    neither what reads it nor keys.
    """
    from components.storage.table import CREATED, kind_of  # `down` works where nothing of the program does

    found = {name: kind_of(place) if place else CREATED for name, place in places.items() if place or name == _URI}
    kind = kind_of(uri)
    if kind is None or kind not in found.values():
        known = ", ".join(f"{name}: {each.title}" for name, each in found.items() if each)
        expected = f"a place on {kind.title} as well (savepointsUri), or " if kind else ""
        raise BranchesError(
            f"job {job}: {uri} is on {kind.title if kind else 'no kind of storage that is known'}, and the branch's "
            f"hosts read what its places are on ({known}): expected {expected}a savepoint there. Nothing was created"
        )
    return True


def _is_s3(uri: str) -> bool:
    return urlsplit(uri).scheme in _SCHEMES


class Storage:
    """The storage of a branch's stack. `config` is the stack's configuration, `secret` its storageSecretKey, if any.

    With keys in the configuration it is asked with them, as the hosts do. On AWS it is asked with the rights of whoever
    runs `up`; the branch's hosts get theirs from the program.
    """

    def __init__(self, config: Mapping[str, Any], secret: str) -> None:
        self._region = str(config.get("flink:storageRegion") or config.get("aws:region") or "us-east-1")
        self._endpoint = str(config.get("flink:storageEndpoint") or "")
        path_style = str(config.get("flink:storagePathStyle")).lower() == "true"
        access = str(config.get("flink:storageAccessKey") or "")
        self._client = boto3.client(
            "s3",
            region_name=self._region,
            endpoint_url=self._endpoint or None,
            config=Config(
                connect_timeout=_SECONDS,
                read_timeout=_SECONDS,
                retries={"total_max_attempts": 2},
                s3={"addressing_style": "path" if path_style else "auto"},
            ),
            aws_access_key_id=access or None,
            aws_secret_access_key=secret if access else None,
        )

    def check(self, job: str, uri: str) -> None:
        """Raise BranchesError unless the branch's storage has a complete snapshot there."""
        parts = urlsplit(uri)
        key = parts.path.strip("/")
        folder = key.removesuffix("/_metadata")
        try:
            self._client.head_object(Bucket=parts.netloc, Key=f"{folder}/_metadata")
        except (BotoCoreError, ClientError) as error:
            raise BranchesError(f"job {job}: {self._why(uri, error)}. Nothing was created") from None

    def check_record(self, job: str, uri: str, record: str) -> None:
        """Raise BranchesError if the job would not start from `uri`: at `record` an earlier cluster of the branch has
        left a job with state of its own.
        """
        parts = urlsplit(record)
        try:
            text = self._client.get_object(Bucket=parts.netloc, Key=parts.path.strip("/"))["Body"].read()
            found = json.loads(text)
        except (BotoCoreError, ClientError) as error:
            if _code(error) in _NONE:
                return
            raise BranchesError(f"job {job}: {self._why(record, error)}. Nothing was created") from None
        except ValueError:
            raise BranchesError(
                f"job {job}: {record} is not JSON: expected a job's record. Nothing was created"
            ) from None
        if found.get("origin", "") not in (None, uri):
            raise BranchesError(
                f"job {job}: an earlier cluster of this branch has left {record}, so the job would continue from its "
                f"own state instead of {uri}. Nothing was created: delete that file (with `keepState: false`, `down` "
                "does), or leave out the option"
            )

    def _why(self, uri: str, error: BotoCoreError | ClientError) -> str:
        where = self._endpoint or f"S3 in {self._region}"
        code = _code(error)
        if code in _NONE:
            return (
                f"{where} has no complete savepoint or checkpoint at {uri}: expected a file _metadata there. "
                "`python -m ops savepoints --stack STACK list JOB` lists those of a stack's job"
            )
        if code in ("403", "AccessDenied", "Forbidden"):
            return (
                f"{where} refuses to read {uri}: expected rights to read it, for the branch's hosts as for this command"
            )
        return f"{where} cannot be asked for {uri}: {error}"


def _code(error: BotoCoreError | ClientError) -> str:
    """Empty if there was no answer."""
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
