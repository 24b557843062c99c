"""The stand-in command plugin: validation of inputs, defaults, secrets, and the kinds of changes."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from stand_ins.command_plugin import VERSION
from stand_ins.command_plugin.outcome import quote
from stand_ins.command_plugin.provider import STAND_IN
from stand_ins.plugin.values import ARCHIVE, ASSET, SIGNATURE, UNKNOWN, Secret, from_struct, to_struct
from tests.plugin_client import COPY, LOCAL, REMOTE, PluginClient, urn

HOST = {"host": "h"}
DEFAULTS = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}


def asset(**more: Any) -> dict[str, Any]:
    return {SIGNATURE: ASSET, **more}


def archive(**more: Any) -> dict[str, Any]:
    return {SIGNATURE: ARCHIVE, **more}


# Check


def test_check_adds_defaults_to_connection_and_proxy(client: PluginClient) -> None:
    checked = client.checked(REMOTE, {"connection": {**HOST, "proxy": {"host": "p"}}})
    assert checked == {"connection": Secret({**HOST, **DEFAULTS, "proxy": {"host": "p", **DEFAULTS}})}


def test_check_keeps_what_is_set_even_zero(client: PluginClient) -> None:
    given = {**HOST, "user": "u", "port": 2222, "dialErrorLimit": 0, "perDialTimeout": 0}
    assert client.checked(REMOTE, {"connection": given}) == {"connection": Secret(given)}


@pytest.mark.parametrize("token", [REMOTE, COPY])
def test_check_marks_secrets(client: PluginClient, token: str) -> None:
    keys = {"password": "a", "privateKey": "b", "privateKeyPassword": "c"}
    inputs: dict[str, Any] = {"connection": {**HOST, **keys, "proxy": {"host": "p", **keys}}}
    if token == COPY:
        inputs |= {"source": asset(path="x"), "remotePath": "/x"}
    connection = client.checked(token, inputs)["connection"]
    assert isinstance(connection, Secret)
    for part in (connection.value, connection.value["proxy"]):
        assert {name: part[name] for name in keys} == {name: Secret(value) for name, value in keys.items()}


def test_check_leaves_secrets_as_they_are(client: PluginClient) -> None:
    inputs = {"create": Secret("x"), "environment": Secret({"A": "b"}), "triggers": [Secret("t")]}
    assert client.checked(LOCAL, inputs) == inputs


@pytest.mark.parametrize(
    ("token", "inputs", "property", "reason"),
    [
        (REMOTE, {}, "connection", "Missing required field 'connection' on 'remote.CommandInputs'"),
        (REMOTE, {"connection": {}}, "connection.host", "Missing required field 'host' on 'remote.Connection'"),
        (REMOTE, {"connection": HOST, "crate": "x"}, "crate", "Unrecognized field 'crate' on 'remote.CommandInputs'"),
        (
            REMOTE,
            {"connection": {**HOST, "hots": "x"}},
            "connection.hots",
            "Unrecognized field 'hots' on 'remote.Connection'",
        ),
        (
            REMOTE,
            {"connection": {**HOST, "proxy": {"host": "p", "proxy": {}}}},
            "connection.proxy.proxy",
            "Unrecognized field 'proxy' on 'remote.ProxyConnection'",
        ),
        (REMOTE, {"connection": HOST, "dir": "/"}, "dir", "Unrecognized field 'dir' on 'remote.CommandInputs'"),
        (LOCAL, {"connection": HOST}, "connection", "Unrecognized field 'connection' on 'local.CommandInputs'"),
        (
            LOCAL,
            {"create": 1},
            "create",
            "Field 'create' on 'local.CommandInputs' must be a string; got a number instead",
        ),
        (
            LOCAL,
            {"environment": {"A": 1}},
            "environment",
            "Field 'environment' on 'local.CommandInputs' must be a string map; got an object instead",
        ),
        (
            LOCAL,
            {"triggers": "x"},
            "triggers",
            "Field 'triggers' on 'local.CommandInputs' must be a list; got a string instead",
        ),
    ],
)
def test_check_refuses(client: PluginClient, token: str, inputs: dict[str, Any], property: str, reason: str) -> None:
    assert client.check(token, inputs)[1] == {property: reason}


def test_check_names_every_failure(client: PluginClient) -> None:
    assert set(client.check(LOCAL, {"a": 1, "b": 2, "dir": 3})[1]) == {"a", "b", "dir"}


def test_check_accepts_unknowns_anywhere(client: PluginClient) -> None:
    inputs = {"create": UNKNOWN, "environment": UNKNOWN, "triggers": UNKNOWN, "assetPaths": [UNKNOWN]}
    assert client.checked(LOCAL, inputs) == inputs
    assert client.checked(REMOTE, {"connection": Secret(UNKNOWN)}) == {"connection": Secret(UNKNOWN)}


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        (asset(path="f"), None),
        (asset(text="t"), None),
        (archive(path="d"), None),
        (UNKNOWN, None),
        (asset(uri="http://x"), "asset"),
        (archive(assets={}), "archive"),
        (archive(uri="http://x"), "archive"),
        ("f", "source"),
    ],
)
def test_check_of_the_source_of_a_copy(client: PluginClient, source: Any, refused: str | None) -> None:
    _, failures = client.check(COPY, {"connection": HOST, "source": source, "remotePath": "/x"})
    assert set(failures) == ({refused} if refused else set())


# Diff


def full(**more: Any) -> dict[str, Any]:
    connection = Secret({"host": "h", "privateKey": Secret("k")})
    return {"connection": connection, "create": "c", "environment": {"A": "1"}, "triggers": [1, {"x": 2}], **more}


def test_the_same_inputs_are_no_change(client: PluginClient) -> None:
    assert client.diff(REMOTE, full(), full()) == {}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (full(create="d"), {"create": "UPDATE"}),
        (full(delete="d"), {"delete": "ADD"}),
        (full(logging="none"), {"logging": "ADD"}),
        (full(stdin="x"), {"stdin": "ADD"}),
        (full(connection=Secret({"host": "i", "privateKey": Secret("k")})), {"connection": "UPDATE"}),
        (full(create=Secret("c")), {"create": "UPDATE"}),
        (full(environment={"A": "2"}), {"environment.A": "UPDATE"}),
        (full(environment={}), {"environment.A": "DELETE"}),
        (full(environment={"A": "1", "B.C": "2"}), {'environment["B.C"]': "ADD"}),
        (full(create=UNKNOWN), {"create": "UPDATE"}),
        (full(triggers=[2, {"x": 2}]), {"triggers[0]": "UPDATE_REPLACE"}),
        (full(triggers=[1, {"x": 3}]), {"triggers[1].x": "UPDATE_REPLACE"}),
        (full(triggers=[1]), {"triggers[1]": "DELETE_REPLACE"}),
        (full(triggers=[1, {"x": 2}, 3]), {"triggers[2]": "ADD_REPLACE"}),
        (full(triggers=UNKNOWN), {"triggers": "UPDATE_REPLACE"}),
        (full(triggers=[1, UNKNOWN], update="u"), {"triggers[1]": "UPDATE_REPLACE", "update": "ADD"}),
    ],
)
def test_only_triggers_replace(client: PluginClient, new: dict[str, Any], expected: dict[str, str]) -> None:
    assert client.diff(REMOTE, full(), new) == expected


def test_triggers_that_come_or_go_replace(client: PluginClient) -> None:
    without = full()
    del without["triggers"]
    assert client.diff(REMOTE, full(), without) == {"triggers": "DELETE_REPLACE"}
    assert client.diff(REMOTE, without, full()) == {"triggers": "ADD_REPLACE"}


def test_content_counts_and_not_where_it_is(client: PluginClient) -> None:
    def inputs(**more: Any) -> dict[str, Any]:
        return {"connection": HOST, "source": asset(**more), "remotePath": "/x"}

    assert client.diff(COPY, inputs(path="a", hash="1"), inputs(path="b", hash="1")) == {}
    assert client.diff(COPY, inputs(path="a", hash="1"), inputs(path="a", hash="2")) == {"source": "UPDATE"}


def test_ignored_changes_are_no_changes(client: PluginClient) -> None:
    assert client.diff(REMOTE, full(), full(create="d", triggers=[]), ignore=("create", "triggers")) == {}


def test_without_old_inputs_the_state_serves(client: PluginClient) -> None:
    state = to_struct({**full(), "stdout": "s", "stderr": ""})
    request = provider_pb2.DiffRequest(urn=urn(REMOTE), olds=state, news=to_struct(full()))
    assert client.stub.Diff(request).changes == provider_pb2.DiffResponse.DIFF_NONE


# The plugin as a whole


def test_it_says_once_that_it_is_a_stand_in(client: PluginClient) -> None:
    for _ in range(2):
        response = client.stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True))
        assert response.acceptSecrets
        assert response.supportsPreview
    assert client.texts() == [STAND_IN]
    assert not client.logs[0].ephemeral
    assert "not the official plugin" in STAND_IN


def test_it_has_the_version_of_the_official_plugin(client: PluginClient) -> None:
    assert client.stub.GetPluginInfo(empty_pb2.Empty()).version == VERSION


def test_read_gives_back_what_the_engine_has(client: PluginClient) -> None:
    state, inputs = to_struct({"stdout": "x"}), to_struct({"create": "c"})
    request = provider_pb2.ReadRequest(id="i", urn=urn(REMOTE), properties=state, inputs=inputs)
    response = client.stub.Read(request)
    assert (response.id, response.properties, response.inputs) == ("i", state, inputs)


def test_unknown_types_are_refused_by_name(client: PluginClient) -> None:
    with pytest.raises(grpc.RpcError, match="command:local:run"):
        client.check("command:local:run", {})


def test_ids_are_unique(client: PluginClient) -> None:
    request = client.create_request(LOCAL, {}, preview=True)
    ids = {client.stub.Create(request).id for _ in range(2)}
    assert len(ids) == 2
    assert all(it.startswith("it") and len(it) == 10 for it in ids)


def test_values_survive_the_wire() -> None:
    obj = {"a": [1, True, None, "x", {}], "b": Secret({"c": Secret([1])}), "d": {"e": {"f": False}}, "g": []}
    assert from_struct(to_struct(obj)) == obj


def test_commands_are_quoted_as_go_does() -> None:
    assert quote('a"b\\c\n\t\x00\x7fé\u200b€') == r'"a\"b\\c\n\t\x00\x7fé\u200b€"'
