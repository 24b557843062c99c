"""The look at S3 before Flink starts, with servers that are not ours: versitygw, and moto with users and policies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto.core import set_initial_no_auth_action_count
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from host_tool.clock import Clock
from host_tool.output import Failure
from host_tool.s3_look import Look
from lab import storage
from lab.cluster import wait_for
from lab.lab import free_port
from lab.storage import S3
from stand_ins.builds import programs

SECONDS = 10
"""In which a refusal is said, with a machine that is busy."""


class Shifted(Clock):
    """A clock that is wrong."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def wall(self) -> float:
        return super().wall() + self._seconds


def refused(s3: S3, clock: Clock | None = None, uri: str = "s3://flink/dev", **more: Any) -> str:
    """What the look says; empty if it can use the place."""
    values = {
        **{"host": "tm-0", "places": {"storageUri": uri}, "server": s3.endpoint, "region": s3.region},
        **{"pathStyle": True, "encryption": "", "kmsKey": "", "proxy": "", "certificates": "", "store": []},
        **{"followsRegion": False, **more},
    }
    began = time.monotonic()
    try:
        Look(values, (s3.access_key, s3.secret_key), clock or Clock()).apply()
    except Failure as failure:
        assert s3.secret_key not in str(failure)
        assert time.monotonic() - began < SECONDS
        return str(failure).removeprefix(f"cannot use the storage at {uri} (storageUri): ")
    return ""


@pytest.fixture(scope="module")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The lab's server."""
    folder = tmp_path_factory.mktemp("s3")
    port = free_port("127.0.0.1", 17480, set())
    argv = storage.command(programs.versitygw(), folder, "127.0.0.1", port)
    with subprocess.Popen(argv, env={**os.environ, **storage.environment(folder)}, stderr=subprocess.DEVNULL) as server:
        try:
            keys = storage.credentials(folder)
            s3 = S3(f"http://127.0.0.1:{port}", storage.REGION, storage.BUCKET, *keys)
            wait_for("versitygw", 60, lambda: storage.problem(s3) is None)
            yield s3
        finally:
            server.terminate()


@pytest.mark.parametrize(
    ("changes", "more", "expected"),
    [
        ({"secret_key": "another"}, {}, "says SignatureDoesNotMatch: .*; expected the storageSecretKey that belongs"),
        ({"access_key": "AKIAOTHER"}, {}, "expected a key that this server knows .storageAccessKey."),
        ({"region": "eu-west-1"}, {}, "bucket flink is in us-east-1: expected storageRegion: us-east-1, not eu-west-1"),
        ({}, {"uri": "s3://other/dev"}, "says NoSuchBucket: .*; expected an existing bucket other"),
        ({}, {"clock": Shifted(1200)}, "this host's clock is 1[12].. s ahead of the storage's: expected 900 s at most"),
        ({}, {"clock": Shifted(-1200)}, "this host's clock is 1[12].. s behind the storage's: expected 900 s at most"),
    ],
)  # fmt: skip
def test_versitygw_refuses_by_name(versitygw: S3, changes: dict[str, str], more: dict[str, Any], expected: str) -> None:
    told = refused(replace(versitygw, **changes), **more)
    assert re.search(expected, told), told


@pytest.mark.parametrize("more", [{}, {"uri": "s3://flink/a-b/ü &=+"}, {"uri": "s3://flink"}, {"encryption": "sse-s3"}])
def test_versitygw_is_used_and_keeps_nothing(versitygw: S3, more: dict[str, Any]) -> None:
    assert refused(versitygw, **more) == ""
    assert "Contents" not in versitygw.client().list_objects_v2(Bucket="flink")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of a moto server with a bucket."""
    running = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{running.port}"
        _client("s3", url).create_bucket(Bucket="flink")
        yield url
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


def _client(service: Any, url: str) -> Any:
    return boto3.client(
        service, "us-east-1", endpoint_url=url, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def user(url: str, *rights: str) -> S3:
    """The keys of a new user with these rights."""
    iam, name = _client("iam", url), f"flink-{len(rights)}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    allowed = {"Effect": "Allow", "Action": list(rights), "Resource": ["arn:aws:s3:::flink", "arn:aws:s3:::flink/*"]}
    if rights:
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="flink", PolicyDocument=policy)
    return S3(url, "us-east-1", "flink", made["AccessKeyId"], made["SecretAccessKey"])


checked: Callable[..., str] = set_initial_no_auth_action_count(0)(refused)
"""The same while moto asks who somebody is, and what they may do."""

ALL = ("s3:PutObject", "s3:ListBucket", "s3:GetObject", "s3:DeleteObject")


@pytest.mark.parametrize("granted", range(len(ALL)))
def test_moto_names_the_right_that_a_policy_does_not_give(moto: str, granted: int) -> None:
    told = checked(user(moto, *ALL[:granted]))
    assert f"expected that storageAccessKey has the right {ALL[granted]} there" in told


def test_moto_is_used_with_these_rights_and_no_others(moto: str) -> None:
    s3 = user(moto, *ALL)
    assert checked(s3) == ""
    assert "expected the storageSecretKey that belongs to" in checked(replace(s3, secret_key="another-one"))
    assert "expected a key that this server knows" in checked(replace(s3, access_key="AKIAOTHEROTHEROTHER0"))
    assert "expected an existing bucket" in refused(s3, uri="s3://other/dev")
    assert "Contents" not in _client("s3", moto).list_objects_v2(Bucket="flink")
