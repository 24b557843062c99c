"""The whole program under Pulumi's mocks, in preview and in an update."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from branches import changes
from components.storage.table import SECRETS as STORAGE_SECRETS
from tests.unit.program import PRIVATE_KEY, SEVEN, Mocks, Recorded, configuration, entry, host, mocked, write_inventory

SECRET = "a-secret-key-that-nobody-may-see"


_SECRETS = (
    "frontDoorUsers",
    "frontDoorKey",
    "frontDoorOidcSecret",
    "alertReceivers",
    "logs",
    "alertSmtp",
    "metricsRemoteWriteLogin",
)


def run(folder: Path, *, preview: bool = False, **changes: Any) -> dict[str, Recorded]:
    """The resources that the program registers."""
    mocks = Mocks()
    keys = [f"flink:{key}" for key in (*STORAGE_SECRETS, *_SECRETS) if key in changes]
    pulumi.runtime.set_all_config(configuration(folder, **changes), keys)
    mocked(lambda: entry(Path(__file__).parents[2] / "__main__.py"), mocks, stack="dev", preview=preview)
    return mocks.found


def stdin(found: dict[str, Recorded], name: str) -> str:
    value = found[name].inputs["stdin"]
    return str(value["value"] if isinstance(value, dict) else value)


@pytest.mark.parametrize("preview", [True, False])
def test_every_host_is_made_ready_and_its_daemon_run(folder: Path, preview: bool) -> None:
    found = run(folder, preview=preview)
    steps = {"jm": "flink", "tm": "flink", "zk": "zookeeper"}
    for name in SEVEN:
        release = steps[name.split("-")[0]]
        for what in ("probe", "system", "java", release, "members", "config", "service"):
            assert f"{name}-{what}" in found
    assert "zk-0-ensemble" in found and "jm-0-cluster" in found


def test_types_are_ours_or_the_command_plugins(folder: Path) -> None:
    types = {resource.type for resource in run(folder).values()}
    assert types == {
        "flink:existing:Hosts", "flink:flink:Cluster", "flink:flink:Node", "flink:flink:ZooKeeper",
        "flink:flink:JobManager", "flink:flink:TaskManager", "command:remote:Command", "command:local:Command",
        "command:remote:CopyToRemote", "pulumi:index:Stash",
    }  # fmt: skip


def test_every_command_checks_the_host_key_and_puts_nothing_in_argv(folder: Path) -> None:
    for name, resource in run(folder).items():
        if resource.type.startswith("command:remote:"):
            assert resource.inputs["connection"]["value"]["hostKey"].startswith("ssh-ed25519 "), name
        if resource.type == "command:remote:Command":
            assert re.match(r"(sudo -n true .*; )?sudo -n timeout -k 10 ", resource.inputs["create"]), name
            assert "triggers" not in resource.inputs, name


def test_every_host_leaves_by_a_command_that_runs_only_then(folder: Path) -> None:
    found = run(folder, storageAccessKey="AK", storageSecretKey=SECRET)
    leaving = {name: entry.inputs for name, entry in found.items() if entry.type == "command:local:Command"}
    assert set(leaving) == {*(f"{name}-clean" for name in SEVEN), "dev-purge"}
    for name, inputs in leaving.items():
        assert inputs["delete"] == 'exec sh -c "$LEAVE"', name
        assert not {"create", "update", "triggers"} & set(inputs), name
        environment = inputs["environment"]["value"]
        assert PRIVATE_KEY.strip() in environment["LEAVE_KEY0"], name
        assert environment["LEAVE_KNOWN_HOSTS"].split()[0] in SEVEN, name
    assert leaving["dev-purge"]["environment"]["value"]["LEAVE_HOSTS"] == "jm-0 jm-1"
    steps = [entry.inputs for entry in found.values() if entry.type == "command:remote:Command"]
    assert not [inputs for inputs in steps if "delete" in inputs]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ha/dev ha/job-result-store/dev ha/application-result-store/dev"),
        (
            {"keepState": False},
            "ha/dev ha/job-result-store/dev ha/application-result-store/dev checkpoints/dev savepoints/dev jobs/dev "
            "history/dev",
        ),
    ],
)
def test_destroy_removes_from_the_storage_what_nobody_can_use(
    folder: Path, changes: dict[str, Any], expected: str
) -> None:
    uris = " ".join(f"s3://flink/dev/{path}" for path in expected.split())
    assert f"what=({uris})\n" in stdin(run(folder, **changes), "dev-purge")


def test_without_high_availability_there_is_nothing_to_remove_from_the_storage(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"))
    assert "dev-purge" not in run(tmp_path)
    assert "dev-purge" in run(tmp_path, keepState=False)


def test_no_secret_is_in_an_input_that_is_not_secret(folder: Path) -> None:
    found = run(folder, storageAccessKey="AK", storageSecretKey=SECRET)
    holders = [name for name, resource in found.items() if SECRET in json.dumps(resource.inputs, default=str)]
    assert sorted(holders) == ["jm-0-credentials", "jm-1-credentials", "tm-0-credentials", "tm-1-credentials"]
    for resource in found.values():
        inputs = {key: value for key, value in resource.inputs.items() if key not in ("connection", "environment")}
        assert PRIVATE_KEY.strip() not in json.dumps(inputs, default=str)


def test_slots_come_from_the_inventory_or_from_the_machine(tmp_path: Path) -> None:
    unknown = host("tm-1", cpus=None, memoryMiB=None)
    write_inventory(tmp_path, host("jm-0"), host("tm-0"), unknown)
    found = run(tmp_path)
    assert "taskmanager.numberOfTaskSlots: 2" in stdin(found, "tm-0-config")
    assert "taskmanager.memory.process.size: 2176m" in stdin(found, "tm-0-config")
    # the mock's machine has 8 CPUs and 16 GiB
    assert "taskmanager.numberOfTaskSlots: 8" in stdin(found, "tm-1-config")
    assert "taskmanager.memory.process.size: 14336m" in stdin(found, "tm-1-config")
    assert '"slots": 10,' in stdin(found, "jm-0-cluster")


def test_a_wrong_configuration_registers_nothing(folder: Path) -> None:
    with pytest.raises(Exception, match="nothing was changed"):
        run(folder, failoverSeconds=1)


def differing(before: dict[str, Recorded], after: dict[str, Recorded]) -> set[str]:
    def inputs(found: Recorded) -> dict[str, Any]:
        files = {key: value.path for key, value in found.inputs.items() if isinstance(value, pulumi.FileAsset)}
        return {**found.inputs, **files}

    both = before.keys() & after.keys()
    return {name for name in both if inputs(before[name]) != inputs(after[name])} | (after.keys() - before.keys())


def test_a_taskmanager_setting_runs_nothing_on_other_hosts(folder: Path) -> None:
    after = run(folder, taskManagerConfig={"taskmanager.network.retries": 3})
    steps = differing(run(folder), after)
    changed = {"tm-0-config", "tm-0-service", "tm-1-config", "tm-1-service", "jm-0-rollout", "jm-0-cluster"}
    assert steps == {*changed, "pulumi:index:Stash/dev-declared"}


def test_one_worker_more_updates_the_others_and_restarts_none(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "tm-2")])
    steps = differing(run(tmp_path, workers=2), run(tmp_path, workers=3))
    old = {name for name in steps if not name.startswith("tm-2") and "/tm-2" not in name and ":" not in name}
    proofs = {"jm-0-logins", "jm-1-logins"}
    assert old == {f"{name}-members" for name in SEVEN} | proofs | {"jm-0-rollout", "jm-0-cluster"}


def test_a_service_step_says_what_its_daemon_runs_as_a_summary_reads_it(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"))
    steps = {name: one for name, one in run(tmp_path).items() if one.type == "command:remote:Command"}
    found = {name: str(one.inputs["create"]) for name, one in steps.items()}
    assert {name for name, create in found.items() if changes._runs({"create": create})} == {
        "jm-0-service",
        "tm-0-service",
    }
    assert changes._runs({"create": found["jm-0-service"]}) != changes._runs({"create": found["tm-0-service"]})


def test_units_name_no_file_of_ours_that_is_not_there(folder: Path) -> None:
    """Everything below /usr/local/lib/flink that units run is written by the step `system` of the same host."""
    found = run(folder)
    for name in ("jm-0", "tm-0", "zk-0"):
        units = stdin(found, f"{name}-config") + stdin(found, f"{name}-service")
        named = set(re.findall(r"=/usr/local/lib/flink/[a-z-]+|exec /usr/local/lib/flink/[a-z-]+", units))
        written = set(re.findall(r"write_file (/usr/local/lib/flink/\S+)", stdin(found, f"{name}-system")))
        assert named and {"/" + path.partition("/")[2] for path in named} <= written, name
