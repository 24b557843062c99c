"""Whatever configuration is accepted renders to texts that the programs they are for read back to the same values, and
no configuration ends in anything but a ConfigError.

The examples are the same in each run, unless the environment has a HYPOTHESIS_SEED, which also stands for more of them.
"""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, example, given, seed
from hypothesis import settings as examples
from hypothesis import strategies as st

import settings
from components import forms, openssh
from components.existing.hosts import _host
from components.flink import firewall
from components.flink.config_yaml import config_yaml, flink_config
from components.flink.topology import Members
from components.flink.unit import flink_unit
from components.host import Role
from components.remote import File, script_text
from components.storage import Storage
from components.zookeeper.zoo_cfg import zoo_cfg, zookeeper_config, zookeeper_unit
from tests.unit.program import HOST_KEY, SEVEN, host, write_inventory
from toolbox import flink_options
from toolbox.paths import cache_dir

SEED = os.environ.get("HYPOTHESIS_SEED", "")


def some(count: int) -> Callable[[Any], Any]:
    """A property of `count` examples."""

    def decorate(test: Any) -> Any:
        chosen = examples(
            max_examples=count * 5 if SEED else count,
            derandomize=not SEED,
            database=None,
            deadline=None,
            # What is found is a whole configuration, and small ones are no easier to read
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        return seed(int(SEED))(chosen(test)) if SEED else chosen(test)

    return decorate


def of(form: forms.Form, longest: int = 60) -> st.SearchStrategy[str]:
    """Texts of a form."""
    return st.from_regex(form.pattern, fullmatch=True, alphabet=st.characters(max_codepoint=126)).filter(
        lambda text: len(text) <= longest and form.fits(text)
    )


HOSTILE = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["a\nb", "a\r", "x\u2028y", "$(touch f)", "`f`", "a;b", "a'b", 'a"b', "a\\", "~", "no", "a: b", "008", "0o17",
         "1e3", "\0", "\ud800", "%h", "${x}", "#", "-x", "*", "{a,b}", "9" * 400, "[" * 2000, "\u0661", "END_OF_FILE"]
    ),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), HOSTILE),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(HOSTILE, inner, max_size=3)),
    max_leaves=6,
)
DNS = st.lists(of(forms.HOST_NAME, 20), min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "Example"]))
LINE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=30)
OPTION = st.sampled_from(
    ["-Xss1m", "-XX:+UseZGC", "-Duser.timezone=UTC", "-Dx=a,b:c", "-Dx=/a/b-c_d", "-verbose:gc", "-Dy=1.5"]
)
KEY = of(forms.FLINK_KEY) | st.sampled_from(
    ["parallelism.default", "state.backend.type", "env.log.max", "env.java.opts.taskmanager", "metrics.scope.jm"]
)
# Of any network there are addresses that no host can have
ADDRESS = st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fd00::/8")
SCALAR = st.one_of(
    LINE, st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["008", "0o17", "1e3", "~", "on", "No", "1.", ".5", "0x1F", "2024-01-01", "a: b", "- a", "# a"]),
)  # fmt: skip


# --- Nothing but ConfigError


@some(80)
@given(data=st.data())
def test_any_configuration_is_taken_or_a_config_error(data: st.DataObject) -> None:
    raw = data.draw(
        st.dictionaries(
            st.sampled_from([f"flink:{key}" for key in settings.schema()]) | HOSTILE,
            st.one_of(HOSTILE, JSON.map(json.dumps)),
            max_size=6,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_inventory(root)
        text = json.dumps(
            {"ssh": data.draw(JSON), "hosts": [data.draw(JSON), {**host("tm-0"), "jump": data.draw(JSON)}]}
        )
        (root / "own.yaml").write_text(text)
        raw = {"flink:inventory": data.draw(st.sampled_from(["inventory.yaml", "own.yaml"])), **raw}
        try:
            settings.load(raw, stack="dev", root=root)
        except settings.ConfigError as error:
            str(error).encode()
            assert len(str(error)) < 100_000


# --- What is accepted is read back


@dataclass(frozen=True)
class Accepted:
    """An accepted configuration."""

    loaded: settings.Settings
    storage: Storage
    members: Members


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """A stack's keys."""
    keys = {
        "clusterId": of(forms.CLUSTER_ID),
        "javaOptions": st.lists(OPTION, max_size=4).map(" ".join),
        "storageUri": of(forms.STORAGE_URI, 80),
        "storageRegion": of(forms.REGION),
        "storageEndpoint": of(forms.SERVER_URL, 80),
        "flinkUrl": of(forms.DOWNLOAD_URL, 120),
        "storagePathStyle": st.booleans(),
        "storagePlugin": st.sampled_from(["flink-s3-fs-hadoop", "flink-s3-fs-native", "flink-s3-fs-presto"]),
        "httpProxy": of(forms.PROXY_URL, 80),
        "failoverSeconds": st.integers(5, 600),
        "flinkConfig": st.dictionaries(KEY, SCALAR | OPTION | st.lists(SCALAR, max_size=3), max_size=4),
        "taskManagerConfig": st.dictionaries(KEY, SCALAR | OPTION, max_size=3),
        "zookeeperConfig": st.dictionaries(
            of(forms.ZOOKEEPER_KEY).map(lambda key: f"x{key}"), of(forms.ZOOKEEPER_VALUE) | st.integers(), max_size=4
        ),
        "operatorCidrs": st.lists(
            st.ip_addresses().map(lambda ip: f"{ip}/{ip.max_prefixlen}"), min_size=1, max_size=4, unique=True
        ),
    }
    chosen = {key: draw(strategy) for key, strategy in keys.items() if key == "operatorCidrs" or draw(st.booleans())}
    return {"storageUri": "s3://flink/dev", **chosen}


@st.composite
def inventories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Seven hosts."""
    found = []
    addresses = draw(st.lists(ADDRESS, min_size=7, max_size=7, unique=True))
    user, jump_user = draw(of(forms.USER)), draw(of(forms.USER))
    for name, address in zip(SEVEN, addresses, strict=True):
        entry = {**host(name, address=str(address)), "user": user}
        if name.startswith("tm"):
            entry["name"] = draw(of(forms.HOST_NAME))
        if draw(st.booleans()):
            entry["sshAddress"] = draw(DNS)
        if draw(st.booleans()):
            entry["jump"] = {"address": draw(DNS), "hostKey": HOST_KEY, "user": jump_user}
        found.append(entry)
    return found


@cache
def accepted() -> list[Accepted]:
    """What a run of hypothesis finds, and the program accepts."""
    found: list[Accepted] = []

    # What is found also depends on which modules this process has imported (Hypothesis takes constants from them): what
    # few configurations have gets an example
    @some(60)
    @example({"taskManagerConfig": {"a.b": "c"}, "javaOptions": "-Xss2m"}, [], True)
    @given(configurations(), inventories(), st.booleans())
    def collect(values: dict[str, Any], hosts: list[dict[str, Any]], ordinary: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            # Each half is often refused: not both at once
            write_inventory(root, *([] if ordinary else hosts))
            raw = {"flink:inventory": "inventory.yaml", **_raw(values if ordinary else {})}
            try:
                loaded = settings.load(raw, stack="dev", root=root)
            except settings.ConfigError:
                return
        found.append(Accepted(loaded, loaded.storage, Members(tuple(_host(entry) for entry in loaded.site.hosts))))

    collect()
    assert len(found) > 20, "most examples are refused: these properties say little"
    features = [feature for one in found for feature in _features(one)]
    assert set(features) == {"inventory", "jump", "ssh address", "IPv6", "JVM options", "role options"}, features
    return found


def _features(one: Accepted) -> Iterator[str]:
    """What the properties below are about, as far as the configuration has it."""
    hosts = one.loaded.site.hosts
    if any(entry.login.user != "admin" for entry in hosts):
        yield "inventory"
    if any(entry.login.jump for entry in hosts):
        yield "jump"
    if any(entry.login.address != entry.address for entry in hosts):
        yield "ssh address"
    if any(":" in entry.address for entry in hosts):
        yield "IPv6"
    if one.loaded.cluster.java_options:
        yield "JVM options"
    if one.loaded.cluster.taskmanager_config:
        yield "role options"


def _raw(values: dict[str, Any]) -> dict[str, str]:
    whole = {"operatorCidrs": ["198.51.100.0/24"], "storageUri": "s3://flink/dev", **values}
    return {f"flink:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in whole.items()}


def texts(one: Accepted) -> dict[Role, str]:
    """config.yaml by role."""
    return {
        role: config_yaml(flink_config(role, one.loaded.cluster, one.storage, one.members, memory_mib=2048, slots=2))
        for role in (Role.JOBMANAGER, Role.TASKMANAGER, Role.CLIENT)
    }


def test_config_yaml_is_read_back() -> None:
    for one in accepted():
        cluster = one.loaded.cluster
        for role, text in texts(one).items():
            found = yaml.safe_load(text)
            assert found == flink_config(role, cluster, one.storage, one.members, memory_mib=2048, slots=2)
            assert found["env.java.opts.all"].endswith(cluster.java_options)
            options = {**cluster.common_config, **(cluster.taskmanager_config if role is Role.TASKMANAGER else {})}
            assert all(
                found[key] == (";".join(str(item) for item in value) if isinstance(value, list) else value)
                for key, value in options.items()
            )
            if one.members.high_availability:
                assert found["high-availability.cluster-id"] == f"/{cluster.cluster_id}"
                assert found["high-availability.storageDir"] == f"{one.storage.uri}/ha"


@pytest.mark.exhaustive
def test_flink_reads_config_yaml(tmp_path: Path) -> None:
    """The texts that YAML 1.2 would read as numbers, and all others."""
    release = flink_options.archive(flink_options.VERSION)
    if not release.exists() or not shutil.which("java"):
        pytest.skip("the lab's cache has no release, or there is no java")
    with tarfile.open(release) as tar:
        for member in tar:
            if "/lib/" in member.name and member.name.endswith(".jar"):
                tar.extract(member, tmp_path, filter="data")
    expected: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(accepted()):
        folder = tmp_path / f"conf-{number}"
        folder.mkdir()
        (folder / "config.yaml").write_text(texts(one)[Role.TASKMANAGER])
        cluster = one.loaded.cluster
        expected[str(folder)] = {**cluster.common_config, **cluster.taskmanager_config}
    program = Path(__file__).parent / "java" / "ReadFlink.java"
    argv = ["java", "-cp", f"{next(tmp_path.glob('*/lib'))}/*", str(program), *expected]
    found: dict[str, dict[str, str]] = {folder: {} for folder in expected}
    for line in subprocess.run(argv, **RUN).stdout.splitlines():
        if line.count("\t") == 2:
            folder, key, value = line.split("\t")
            found[folder][key] = base64.b64decode(value).decode()
    for conf, options in expected.items():
        for key, value in options.items():
            if isinstance(value, str):
                assert found[conf][key] == value, (conf, key)
            elif isinstance(value, bool | int):
                assert found[conf][key] == json.dumps(value), (conf, key)


def test_flinks_scripts_leave_jvm_options_as_they_are() -> None:
    options = sorted({one.loaded.cluster.java_options for one in accepted()})
    # As flink-console.sh does
    program = 'for opts; do set -- $(eval echo "${opts}"); printf "%s\\0" "$@"; printf "\\0"; done'
    said = subprocess.run(["bash", "-c", program.replace("${opts}", "-Dx ${opts}"), "-", *options], **RUN, cwd="/")
    words = [[word for word in found.split("\0") if word] for found in said.stdout.split("\0\0")[:-1]]
    assert words == [["-Dx", *each.split()] for each in options]


RUN: Any = {"check": True, "capture_output": True, "text": True}


def test_scripts_hold_values_and_files_as_they_are(tmp_path: Path) -> None:
    programs, expected = [], []
    for number, one in enumerate(accepted()):
        values = {"url": one.loaded.cluster.flink.url, "id": one.loaded.cluster.cluster_id, "uri": one.storage.uri}
        text = texts(one)[Role.TASKMANAGER]
        script = script_text(one.members.hosts[0], "files.sh", {**values, "list": list(values.values())}, [
            File(path="/etc/flink/config.yaml", text=text)
        ], alone=True)  # fmt: skip
        file = tmp_path / f"{number}.sh"
        file.write_text(script)
        head = script.partition("\nsay() {")[0]
        # Values and files as the script has them, without what it does with them
        show = (
            'write_file() { printf "%s\\0" "$1"; cat; printf "\\0"; }\nprintf "%s\\0" "$url" "$id" "$uri" "${list[@]}"'
        )
        programs.append(f"(\n{head}\n{show}\nwrite_files\n)\nbash -n {shlex.quote(str(file))}\n")
        expected += [*values.values(), *values.values(), "/etc/flink/config.yaml", text]
    said = subprocess.run(["bash", "-euo", "pipefail"], input="".join(programs), **RUN)
    assert said.stdout.split("\0")[:-1] == expected


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
def test_systemd_reads_units(tmp_path: Path) -> None:
    files = []
    for number, one in enumerate(accepted()):
        cluster = one.loaded.cluster
        units = {
            "zk": zookeeper_unit(cluster, data_disk=True),
            "jm": flink_unit(Role.JOBMANAGER, cluster, memory_mib=1600),
        }
        for name, text in units.items():
            files.append(tmp_path / f"{name}-{number}.service")
            files[-1].write_text(text)
        command = next(line for line in units["zk"].splitlines() if line.startswith("ExecStart="))
        assert f"OnOutOfMemoryError {cluster.java_options} -Dlogback".split() == _between(command.split())
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], check=False, capture_output=True, text=True
    )
    told = [line for line in said.stderr.splitlines() if re.search(r"(zk|jm)-[0-9]+\.service", line)]
    # The commands are not on this machine: each unit is looked at to its end
    assert len([line for line in told if "is not executable" in line]) >= len(files)
    assert not [line for line in told if "is not executable" not in line]


def _between(words: list[str]) -> list[str]:
    first = next(number for number, word in enumerate(words) if word.endswith("OnOutOfMemoryError"))
    last = next(number for number, word in enumerate(words) if word.startswith("-Dlogback"))
    return ["OnOutOfMemoryError", *words[first + 1 : last], "-Dlogback"]


def test_ssh_reads_who_logs_in_where(tmp_path: Path) -> None:
    checked = 0
    for one in accepted()[:: 1 if SEED else 6]:
        logins = {entry.name: entry.login for entry in one.loaded.site.hosts}
        for name, text in openssh.files(logins).items():
            (tmp_path / name).write_text(text)
        for name, login in logins.items():
            for alias, way in ((name, login), (f"{name}.jump", login.jump)):
                if way is None:
                    continue
                said = subprocess.run(["ssh", "-G", "-F", "config", alias], cwd=tmp_path, **RUN).stdout
                found = dict(line.partition(" ")[::2] for line in said.splitlines())
                # OpenSSH writes the names of hosts in lower case
                assert found["hostname"] == way.address.lower()
                assert (found["user"], found["port"], found["hostkeyalias"]) == (way.user, str(way.port), alias)
                assert found["stricthostkeychecking"] == "true"
                command = found.get("proxycommand", "none")
                assert f" -W [%h]:%p {alias}.jump" in command if way.jump else command == "none"
                checked += 1
    assert checked > 20


def test_nft_reads_the_firewall(tmp_path: Path) -> None:
    alone = ["unshare", "-rn"]
    if subprocess.run([*alone, "nft", "list", "ruleset"], check=False, capture_output=True).returncode:
        pytest.skip("no nft, or no network namespaces for this user")
    for one in accepted()[:: 1 if SEED else 12]:
        addresses = {role: [str(entry.address) for entry in one.members.of(role)] for role in Role}
        rules = firewall.rules(Role.JOBMANAGER, addresses, one.loaded.cluster.operator_cidrs)
        (tmp_path / "rules.nft").write_text(rules)
        load = f"nft -c -f {tmp_path}/rules.nft && nft -f {tmp_path}/rules.nft && nft list table inet flink"
        said = subprocess.run([*alone, "sh", "-c", load], **RUN).stdout
        allowed = {line.partition("tcp dport")[0] for line in said.splitlines() if "dport 6124" in line}
        for role in (Role.JOBMANAGER, Role.TASKMANAGER):
            assert all(address in "".join(allowed) for address in addresses[role]), said


def test_zookeeper_reads_zoo_cfg(tmp_path: Path) -> None:
    release = next(iter((cache_dir() / "archives").glob("apache-zookeeper-*-bin.tar.gz")), None)
    if not release or not shutil.which("java"):
        pytest.skip("the lab's cache has no release, or there is no java")
    with tarfile.open(release) as tar:
        jars = [member for member in tar if member.name.endswith(".jar")]
        tar.extractall(tmp_path, jars, filter="data")
    files: dict[str, Accepted] = {}
    for number, one in enumerate(one for one in accepted() if one.members.high_availability):
        path = tmp_path / f"{number}.cfg"
        path.write_text(zoo_cfg(one.loaded.cluster, one.members))
        files[str(path)] = one
    program = Path(__file__).parent / "java" / "ReadBack.java"
    lib = next(tmp_path.glob("*/lib"))
    argv = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", str(program), str(tmp_path), *files]
    (tmp_path / "myid").write_text("1\n")
    said = subprocess.run(argv, **RUN).stdout
    found: dict[str, dict[str, str]] = {file: {} for file in files}
    for line in said.splitlines():
        if line.count("\t") == 2:
            file, key, value = line.split("\t")
            found[file][key] = value
    for file, one in files.items():
        expected = {key: str(value) for key, value in zookeeper_config(one.loaded.cluster, one.members).items()}
        plain = {key: value for key, value in found[file].items() if not key.startswith("parsed ")}
        assert plain == expected
        for key in ("tickTime", "clientPort"):
            assert found[file][f"parsed {key}"] == expected[key]
        names = {key: value.partition(":")[0] for key, value in expected.items() if key.startswith("server.")}
        assert {key: found[file][f"parsed {key}"] for key in names} == names
