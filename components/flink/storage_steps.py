"""What a storage needs on hosts that run Flink, besides Flink's plugins: a release, a step of its kind, and a look
whether the host can use it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, shipped, step
from ..roles import ROLES
from ..storage import Backend, Storage
from ..storage.storage import mark
from . import proxy, trusted
from .node import install
from .settings import ClusterSettings

ACCESS_SECONDS = 40
"""Seconds for a storage to do all: clients of HDFS look for the active NameNode for some seconds."""
SHARED_SECONDS = 180
"""Seconds for what is asked of a folder, if its server does not answer: some requests of 15 s each."""
_PROFILE = "/etc/profile.d/flink-storage.sh"
_ACCESS = "/usr/local/lib/flink/storage/Access.java"


def prepare(
    host: Host, settings: ClusterSettings, storage: Storage, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> list[remote.Command]:
    """The steps that make a host ready for the storage's kinds; none for kinds that need nothing."""
    found: list[remote.Command] = []
    for backend in storage.backends:
        opts = pulumi.ResourceOptions(parent=parent, depends_on=list(after))
        if backend.release:
            release = install(host, settings, storage, backend.release, backend.release_check, opts)
            found.append(release)
            opts = pulumi.ResourceOptions(parent=parent, depends_on=[*after, release])
        if backend.host_step and (made := _step(host, backend, opts)):
            found.append(made)
    return found


def _step(host: Host, backend: Backend, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """None on a host that needs nothing of it: without a daemon it has no secrets."""
    row, declared = ROLES[host.role], backend.host_step
    assert declared is not None
    ours = [file for file in declared.files if row.uses_storage or not file.secret]
    more = [] if row.daemon or not backend.environment else [File(path=_PROFILE, text=_profile(backend.environment))]
    if not (ours or more or declared.values):
        return None

    def text(texts: Sequence[str]) -> str:
        files = [
            File(path=file.path, text=known, mode="0600", owner=f"{row.user}:{row.user}")
            if file.secret
            else File(path=file.path, text=known)
            for file, known in zip(ours, texts, strict=True)
        ]
        return script_text(host, declared.script, declared.values, [*files, *more])

    stdin = pulumi.Output.all(*[file.text for file in ours]).apply(text)
    if any(file.secret for file in ours):
        stdin = pulumi.Output.secret(stdin)
    name = declared.script.rpartition("/")[2].removesuffix(".sh")
    return step(host, f"storage-{name}", stdin, opts=opts)


def _profile(environment: Mapping[str, str]) -> str:
    """For people who log in: `flink` and `sql-client.sh` read the same storage."""
    return "".join(f"export {name}='{value}'\n" for name, value in environment.items())


def shared(
    settings: ClusterSettings,
    storage: Storage,
    hosts: Sequence[Host],
    options: Callable[[Host], pulumi.ResourceOptions],
) -> dict[str, remote.Command]:
    """Host name → the step that looks whether the storage's folders are the same on all of these hosts; none if it has
    none. The first host writes a token there, and the others look for it. `options` are of a host's step.
    """
    folders = storage.folders
    ours = [host for host in hosts if ROLES[host.role].uses_storage]
    if not folders or not ours:
        return {}
    first = ours[0]
    values: dict[str, str | int | Sequence[str]] = {
        "keys": list(folders),
        "folders": list(folders.values()),
        "mark": mark(settings.cluster_id),
        "first": first.name,
    }

    def text(host: Host, told: str = "") -> str:
        token, *there = told.splitlines() or [""]
        more: dict[str, str | Sequence[str]] = {"token": token, "there": there} if token else {}
        return script_text(host, "storage/shared.sh", {"user": ROLES[host.role].user, **values, **more})

    seconds = SHARED_SECONDS * len(folders)
    found = {first.name: step(first, "storage-shared", text(first), seconds=seconds, opts=options(first))}
    for host in ours[1:]:
        stdin = found[first.name].stdout.apply(partial(text, host))
        found[host.name] = step(host, "storage-shared", stdin, seconds=seconds, opts=options(host))
    return found


def look(host: Host, settings: ClusterSettings, storage: Storage) -> str:
    """For the step that starts a daemon: JSON with which the host tool looks at the places where that is enough
    (host_tool/s3_look.py). Empty if there are none.
    """
    options = _options(settings)
    found = {key: uri for key, uri in storage.places.items() if storage.at(uri).host_look(uri, options)}
    if not found:
        return ""
    uri = next(iter(found.values()))
    backend = storage.at(uri)
    direct = proxy.is_direct(urlsplit(backend.server(uri)).hostname or "", settings.no_proxy)
    goes_through = settings.http_proxy and not direct and backend.through(settings.http_proxy)
    stores = ["-keystore", trusted.STORE] if settings.trusted_certificates else ["-cacerts"]
    values = {
        "host": host.name,
        "places": found,
        **(backend.host_look(uri, options) or {}),
        "proxy": settings.http_proxy if goes_through else "",
        "certificates": trusted.PEM if settings.trusted_certificates else "",
        "store": [] if trusted.PROPERTIES[0] in settings.java_options else stores,
    }
    return json.dumps(values)


def access(
    host: Host,
    settings: ClusterSettings,
    storage: Storage,
    generation: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> remote.Command | None:
    """The step that uses the storage as the daemons will; None if `look` is enough. `generation`: what a daemon
    would be restarted for.
    """
    own = _options(settings)
    looked_at = {key: uri for key, uri in storage.places.items() if storage.at(uri).host_look(uri, own) is None}
    if not looked_at:
        return None
    hints = {pattern: hint for backend in storage.backends for pattern, hint in backend.hints.items()}
    options = " ".join(filter(None, (storage.java_options, trusted.java_options(settings), settings.java_options)))
    values: dict[str, str | int | Sequence[str]] = {
        "user": ROLES[host.role].user,
        "keys": list(looked_at),
        "uris": list(looked_at.values()),
        # Those of Flink's scripts, with which Hadoop finds the realm
        "options": ["--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED", *options.split()],
        "patterns": list(hints),
        "hints": list(hints.values()),
        "seconds": ACCESS_SECONDS,
    }
    program = shipped(_ACCESS, "storage/Access.java")
    stdin = pulumi.Output.from_input(generation).apply(
        lambda known: script_text(host, "storage/access.sh", {**values, "generation": known}, [program])
    )
    return step(host, "storage-access", stdin, seconds=ACCESS_SECONDS * len(looked_at) + 180, opts=opts)


def _options(settings: ClusterSettings) -> list[str]:
    """The names of the options of Flink that the stack itself has set."""
    own = (settings.common_config, settings.jobmanager_config, settings.taskmanager_config, settings.secret_options)
    return [name for names in own for name in names]
