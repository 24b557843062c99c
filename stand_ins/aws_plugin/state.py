"""Combines inputs, outputs and the actual properties to the state that the engine stores."""

from __future__ import annotations

from stand_ins.aws_plugin.introspection import resource_shape
from stand_ins.aws_plugin.resource import Resource, is_unknown
from stand_ins.plugin.schema import Shape
from stand_ins.plugin.values import UNKNOWN, Object, Secret, Value, reveal


def created(resource: Resource, inputs: Object, outputs: Object) -> Object:
    """The state after a create or an update: the inputs as the program has them, including secrets, and the outputs."""
    state = {**_present(outputs), **_merged(shape_of(resource), inputs, outputs)}
    for name in resource.secrets & state.keys():
        if not isinstance(state[name], Secret):
            state[name] = Secret(state[name])
    return state


def shape_of(resource: Resource) -> Shape:
    """The inputs that the resource's type has."""
    return resource_shape(resource.token, resource.args)


def previewed(resource: Resource, inputs: Object) -> Object:
    """The properties that are known before a resource is created."""
    unknown = dict.fromkeys(resource.computed, UNKNOWN)
    return created(resource, inputs, {**unknown, **resource.preview(reveal(inputs))})


def preview_of_update(resource: Resource, state: Object, old_inputs: Object, inputs: Object) -> Object:
    """The properties that are known before a resource is updated."""
    kept = {name: value for name, value in state.items() if name not in old_inputs or name in inputs}
    unknown = {
        output: UNKNOWN
        for output, causes in resource.volatile.items()
        if any(old_inputs.get(cause) != inputs.get(cause) for cause in causes)
    }
    known = resource.preview(reveal(inputs))
    return created(resource, inputs, {**kept, **known, **unknown})


def unordered(resource: Resource, old: Object, new: Object) -> Object:
    """The new inputs, in the old form where that has the same meaning."""
    return {name: _in_old_form(resource, name, old[name], new[name]) if name in old else new[name] for name in new}


def refreshed(resource: Resource, old_inputs: Object, old_state: Object, found: Object) -> tuple[Object, Object]:
    """Inputs and state as they are in the cloud. Only what the program set, and tags, can drift."""
    inputs: Object = {}
    for name, old in old_inputs.items():
        if name not in found:
            inputs[name] = old
        elif found[name] is not None:
            now = _projected(_inner(shape_of(resource), name), reveal(old), found[name])
            now = _in_old_form(resource, name, reveal(old), now)
            inputs[name] = _secret_as(old, now)
    if found.get("tags") and "tags" not in inputs:
        inputs["tags"] = found["tags"]
    # What the cloud does not return stays.
    told = {name: _secret_as(old_state.get(name), value) for name, value in found.items()}
    kept = {name: value for name, value in old_state.items() if name not in old_inputs or name in inputs}
    return inputs, created(resource, inputs, {**kept, **told})


def imported(names: frozenset[str], found: Object) -> Object:
    """The inputs of an imported resource, from the names of its type's inputs."""
    return {name: value for name, value in _present(found).items() if name in names and value not in ("", [], {})}


def _present(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if value is not None}


def _merged(shape: Shape, inputs: Object, outputs: Object) -> Object:
    """The inputs, their objects completed with what only the cloud knows (a volume's id), at any depth."""
    merged: Object = {}
    for name, value in inputs.items():
        other, inner = outputs.get(name), _inner(shape, name)
        if inner and isinstance(value, dict) and isinstance(other, dict):
            merged[name] = {**_present(other), **_merged(inner, value, other)}
        else:
            merged[name] = value
    return merged


def _projected(shape: Shape | None, old: Value, now: Value) -> Value:
    """The part of an actual object that the program set, at any depth; maps such as tags are returned completely."""
    if shape is None:
        return now
    if isinstance(old, dict) and isinstance(now, dict):
        told = {name: _projected(_inner(shape, name), old[name], now[name]) for name in old if name in now}
        return {**old, **told}
    if isinstance(old, list) and isinstance(now, list) and len(old) == len(now):
        return [_projected(shape, before, after) for before, after in zip(old, now, strict=True)]
    return now


def _inner(shape: Shape, name: str) -> Shape | None:
    return shape.fields[name].shape if name in shape.fields else None


def _in_old_form(resource: Resource, name: str, old: Value, new: Value) -> Value:
    if name in resource.sets and isinstance(old, list) and isinstance(new, list):
        return old if sorted(map(repr, old)) == sorted(map(repr, new)) else new
    plain_old, plain_new = reveal(old), reveal(new)
    if is_unknown(plain_new) or plain_old == plain_new:
        return new
    return old if resource.same(name, plain_old, plain_new) else new


def _secret_as(old: Value, new: Value) -> Value:
    """The new value with secrets where the old one has them."""
    if isinstance(old, Secret):
        return Secret(reveal(new))
    if isinstance(old, dict) and isinstance(new, dict):
        return {name: _secret_as(old.get(name), value) for name, value in new.items()}
    return new
