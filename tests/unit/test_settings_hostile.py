"""Configurations and inventories that were accepted once and broke something later, or ended in a traceback."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import settings
from components import forms, openssh
from components.aws import provider as aws
from tests.unit.program import HOST_KEY, SEVEN, configuration, host, load, refused, write_inventory
from tests.unit.test_aws_program import configuration as aws_configuration
from toolbox.paths import REPO

ED25519 = HOST_KEY.split()[1]


# --- Text that reaches a shell, a unit, YAML, zoo.cfg


@pytest.mark.parametrize(
    "options",
    [
        "-Dhttp.nonProxyHosts=localhost|*.internal",
        "-Dx=a;touch f",
        " -Dx=a",
        "-Dx=a ",
        "-Dx=a\r-Dy=b",
        "-Dx=a\u2028-Dy=b",
        "-Dx=a\tb",
        "foo",
        "-Dx=a foo",
        "-cp /tmp",
        "-jar x.jar",
        "-version",
        "@file",
        "-Dx=$(touch f)",
        "-Dx={a,b}",
        "-Dx=a&",
        "-Dx=~root",
        "-Dx=a#b",
        "-Dx=\u00e4",
        "-Dx=%h",
        "--add-opens",
        "-Dx=a\n",
    ],
)
def test_jvm_options_are_words_that_no_shell_and_no_unit_reads(folder: Path, options: str) -> None:
    assert "javaOptions: " in refused(folder, javaOptions=options)
    for role in ("jobManagerConfig", "taskManagerConfig", "flinkConfig"):
        assert f"{role}: env.java.opts.taskmanager " in refused(
            folder, **{role: {"env.java.opts.taskmanager": options}}
        )


@pytest.mark.parametrize(
    "options",
    [
        "",
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "--add-opens java.base/java.io=ALL-UNNAMED -Da=b  -ea",
        "-javaagent:/opt/agent.jar=port=9,host=x -Xlog:gc:/var/log/gc.log",
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
    ],
)
def test_ordinary_jvm_options_are_taken(folder: Path, options: str) -> None:
    assert load(folder, javaOptions=options).cluster.java_options == options


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"storageRegion": "x\nrest.port: 1"}, "storageRegion: .* is not a region"),
        ({"storageEndpoint": "http://[baBF]"}, "storageEndpoint: .* is not the URL of a server"),
        ({"storageEndpoint": "http://1.2.3.400:1"}, "storageEndpoint: .* is not the URL of a server"),
        ({"storageEndpoint": "http://x:99999"}, "storageEndpoint: .* is not the URL of a server"),
        ({"flinkUrl": "http://[1::2::3]/f.tgz"}, "flinkUrl: .* is not a URL"),
        ({"storageRegion": "~"}, "storageRegion: '~' is not a region"),
        ({"storageRegion": "a: b"}, "storageRegion: 'a: b' is not a region"),
        ({"zookeeperConfig": {"x": "ends\nx=1"}}, "zookeeperConfig: x is .*printable"),
        ({"zookeeperConfig": {"data Dir": "/x"}}, "zookeeperConfig: 'data Dir' is not a setting"),
        ({"zookeeperConfig": {"a\ndataDir": "/x"}}, "zookeeperConfig: .* is not a setting of zoo.cfg"),
        ({"zookeeperConfig": {"a=dataDir": "/x"}}, "zookeeperConfig: .* is not a setting of zoo.cfg"),
        ({"zookeeperConfig": {"x": ["a", "b"]}}, "zookeeperConfig: x is \\['a', 'b'\\]: expected a value that fits"),
        *(
            ({"tls": True, "zookeeperConfig": {name: "x"}}, f"{re.escape(name)} is set by this program with tls: true")
            for name in ("ssl.clientAuth", "ssl.quorum.hostnameVerification", "client.portUnification", "skipACL",
                         "portUnification", "enforce.auth.enabled", "X509AuthenticationProvider.superUser")
        ),
        ({"zookeeperConfig": {"peerType": "observer"}}, "zookeeperConfig: peerType is set by this program"),
        ({"zookeeperConfig": {"dynamicConfigFile": "/x"}}, "dynamicConfigFile is set by this program"),
        ({"zookeeperConfig": {"minSessionTimeout": 1}}, "minSessionTimeout is set by this program"),
        ({"zookeeperConfig": {"maxSessionTimeout": 1}}, "maxSessionTimeout is set by this program"),
        ({"zookeeperConfig": {"secureClientPort": 1}}, "secureClientPort is set by this program"),
        ({"zookeeperConfig": {"reconfigEnabled": True}}, "reconfigEnabled is set by this program"),
        ({"zookeeperConfig": {"x": "\u00e4"}}, "zookeeperConfig: x .* is not a value for zoo.cfg"),
        ({"flinkConfig": {"1e3": "x"}}, "flinkConfig: '1e3' is not an option of Flink"),
        ({"flinkConfig": {"a b": "x"}}, "flinkConfig: 'a b' is not an option of Flink"),
        ({"flinkConfig": {"a": [["b"]]}}, "flinkConfig: a has a list with \\['b'\\]"),
        ({"flinkConfig": {"a": ["b;c"]}}, "flinkConfig: a has a list with 'b;c'"),
        ({"flinkConfig": {"a": "b\u2028c"}}, "flinkConfig: a is .*fit on a line"),
        ({"flinkConfig": {"a": None}}, "flinkConfig: a is None"),
        ({"flinkConfig": {"env.ssh.opts": "-p 22; touch f"}}, "env.ssh.opts .* is not a word"),
        ({"flinkConfig": {"env-java-home": "/x"}}, "env-java-home is not supported"),
        ({"flinkConfig": {"a": "b", "a.c": 1, "d": {"e": 1}, "d.e": 2}}, "d.e is there twice, flat and nested"),
    ],
)  # fmt: skip
def test_text_for_files_is_of_an_allowed_form(folder: Path, changes: dict[str, Any], told: str) -> None:
    assert re.search(told, refused(folder, **changes)), refused(folder, **changes)


@pytest.mark.parametrize(
    "key",
    [
        "clusterId", "storageUri", "storageRegion", "storageEndpoint", "flinkVersion", "zookeeperVersion",
        "javaVersion", "flinkChecksum", "flinkUrl", "javaUrl", "zookeeperUrl", "storageAccessKey", "javaOptions",
    ],
)  # fmt: skip
def test_a_line_end_at_the_end_is_part_of_a_value(folder: Path, key: str) -> None:
    good = {
        "clusterId": "a", "storageUri": "s3://flink/dev", "storageRegion": "eu-central-1", "javaVersion": "17.0.15+6",
        "storageEndpoint": "http://10.0.0.5:9000", "flinkVersion": "2.3.0", "zookeeperVersion": "3.9.5",
        "flinkChecksum": "sha256:" + "0" * 64, "flinkUrl": "https://x.example/f.tgz", "storageAccessKey": "",
        "javaUrl": "https://x.example/{arch}.tgz", "zookeeperUrl": "https://x.example/f.tgz", "javaOptions": "-Da=b",
    }  # fmt: skip
    load(folder, **{key: good[key]})
    assert f"- {key}: " in refused(folder, **{key: good[key] + "\n"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "tm-0\n"), ("user", "admin\n  ProxyCommand touch f"), ("user", "admin\n"), ("user", "-oProxyCommand=x"),
     ("sshAddress", "a.example\n"), ("hostKey", f"{HOST_KEY}\n"), ("hostKey", f"{HOST_KEY} a\rb"), ("zone", "a\n"),
     ("role", "taskmanager\n"), ("address", "10.0.0.5\n"), ("privateKeyFile", "key\n")],
)  # fmt: skip
def test_a_line_end_in_the_inventory_is_refused(tmp_path: Path, field: str, value: str) -> None:
    write_inventory(tmp_path, host("jm-0"), {**host("tm-0"), field: value})
    assert f" {field}: " in refused(tmp_path)


def test_no_validator_lets_a_line_end_or_other_digits_through() -> None:
    """`re.match` with `$` takes a line end, and `\\d` without re.ASCII takes the digits of all languages."""
    wrong = []
    for file in [*(REPO / "settings").rglob("*.py"), *(REPO / "components").rglob("*.py")]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if re.search(r"re\.match\([^)]*\$[\"']|re\.compile\(r?[\"']\^|\\d", line):
                wrong.append(f"{file.relative_to(REPO)}:{number}: {line.strip()}")
    assert not wrong


@pytest.mark.parametrize("form", [form for form in vars(forms).values() if isinstance(form, forms.Form)])
def test_forms_are_of_whole_texts_in_ascii(form: forms.Form) -> None:
    for text in ("a\n", "\n", "a\0", "a\u2028", "\u0661", "\u212a", "\u00a0a", "a\x85"):
        # Files and groups of an issuer have names in all languages
        assert form in (forms.PATH, forms.GROUP) or not form.fits(text), (form.what, text)
    for named in (forms.PATH, forms.GROUP):
        assert not [text for text in ("a\n", "a\0b", "a\u2028", "a\x85") if named.fits(text)], named.what


# --- Secrets


@pytest.mark.parametrize(
    "name",
    ["x.apikey", "x.api-key", "my.token", "fs.azure.account.key.x.blob", "x.auth-params", "x.service-key", "X.PASSWORD",
     "x.basic-auth", "x.jaas.config", "x.secret", "x.access-key", "user.artifacts.http-headers"],
)  # fmt: skip
def test_what_flink_calls_a_secret_is_not_taken_in_plain(folder: Path, name: str) -> None:
    told = refused(folder, flinkConfig={name: "hush-hush"})
    assert "would be stored in plain text" in told and "hush-hush" not in told


def test_names_with_token_that_hold_none_are_taken(folder: Path) -> None:
    load(folder, flinkConfig={"security.delegation.tokens.enabled": True})
    load(folder, flinkConfig={"security.delegation.tokens.renewal.retry.backoff": "1 h"})
    load(folder, zookeeperConfig={"ssl.quorum.keyStore.passwordPath": "/etc/zookeeper/password"})


@pytest.mark.parametrize(
    "changes",
    [
        {"flinkConfig": {"x.url": "jdbc:postgres://me:hush-hush@db/x"}},
        {"flinkUrl": "https://me:hush-hush@x.example/f.tgz"},
        {"storageEndpoint": "https://me:hush-hush@x.example"},
        {"javaOptions": "-Djavax.net.ssl.trustStorePassword=hush-hush"},
        {"javaOptions": "-Dproxy=http://me:hush-hush@proxy:3128"},
        {"taskManagerConfig": {"env.java.opts.taskmanager": "-Dmy.token=hush-hush"}},
    ],
)
def test_passwords_in_urls_and_jvm_options_are_not_taken(folder: Path, changes: dict[str, Any]) -> None:
    assert next(iter(changes)) in refused(folder, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"taskManagerConfig": {"env.java.opts.taskmanager": ["$(touch f)"]}},
        {"flinkConfig": {"env.ssh.opts": ["-o ProxyCommand=`id`"]}},
        {"flinkConfig": {"env": {"log": {"max": ["$(x)"]}}}},
        {"flinkConfig": {"env.log.max": []}},
    ],
)
def test_no_list_reaches_a_shell(folder: Path, changes: dict[str, Any]) -> None:
    assert "has a list" in refused(folder, **changes)


@pytest.mark.parametrize(
    "value", [["x", "jdbc:postgres://me:hush-hush@db/x"], ["http://me:hush", "hush@db"], [1, "http://me:hush@db"]]
)
def test_passwords_in_urls_of_a_list_are_not_taken(folder: Path, value: list[Any]) -> None:
    told = refused(folder, flinkConfig={"x.urls": value})
    assert "URL with a user and password" in told and "hush" not in told


@pytest.mark.parametrize(
    "changes",
    [
        {"flinkConfig": {"x.password": 12345}},
        {"flinkConfig": {"x.password": 0.5}},
        {"flinkConfig": {"fs.azure.sas.container.account": "hush"}},
        {"flinkConfig": {"security.delegation.token.provider.s3.access-key": "hush"}},
        {"flinkConfig": {"x.token.profile": "hush"}},
        {"zookeeperConfig": {"x.password": 5}},
        {"zookeeperConfig": {"DigestAuthenticationProvider.superDigest": "super:hush"}},
    ],
)
def test_numbers_and_digests_can_be_secrets(folder: Path, changes: dict[str, Any]) -> None:
    assert "would be stored in plain text" in refused(folder, **changes)


def test_names_that_only_look_like_secrets_are_taken(folder: Path) -> None:
    options = {
        "security.delegation.token.provider.s3.region": "eu-central-1",
        "security.delegation.token.provider.s3.enabled": "false",
        "security.delegation.tokens.renewal.time-ratio": 0.5,
        "x.token.file": "/etc/x",
    }
    load(folder, flinkConfig=options)
    words = [
        "-Dcom.sun.management.jmxremote.password.file=/etc/x",
        "-Dzookeeper.ssl.keyStore.passwordPath=/x",
        "-Dx.token.file=/x",
        "-javaagent:/opt/tokens/a.jar=port=9",
    ]
    load(folder, javaOptions=" ".join(words))


@pytest.mark.parametrize(
    "options", ["-javaagent:/a.jar=password=hush", "-agentpath:/x=token=abc", "-javaagent:/a.jar=a=b,token=abc"]
)
def test_agents_get_no_secrets(folder: Path, options: str) -> None:
    assert "which anybody can read in the list of processes" in refused(folder, javaOptions=options)


@pytest.mark.parametrize(
    "options", ["-Xlog:gc*:file=/x", "-agentlib:jdwp=transport=dt_socket,address=*:5005", "-Dx=a" * 50 + "*"]
)
def test_a_sign_that_a_shell_reads_is_named(folder: Path, options: str) -> None:
    assert "javaOptions: has the character '*': expected" in refused(folder, javaOptions=options)


@pytest.mark.parametrize("key", ["flinkUrl", "javaUrl", "storageEndpoint", "storageUri"])
@pytest.mark.parametrize("rest", ["x.example/f", "x.example/" + "f" * 300])
def test_a_refusal_shows_no_password(folder: Path, key: str, rest: str) -> None:
    told = refused(folder, **{key: f"https://me:hush-hush@{rest}"})
    assert f"- {key}: " in told and "hush" not in told and "me:" not in told


# --- Servers


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/f.tgz?X-Amz-Signature=" + "0" * 1000,
        "https://build_server/f.tgz",
        "https://_a.b_c.example.:8443/f.tgz",
        f"https://{'a.' * 126}b/f.tgz",
        "http://10.0.0.5/f.tgz",
    ],
)
def test_urls_of_archives_are_taken(folder: Path, url: str) -> None:
    assert load(folder, flinkUrl=url).cluster.flink.url == url


@pytest.mark.parametrize(
    "changes",
    [
        {"httpProxy": "http://.:80"},
        {"httpProxy": "http://a..b:80"},
        {"httpProxy": "http://x.example"},
        {"flinkUrl": "https://./f.tgz"},
        {"flinkUrl": f"https://{'a.' * 127}b/f.tgz"},
        {"storageEndpoint": f"https://{'a.' * 127}b"},
    ],
)
def test_what_is_no_server_is_refused(folder: Path, changes: dict[str, Any]) -> None:
    assert next(iter(changes)) in refused(folder, **changes)


def test_an_empty_jump_is_refused(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), {**host("tm-0"), "jump": {}})
    assert "inventory host tm-0 jump address: is missing" in refused(tmp_path)


def test_no_host_has_the_alias_of_a_jump_host(tmp_path: Path) -> None:
    jump = {"address": "bastion.example", "hostKey": HOST_KEY}
    write_inventory(tmp_path, host("jm-0"), {**host("tm-0"), "jump": jump}, {**host("tm-1"), "name": "tm-0-jump"})
    written = openssh.files({entry.name: entry.login for entry in load(tmp_path).site.hosts})
    aliases = [line for line in written["config"].splitlines() if line.startswith("Host ")]
    assert len(aliases) == len(set(aliases)) == 5


# --- Keys by Flink's own tables


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("state.checkpoints.dir", "execution.checkpointing.dir"),
        ("restart-strategy", "restart-strategy.type"),
        ("env.java.opts", "javaOptions"),
        ("taskmanager.tmp.dirs", "io.tmp.dirs"),
        ("state.backend", "state.backend.type"),
        ("state.backend.local-recovery", "execution.state-recovery.from-local"),
        ("metrics.reporters", "metrics.reporter.NAME.factory.class"),
        ("security.ssl.internal.enabled", "none of the TLS options"),
    ],
)
def test_replaced_and_contradicting_keys_are_refused_with_what_to_write(folder: Path, old: str, new: str) -> None:
    assert f"{old} is not supported: expected {new}" in refused(folder, flinkConfig={old: "x"})


@pytest.mark.parametrize(
    ("old", "told"),
    [
        ("s3.access.key", "would be stored in plain text"),
        ("s3.secret.key", "would be stored in plain text"),
        ("web.port", "not supported: in Flink 2.x it is rest.port, which is set by this program"),
        ("high-availability", "not supported: in Flink 2.x it is high-availability.type, which is set by this program"),
    ],
)
def test_a_replaced_key_does_not_name_a_key_that_is_refused(folder: Path, old: str, told: str) -> None:
    said = refused(folder, flinkConfig={old: "x"})
    assert told in said and "expected" not in said


def test_a_second_data_port_is_refused(folder: Path) -> None:
    assert "taskmanager.data.bind-port is set" in refused(folder, flinkConfig={"taskmanager.data.bind-port": 1})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"flinkConfig": {"Parallelism.Default": 1}}, "Flink has no option Parallelism.Default; meant parallelism."),
        ({"flinkConfig": {"execution.checkpointing.intervall": "1 s"}}, "meant execution.checkpointing.interval?"),
        ({"javaOptions": "-Xmx1g"}, "javaOptions: -Xmx and -Xms are also set"),
        ({"flinkConfig": {"env.java.opts.client": "-Xmx1g"}}, "flinkConfig: env.java.opts.client: -Xmx and -Xms are"),
        ({"jobManagerConfig": {"parallelism.default": 99}}, "jobManagerConfig: parallelism.default is 99, and the"),
        ({"zookeeperConfig": {"snapcount": 5}}, "zookeeperConfig: ZooKeeper has no setting snapcount; meant snapC"),
        ({"zookeeperConfig": {"autopurge.purgeIntervall": 5}}, "meant autopurge.purgeInterval?"),
        (
            {"httpProxy": "http://10.0.0.2:3128", "storagePlugin": "flink-s3-fs-presto"},
            "httpProxy: only archives are downloaded through it: flink-s3-fs-presto reaches the storage directly",
        ),
        ({"flinkConfig": {"parallelism.default": 5}}, "parallelism.default is 5, and the TaskManagers have 4 slots"),
        ({"taskManagerSlots": 1, "flinkConfig": {"parallelism.default": "3"}}, "have 2 slots"),
    ],
)  # fmt: skip
def test_what_is_likely_a_mistake_is_a_warning(folder: Path, changes: dict[str, Any], told: str) -> None:
    # What a plugin cannot do is said whatever else is declared (test_storage_s3.py)
    warnings = [text for text in load(folder, **changes).warnings if not text.startswith("storagePlugin: ")]
    assert len(warnings) == 1 and told in warnings[0], warnings


def test_ordinary_options_are_no_warning(folder: Path) -> None:
    options = {
        "execution.checkpointing.interval": "30 s", "metrics.reporter.my.interval": "1 s", "fs.s3a.threads.max": 3,
        "parallelism.default": 4, "taskmanager.network.retries": 3, "web.refresh-interval": "500 ms",
    }  # fmt: skip
    assert load(folder, flinkConfig=options).warnings == ()


# --- Nothing but ConfigError


def test_an_inventory_without_hosts_is_refused(folder: Path) -> None:
    (folder / "inventory.yaml").write_text("hosts: []\n")
    assert "has no hosts" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"hosts: [{1: 2, name: x}]\n? [a, b]\n: 1\n2: 3\n",
        b"hosts: 2024-99-99",
        b"hosts: [{port: " + b"9" * 5000 + b"}]",
        b"hosts: [{port: 0x" + b"f" * 5000 + b"}]",
        b"[" * 3000,
        b"hosts: &a [*a]",
        b"hosts: [!!python/object:os.system x]",
        b"hosts: [{? {a: b} : c}]",
        b"hosts: !!set {a, b}",
        b"hosts: [{name: !!binary x}]",
        b"hosts: [{name: =}]",
        b"hosts: [{port: !!int x}, {port: !!float '_'}, {port: !!bool 7}]",
        b"hosts: [\x00]",
        b'hosts: [{name: "\\ud800"}]',
        b"",
        b"- a",
        b"ssh: [1]\nhosts: [null, [], {}, {jump: 1}, {jump: {}}]",
        b"hosts:\n- &a {name: tm-0, <<: [1]}\n",
    ],
)
def test_any_inventory_is_a_config_error(folder: Path, text: bytes) -> None:
    (folder / "inventory.yaml").write_bytes(text)
    assert "inventory" in refused(folder)


def test_a_value_that_expands_is_shown_in_part(folder: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 7)]
    (folder / "inventory.yaml").write_text("\n".join([*levels, "hosts: [{name: *a6, user: *a6, x: *a6}, *a6]"]))
    assert "has the wrong type" in refused(folder)


def test_a_duplicate_key_is_refused(folder: Path) -> None:
    text = (folder / "inventory.yaml").read_text()
    (folder / "inventory.yaml").write_text(f"{text}\nhosts: []\n")
    assert "the key 'hosts' is there twice" in refused(folder)
    (folder / "inventory.yaml").write_text(text.replace("role: jobmanager", "role: jobmanager\n  role: jobmanager", 1))
    assert "the key 'role' is there twice" in refused(folder)


@pytest.mark.parametrize("path", ["~nosuchuser/x", "a\0b", "/dev/zero", "/", "x" * 5000, "\ud800"])
def test_any_path_is_a_config_error(tmp_path: Path, path: str) -> None:
    write_inventory(tmp_path)
    assert "inventory: " in refused(tmp_path, inventory=path)
    write_inventory(tmp_path, *[host(name) for name in SEVEN], ssh={"user": "admin", "privateKeyFile": path})
    assert "privateKeyFile: " in refused(tmp_path)


def test_a_pipe_as_a_key_file_is_refused_at_once(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in SEVEN], ssh={"user": "admin", "privateKeyFile": "pipe"})
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refused(tmp_path)


@pytest.mark.parametrize("key", ["jobManagerMemory", "taskManagerMemory", "zookeeperHeap"])
@pytest.mark.parametrize("text", ["9" * 400 + "t", "9" * 5000 + "m", "\u0661m", "1m\n", "1.5g"])
def test_any_size_is_a_config_error_or_a_size(folder: Path, key: str, text: str) -> None:
    if text == "1m\n":
        assert key in refused(folder, **{key: text})
    else:
        assert "is not a size" in refused(folder, **{key: text})


@pytest.mark.parametrize(
    "key", ["workers", "failoverSeconds", "maxUnavailable", "readyTimeoutSeconds", "taskManagerSlots"]
)
@pytest.mark.parametrize("text", ["1" + "0" * 400, "1" + "0" * 5000, "[" * 100_000, "1e5", "NaN", "\u0661"])
def test_any_number_is_a_config_error(folder: Path, key: str, text: str) -> None:
    raw = {**configuration(folder), f"flink:{key}": text}
    with pytest.raises(settings.ConfigError, match=key) as error:
        settings.load(raw, stack="dev")
    assert len(str(error.value)) < 2000


def test_any_object_is_a_config_error(folder: Path) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = {"a": deep}
    for value in (deep, {"a": "x" * 10**6, "b c": "y" * 10**6}, {"": {"": 1}}, {"a": float("nan")}, {"a": "\ud800"}):
        assert "flinkConfig" in refused(folder, flinkConfig=value)
        assert "zookeeperConfig" in refused(folder, zookeeperConfig=value)


# --- Hosts


def hosts(*changed: dict[str, Any]) -> list[dict[str, Any]]:
    return [host("jm-0"), *changed]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"address": "10.9.9.101", "sshAddress": "10.9.9.100"}, "SSH to 10.9.9.100 port 22 is also SSH to tm-0"),
        ({"address": "::ffff:10.9.9.100"}, "is an IPv4 address in IPv6: expected 10.9.9.100"),
        ({"address": "240.0.0.1"}, "240.0.0.1 is unreachable"),
        ({"address": "255.255.255.255"}, "is unreachable"),
        ({"address": "0.1.2.3"}, "is unreachable"),
        ({"address": "fe80::1%eth0"}, "is unreachable"),
        ({"address": "fe80::1"}, "is unreachable"),
        ({"name": "on"}, "is not a short host name"),
        ({"name": "12"}, "is not a short host name"),
        ({"name": "0x10"}, "is not a short host name"),
        ({"name": "1e3"}, "is not a short host name"),
        ({"name": "localhost"}, "is not a short host name"),
        ({"name": True}, "name: True has the wrong type: expected str"),
        ({"memoryMiB": 4294967296}, "memoryMiB: 4294967296 is out of range: expected 67108864 or less"),
        ({"hostKey": f"ecdsa-sha2-nistp256 {ED25519}"}, "hostKey: .* is not a whole key of type ecdsa-sha2-nistp256"),
        ({"hostKey": f"ssh-ed25519 {ED25519[:-8]}"}, "hostKey: .* is not a whole key of type ssh-ed25519"),
    ],
)  # fmt: skip
def test_hosts_that_cannot_be_are_refused(tmp_path: Path, second: dict[str, Any], told: str) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"), {**host("tm-1"), **second})
    assert re.search(told, refused(tmp_path)), refused(tmp_path)


def test_hosts_behind_one_address_are_distinguished_by_port_or_jump_host(tmp_path: Path) -> None:
    jump = {"address": "192.0.2.1", "hostKey": HOST_KEY}
    second = {**host("tm-1"), "sshAddress": "192.0.2.9"}
    write_inventory(tmp_path, host("jm-0"), host("tm-0", sshAddress="192.0.2.9", port=2201), {**second, "port": 2202})
    assert len(load(tmp_path, firewall=False).site.hosts) == 3
    write_inventory(tmp_path, host("jm-0"), host("tm-0", sshAddress="192.0.2.9"), {**second, "jump": jump})
    assert len(load(tmp_path).site.hosts) == 3


def _cut(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[: len(lines) // 2], lines[-1]]) + "\n"


@pytest.mark.parametrize("kind", [["ed25519"], ["rsa", "-b", "2048", "-m", "PEM"], ["ecdsa", "-m", "PKCS8"]])
def test_a_key_is_whole_private_and_its_owners_alone(folder: Path, kind: list[str]) -> None:
    key = folder / "key"
    key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-f", key], check=True)
    assert load(folder).warnings == ()
    whole = key.read_text()
    changes: list[tuple[Callable[[], object], str]] = [
        (lambda: key.write_text(_cut(whole)), "is damaged"),
        (lambda: key.write_text(whole[: len(whole) // 2]), "is damaged"),
        (lambda: key.write_bytes(key.with_suffix(".pub").read_bytes()), "is a public key: expected a private key"),
        (lambda: key.write_bytes(b"\xff" * 100), "is not text in UTF-8"),
    ]
    for change, told in changes:
        change()
        assert told in refused(folder)
    key.write_text(whole)
    key.chmod(0o644)
    assert ["has mode 0644, so that others may read it" in warning for warning in load(folder).warnings] == [True]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "has 1024 bits: expected Ed25519, or RSA with 2048 or more"),
        (lambda: dsa.generate_private_key(1024), "is of type ssh-dss, which no current sshd accepts"),
    ],
)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL])
def test_a_key_that_is_too_weak_is_refused(folder: Path, make: Callable[[], Any], told: str, form: Any) -> None:
    key = make()
    try:
        text = key.private_bytes(Encoding.PEM, form, NoEncryption())
    except ValueError:
        pytest.skip("there is no such form of this type")
    (folder / "key").write_bytes(text)
    found = refused(folder)
    assert told in found or "not a private key: expected" in found


@pytest.mark.parametrize("name", ["ssh-rsa", "ssh-ed25519", "rsa-sha2-512", "ssh-rsa-cert-v01@openssh.com", "ssh-dss"])
@pytest.mark.parametrize("bits", [1024, 4096])
def test_no_host_is_known_by_an_rsa_key(folder: Path, name: str, bits: int) -> None:
    """Also under another name; of a jump host neither."""
    public = rsa.generate_private_key(65537, bits).public_key()
    blob = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
    told = {"ssh-rsa": "is of type ssh-rsa", "ssh-ed25519": "is not a whole key"}.get(name, "is not a public host key")
    for changes in ({"hostKey": f"{name} {blob}"}, {"jump": {"address": "192.0.2.1", "hostKey": f"{name} {blob}"}}):
        write_inventory(folder, *map(host, SEVEN[:-1]), host(SEVEN[-1], **changes))
        found = refused(folder)
        assert "hostKey: " in found and told in found


def test_yaml_is_read_by_flink_as_it_was_meant() -> None:
    """Strings that YAML 1.2 reads as numbers and YAML 1.1 does not."""
    from components import yaml_text

    values = {"a": "008", "b": "0o17", "c": "1e3", "d": "1.", "e": "+.5", "f": "~", "g": 8, "h": "on", "i": True}
    text = yaml_text.write(values)
    assert yaml.safe_load(text) == values
    for line in text.splitlines():
        name, _, value = line.partition(": ")
        assert value.startswith("'") is isinstance(values[name], str), line


# --- Keys of AWS, all of them by their type: whoever adds one adds its hostile values here by that

AWS_KEYS = {key: settings.schema()[key]["type"] for key in aws.KEYS}
HOSTILE: dict[str, list[Any]] = {
    "string": ["\n", "a\n", "a\0b", "\u2028", "\ud800", "$(touch f)\n", "x" * 100_000, ["a"], {"a": "b"}],
    "integer": [-(10**400), 10**400, "1e5", "NaN", "\u0661", 1.5, True, [1]],
    "boolean": ["yes", "on", "", "\n", 1, [True]],
    "array": [[None], [[]], [["a"]], [{"a": "b"}], ["a\n"], ["a\0"], ["\ud800"], [""], ["a", "a"], "a", {"a": "b"}],
    "object": [{"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}, {"a\n": "b"}, {"": "b"}, {"a": "b\0"}, ["a"], "a"],
}  # fmt: skip


@pytest.mark.parametrize("key", AWS_KEYS)
def test_any_value_of_a_key_of_aws_is_a_config_error(key: str) -> None:
    for value in HOSTILE[AWS_KEYS[key]]:
        with pytest.raises(settings.ConfigError) as error:
            settings.load(aws_configuration("dev", **{key: value}), stack="dev")
        text = str(error.value)
        assert re.search(rf"^  - {key}\b", text, re.MULTILINE), (value, text)
        assert len(text) < 5000 and all(line.isprintable() for line in text.splitlines()), (value, text[:500])


# --- Python packages: what pip would read as something else than a package


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://x.example/simple",
        "-e .",
        "-r other.txt",
        "--find-links /tmp",
        "x @ https://x.example/x.whl",
        "./x.whl --hash=sha256:" + "a" * 64,
        "x==1",
        "x>=1 --hash=sha256:" + "a" * 64,
        "x==1 --hash=md5:" + "a" * 32,
        "x==1 --config-settings=a=b --hash=sha256:" + "a" * 64,
        "x==1; sys_platform == 'a' `touch f` --hash=sha256:" + "a" * 64,
        "x==$(touch f) --hash=sha256:" + "a" * 64,
        "x==${HOME} --hash=sha256:" + "a" * 64,
        "x==1 --hash=sha256:" + "a" * 64 + " --pre",
        "END_OF_FILE",
        "x==1\u2028 --hash=sha256:" + "a" * 64,
    ],
)
def test_a_line_of_requirements_is_a_package_with_digests(folder: Path, line: str) -> None:
    good = f"apache-flink==2.3.0 --hash=sha256:{'a' * 64}"
    (folder / "lock.txt").write_text(f"{good}\n{line}\n")
    said = refused(folder, python={"version": "3.11", "requirements": str(folder / "lock.txt")})
    assert "python requirements: " in said and "is not a package of one version with its digests" in said


@pytest.mark.parametrize(
    "version", ["3", "3.8", "3.11.2", "2.7", "3.11\n", "3.1\u0661", 3.11, "$(id)", "/usr/bin/python3"]
)
def test_a_version_of_python_is_two_numbers(folder: Path, version: Any) -> None:
    (folder / "lock.txt").write_text(f"apache-flink==2.3.0 --hash=sha256:{'a' * 64}\n")
    said = refused(folder, python={"version": version, "requirements": str(folder / "lock.txt")})
    assert "python version: " in said


@pytest.mark.parametrize("index", ["x", "file:///x", "https://u:p@x.example/", "https://x.example/ --pre", "--pre"])
def test_an_index_of_python_packages_is_a_url_without_a_password(folder: Path, index: str) -> None:
    (folder / "lock.txt").write_text(f"apache-flink==2.3.0 --hash=sha256:{'a' * 64}\n")
    python = {"version": "3.11", "requirements": str(folder / "lock.txt"), "index": index}
    assert "python index: " in refused(folder, python=python)


@pytest.mark.parametrize("module", ["-c", "a b", "a-b", "a..b", ".a", "a.", "1a", "a;b", "a/b", "\u00e4"])
def test_a_module_to_run_is_a_name(folder: Path, module: str) -> None:
    assert "jobs.a entryModule: " in refused(folder, jobs={"a": {"python": "x", "entryModule": module}})
