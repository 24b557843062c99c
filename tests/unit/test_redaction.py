"""What is removed from text that leaves the operators' machine, and what stays."""

import base64

import pytest

from ops.redaction import REMOVED, Redactor, values

SECRET = "Xk29-planted-Zq71"


@pytest.mark.parametrize(
    "text",
    [
        "s3.secret-key: {}",
        "security.ssl.internal.key-password={}",
        '"fs.azure.account.key.x" : "{}"',
        '{{"key": "s3.secret-key", "value": "{}"}}',
        "AWS_SECRET_ACCESS_KEY='{}'",
        "Authorization: Bearer {}",
        "curl -H 'authorization: Basic {}'",
        "http://anna:{}@proxy:3128/",
        "https://hooks.slack.com/services/T0/B0/{}",
        'client_secret = "{}"',
        "metrics.reporter.x.apikey: {}",
        "password={}, next=1",
        "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{}",
    ],
)
def test_what_looks_like_a_secret_is_removed(text: str) -> None:
    found = Redactor([]).clean(text.format(SECRET.replace("-", "") if "slack" in text else SECRET))
    assert "planted" not in found and REMOVED in found


def test_hashes_keys_of_aws_and_web_tokens_are_removed_wherever_they_are() -> None:
    hashed, key, token = f"$2a$10${'x' * 53}", "AKIAABCDEFGHIJKLMNOP", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmVk"
    assert Redactor([]).clean(f"a {hashed} b {key} c {token} d") == f"a {REMOVED} b {REMOVED} c {REMOVED} d"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28 10:00:00,000 INFO  org.apache.flink.runtime.jobmaster.JobMaster - Starting execution of job counts",
        "state.checkpoints.dir: s3://flink/flink/checkpoints",
        "taskmanager.numberOfTaskSlots: 2",
        '{"jid": "e516c506129b432eba8d28ca6f8b9535", "state": "RUNNING"}',
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHZ jm-0",
        "    at org.apache.flink.Tokenizer.run(Tokenizer.java:12)",
        "Caused by: software.amazon.awssdk.ExpiredTokenException: it has expired",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor(["short"[:5]]).clean(text) == text


def test_known_values_are_removed_from_anywhere_the_longest_first() -> None:
    assert Redactor(["abcdef", "abcdef-123"]).clean("x abcdef-123 y abcdef z") == f"x {REMOVED} y {REMOVED} z"


def test_the_values_of_secret_files_are_found_also_in_base64() -> None:
    inner = base64.b64encode(f"s3.x: {SECRET}\nother: two words here\n".encode()).decode()
    text = f"# a comment\nAWS_SECRET_ACCESS_KEY='first-secret'\nFLINK_SECRET_CONFIG='{inner}'\n"
    text += "only-a-word\nsome words here\n\ud0e6word\n"
    found = set(values(text))
    assert {"first-secret", SECRET, "two words here", "only-a-word"} <= found
    assert "some words here" not in found and "# a comment" not in found
