"""The tunnel to a bastion by Session Manager: found by tags, and opened again whenever it ends."""

import json
from typing import Any

import pytest

from ops import tunnel
from ops.__main__ import main
from ops.errors import OpsError


class Ec2:
    """Answers with one bastion after the other."""

    def __init__(self, *bastions: str) -> None:
        self._bastions = list(bastions)
        self.asked: list[Any] = []

    def describe_instances(self, Filters: Any) -> dict[str, Any]:
        self.asked.append({it["Name"]: it["Values"] for it in Filters})
        if not self._bastions:
            raise KeyboardInterrupt
        found = self._bastions.pop(0)
        return {"Reservations": [{"Instances": [{"InstanceId": found}]}] if found else []}


def test_it_waits_for_the_bastion_and_follows_it(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    ec2 = Ec2("", "", "i-1", "i-1", "i-2")
    calls: list[Any] = []
    slept: list[Any] = []
    monkeypatch.setattr("boto3.client", lambda service, region_name: ec2)

    def run(words: list[str]) -> int:
        calls.append(words)
        return 255  # the agent is not connected yet, or the session has ended

    with pytest.raises(KeyboardInterrupt):
        tunnel.hold("prod", "eu-central-1", 2222, run=run, sleep=slept.append)
    assert [words[words.index("--target") + 1] for words in calls] == ["i-1", "i-1", "i-2"]
    assert json.loads(calls[0][-1]) == {"portNumber": ["22"], "localPortNumber": ["2222"]}
    assert set(slept) == {tunnel.PAUSE_SECONDS}
    assert ec2.asked[0]["tag:stack"] == ["prod"] and ec2.asked[0]["tag:role"] == ["bastion"]
    assert capsys.readouterr().err.splitlines() == [
        "tunnel: stack prod has no bastion yet",
        "tunnel: 127.0.0.1:2222 to i-1",
        "tunnel: 127.0.0.1:2222 to i-2",
    ]


def test_without_the_cli_of_aws_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.client", lambda service, region_name: Ec2("i-1"))

    def missing(words: list[str]) -> int:
        raise FileNotFoundError(words[0])

    with pytest.raises(OpsError, match="Session Manager plugin"):
        tunnel.hold("prod", "eu-central-1", 2222, run=missing, sleep=lambda seconds: None)


def test_the_region_is_needed(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["tunnel", "--stack", "prod"])
    assert "--region" in capsys.readouterr().err
