"""Steps on hosts over SSH. All commands are created here, so that connection, sudo, quoting, time limits and deletion
are handled in one place.

A step is one idempotent script in `host_scripts/`. The scripts are copied to each host once (scripts.py); a step's
values and files are sent on stdin, never in argv, which any user of the host could read. The same stdin has two modes:
`apply` makes changes, `check` only compares (`ops`). A separate script for each host removes what the steps created
(`leave`).
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import pulumi
from pulumi_command import local, remote

from . import naming, openssh, private_key, scripts, sources
from .host import Host, Ssh

LEAVE = Path(__file__).resolve().parent / "leave.sh"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class File:
    """A file on a host: absolute path, text, mode and owner."""

    path: str
    text: str
    mode: str = "0644"
    owner: str = "root:root"
    source: str = ""
    """The part of scripts.py that has the text; empty: the step has it."""


def shipped(path: str, source: str, *, mode: str = "0644") -> File:
    """A file that is a part of the program's own text, such as `host_tool/rest.py`."""
    return File(path=path, text=scripts.text(source), mode=mode, source=source)


def script_text(
    host: Host,
    script: str,
    values: Mapping[str, str | int | Sequence[str]] | None = None,
    files: Sequence[File] = (),
    uses: Sequence[str] = (),
    *,
    alone: bool = False,
) -> str:
    """The text for bash's stdin: values as quoted variables, files as heredocs, then what reads the script and its
    library from the host; or these themselves, if the text is for a host that may not have them (`alone`).

    A script for one role only is in the role's folder: `ROLE/NAME.sh`. `uses` are further parts of scripts.py. A
    sequence becomes a bash array. Only the last line calls the functions, so that a connection that breaks during the
    transfer runs nothing. Raises ValueError for a file that contains the end marker.
    """
    used = {scripts.LIBRARY, *uses, script, *(file.source for file in files if file.source)}
    return _text(host, script, values or {}, files, scripts.picked(used) if alone else scripts.load(host, used))


def clean_text(host: Host, values: Mapping[str, str | int | Sequence[str]]) -> str:
    """The text for bash's stdin that cleans a host, with `remove`."""
    return _text(host, "clean.sh", values, (), scripts.load_clean(host))


def _text(
    host: Host, script: str, values: Mapping[str, str | int | Sequence[str]], files: Sequence[File], code: str
) -> str:
    name = script.rpartition("/")[2]
    lines = [f"# host {host.name}, step {name}", "set -euo pipefail", f"host={host.name}", f"step={name}"]
    lines.append(f"owner={shlex.quote(f'{host.role} {host.name}')}")
    for name, value in values.items():
        if isinstance(value, str | int):
            lines.append(f"{name}={shlex.quote(str(value))}")
        else:
            lines.append(f"{name}=({' '.join(shlex.quote(item) for item in value)})")
    lines += ["write_files() {", *_written(files), "}\n"]
    text = "\n".join(lines)
    return f'{text}{code}main "$@" </dev/null\n'


def _written(files: Sequence[File]) -> Iterator[str]:
    """The lines that write files, with the texts that the host does not have."""
    yield "  write_own" if any(scripts.is_own(file.source, file.path) for file in files) else "  :"
    for file in files:
        write = f"write_file {shlex.quote(file.path)} {file.mode} {file.owner}"
        if not file.source:
            yield f"  {write} <<'{scripts.END_OF_FILE}'\n{scripts.ended(file.path, file.text)}".removesuffix("\n")
        elif not scripts.is_own(file.source, file.path):
            yield f"  {scripts.file(file.source)} {write}"


def scripts_on(host: Host, opts: pulumi.ResourceOptions) -> remote.CopyToRemote:
    """The scripts on a host. It is the first to log in: all steps of the host have to depend on it (by `opts`, perhaps
    through others).
    """
    # It copies again only if the text has changed, or one of these: it is another machine, or another home directory
    ssh = host.ssh
    known = [ssh.address, ssh.host_key, *([host.machine] if host.machine else [])]
    return remote.CopyToRemote(
        naming.step(host, "scripts"),
        connection=connection(ssh, first=True),
        source=pulumi.FileAsset(str(scripts.local_file())),
        remote_path=scripts.place(host.name),
        triggers=[ssh.user, *map(_already_waited_for, known)],
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(deleted_with=host.ready)),
    )


def step(
    host: Host,
    what: str,
    stdin: pulumi.Input[str],
    *,
    opts: pulumi.ResourceOptions,
    seconds: int = 600,
    runs: pulumi.Input[str] = "",
    before: str = "",
) -> remote.Command:
    """Run a script (text from `script_text`) as root on a host, again whenever the text changes.

    `seconds` is its time limit on the host, because Pulumi's custom timeouts do not stop a remote command. Its stderr
    is shown while it runs, and its stdout is the result of the step. `runs` is a hash of a daemon's desired state: if
    it changes, `branches` reports a restart. The script does not use it. `before` is a command that must succeed
    before it. Every step depends on the host's scripts (by `opts`, perhaps through others).
    """
    # Scripts and files are the same on many hosts: their changes are shown once (flink/desired_state.py)
    hidden = ["stdin", "create"] if runs else ["stdin"]
    ours = pulumi.ResourceOptions(hide_diffs=hidden, deleted_with=host.ready)
    # -k also ends a script that ignores SIGTERM
    run = f"sudo -n timeout -k 10 {seconds} bash -s --"
    # sudo drops the variable, with which members.sh checks that the firewall does not lock us out
    client = '"${SSH_CONNECTION%% *}"'
    create: pulumi.Input[str] = f"{before + '; ' if before else ''}{run} apply {client}"
    if host.machine:
        # A replaced machine under the same name, or even the same address, is another input
        create = pulumi.Output.concat(create, " ", _already_waited_for(host.machine))
    if runs:
        create = pulumi.Output.concat(create, " runs=", runs)
    return remote.Command(
        naming.step(host, what),
        connection=connection(host.ssh),
        create=create,
        stdin=stdin,
        logging=remote.Logging.STDERR,
        # sshd accepts no environment by default, and our scripts inspect the host instead of their previous output
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(opts, ours),
    )


def leave(
    name: str,
    hosts: Sequence[Host],
    stdin: pulumi.Input[str],
    *,
    left: str,
    before: str = "",
    seconds: int = 600,
    opts: pulumi.ResourceOptions,
) -> local.Command:
    """Run a script (text from `script_text`, with a function `remove`) as root on the first reachable host, only when
    this resource is deleted. The command `before` runs first, on all reachable hosts.

    A `remote.Command` would fail for an unreachable host, and `destroy` with it. This one logs in with OpenSSH from the
    machine that runs Pulumi, and reports what is `left` behind. Connections and script are those of the last `up`.
    """
    logins = pulumi.Output.all(*[_login_of(host.ssh) for host in hosts])

    def environment(known: Sequence[openssh.Login]) -> dict[str, str]:
        files = openssh.files({host.name: login for host, login in zip(hosts, known, strict=True)})
        return {
            "LEAVE": sources.without_comments(LEAVE.read_text()),
            "LEAVE_HOSTS": " ".join(host.name for host in hosts),
            "LEAVE_BEFORE": before,
            "LEAVE_RUN": f"sudo -n timeout -k 10 {seconds} bash -s -- remove",
            "LEAVE_LEFT": left,
            **{f"LEAVE_{file.upper()}": text for file, text in files.items()},
        }

    return local.Command(
        name,
        # Errors show the command, so the script is in the environment
        delete='exec sh -c "$LEAVE"',
        environment=pulumi.Output.secret(logins.apply(environment)),  # type: ignore[arg-type]
        stdin=stdin,
        logging=local.Logging.STDERR,
        add_previous_output_in_env=False,
        opts=opts,
    )


def _login_of(ssh: Ssh) -> pulumi.Output[openssh.Login]:
    jump = pulumi.Output.from_input(None) if ssh.jump is None else _login_of(ssh.jump)
    return pulumi.Output.all(ssh.address, ssh.private_key, ssh.host_key, jump).apply(
        lambda known: openssh.Login(
            address=known[0],
            user=ssh.user,
            port=ssh.port,
            private_key=known[1],
            host_key=known[2],
            jump=known[3],
        )
    )


def connection(ssh: Ssh, *, first: bool = False) -> remote.ConnectionArgs:
    """How the command plugin logs in to a host. `first`: nothing on which the resource depends has logged in before."""
    proxy = None if ssh.jump is None else remote.ProxyConnectionArgs(**_login(ssh.jump, first=first))
    return remote.ConnectionArgs(**_login(ssh, first=first), proxy=proxy)


def _login(ssh: Ssh, *, first: bool) -> dict[str, Any]:
    """What a connection and its proxy have in common."""
    # The state has every connection twice
    key = pulumi.Output.from_input(ssh.private_key).apply(private_key.shortest)
    known: list[pulumi.Input[str]] = [ssh.address, key, ssh.host_key]
    address, own_key, host_key = known if first else map(_already_waited_for, known)
    return {
        "host": address,
        "user": ssh.user,
        "port": ssh.port,
        "private_key": own_key,
        "host_key": host_key,
        # pulumi-command waits up to 5 s between two attempts, and less between the first ones: half a minute for an
        # existing machine, and 5 minutes for one that boots and refuses connections
        "dial_error_limit": 60 if ssh.new else 10,
        "per_dial_timeout": 10 if ssh.new else 15,
    }


def _already_waited_for(value: pulumi.Input[T]) -> pulumi.Input[T]:
    """The value without the resources it comes from. A step that depends on another of its host depends on them anyway,
    and the state would name each one twice in every step: a fifth of it, in large stacks.
    """
    if not isinstance(value, pulumi.Output):
        return value

    async def itself() -> T:
        found: Any = await value.future(with_unknowns=True)
        return cast(T, found)

    return pulumi.Output(set(), itself(), value.is_known(), value.is_secret())
