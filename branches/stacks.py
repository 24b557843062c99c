"""The stacks of branches: created, updated, listed, and removed when they have expired."""

import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml
from pulumi import automation as auto

from automation.deployment import on_aws
from automation.engine import Engine, stderr
from automation.stack import Stack
from automation.steps import Recorder, Step
from automation.words import some
from automation.workspace import PROJECT, REPO, Workspace, opened, program, recorded
from branches import configuration, names, stack_tags, starts
from branches.errors import INTERRUPTED, BranchesError, LockedError, UsageError
from branches.stack_tags import Mark
from ops import pending
from ops.errors import BusyError, OpsError

if TYPE_CHECKING:
    from ops.aws import Orphans

FILE = REPO / configuration.FILE

SHUTTING_DOWN = "Shutting down: "
"""In the program's refusal while AWS still shows a machine that is lost."""

Say = Callable[[str], object]

AT_ONCE = 4
"""Parallel starts of the engine to read tags; each uses a processor for half a second."""

_KNOWN = ("from $PATH at",)
"""The engine repeats this message for every plugin that was not downloaded."""

GONE_SECONDS = 30
"""Seconds for which AWS may still show what was deleted."""

SHOWN = 10
"""Maximum number of remaining resources that a message names."""


@dataclass(frozen=True)
class Entry:
    """A branch's stack, as recorded in the backend."""

    stack: str
    mark: Mark | None
    """None if its tags are missing or unreadable."""
    trouble: str
    """The reason; otherwise empty."""
    resources: int | None
    """Includes resources that cost nothing, such as steps on hosts; None if the backend does not count them."""
    updated: datetime | None
    locked: bool | None
    """None if this backend does not show it."""

    def expired(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.mark is not None and self.mark.expires <= now

    def json(self, now: datetime) -> dict[str, Any]:
        """For programs; times are RFC 3339, spans seconds."""
        mark = self.mark
        return {
            "stack": self.stack,
            "branch": mark.branch if mark else None,
            "commit": mark.commit if mark else None,
            "expires": stack_tags.written(mark.expires) if mark else None,
            "expiresInSeconds": int((mark.expires - now).total_seconds()) if mark else None,
            "resources": self.resources,
            "lastUpdate": stack_tags.written(self.updated) if self.updated else None,
            "locked": self.locked,
            "trouble": self.trouble,
        }


@dataclass(frozen=True)
class Up:
    """The result of `up`."""

    stack: str
    mark: Mark
    created: bool
    """Whether the stack did not exist before."""
    changes: dict[str, int]
    """How many resources were created, updated and so on, of those with a provider."""
    outputs: dict[str, Any]
    """Outputs of the program; secret ones are `[secret]`."""


@dataclass(frozen=True)
class Sweep:
    """The result of `sweep`, or what it would do."""

    removed: list[Entry] = field(default_factory=list)
    failed: list[tuple[Entry, str]] = field(default_factory=list)
    """Stacks that could not be removed, and the reasons."""
    kept: list[Entry] = field(default_factory=list)
    orphans: "list[Orphans]" = field(default_factory=list)
    """AWS resources of stacks that were kept, which are missing from their states."""


class Stacks:
    """The stacks of branches in the backend that `pulumi` is logged in to.

    `say` receives lines of progress. `run` is the program, `content` the content of Pulumi.ephemeral.yaml.
    """

    def __init__(
        self,
        engine: Engine,
        say: Say,
        *,
        run: auto.PulumiFn = program,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self._engine = engine
        self._say = say
        self._run = run
        self._content = content

    # up

    def up(
        self,
        branch: str,
        *,
        ttl: timedelta,
        commit: str,
        changes: Sequence[str],
        now: datetime,
        start: starts.From = starts.NOTHING,
    ) -> Up:
        """Create or update the branch's stack, to expire `ttl` after `now`. `changes` are `KEY=VALUE`; `start` is where
        its jobs start from.

        Raises UsageError, LockedError, BranchesError; what was created until then stays, and has its tags.
        """
        name = names.stack(branch)
        if (REPO / f"Pulumi.{name}.yaml").exists():
            raise BranchesError(
                f"branch {branch!r}: its stack would be {name}, but Pulumi.{name}.yaml belongs to a long-lived stack: "
                "rename one of them"
            )
        mark = Mark(names.label(branch), commit, now + ttl)
        content = self._configuration(name, mark, changes)
        asked = start.asked(starts.declared(content))
        with reported(name, "look at"), recorded(self._engine) as workspace:
            found = self._find(workspace, name)
            state = workspace.export(name) if found else {}
            tags = _tags(workspace, name) if found else {}
        if found:
            _check_owner(name, mark.branch, tags, state)
            content = configuration.without_encryption(content) if state.get("resources") else content
        kept = starts.started(state)
        new = starts.unstarted(asked, kept, self._say)
        if start.stack:
            new = self._taken(start.stack, name, new)
        content = starts.configured(content, {**kept, **new})
        # Here, so that a stack can be removed where the program cannot even be imported
        from branches import capacity

        refused = capacity.Refused()
        recorder = Recorder(on_step=self._step, on_warning=self._say, on_event=refused.event, known=_KNOWN)
        self._say(
            f"{name}: {'updating' if found else 'creating'} the stack, expires {stack_tags.written(mark.expires)}"
        )
        with (
            reported(name, "update" if found else "create", recorder),
            opened(name, content, create=not found, engine=self._engine, run=self._run) as stack,
        ):
            self._look_up(stack, content, new, created=not found)
            # Before the first resource is created, so that the stack can be found however its `up` ends
            _set_tags(stack, mark, tags)
            self._settle(stack)
            capacity.up(stack, content, refused, self._say, recorder)
            outputs = stack.outputs()
        done = [step.kind for step in recorder.found.done if step.kind not in ("same", "read")]
        return Up(name, mark, not found, {kind: done.count(kind) for kind in sorted(set(done))}, outputs)

    def _configuration(self, name: str, mark: Mark, changes: Sequence[str]) -> dict[str, Any]:
        content, schema = self._content, read_yaml(REPO / "Pulumi.yaml")["config"]
        return configuration.of_stack(
            read_yaml(FILE) if content is None else content,
            stack=name,
            expires=stack_tags.written(mark.expires),
            changes=changes,
            schema=schema,
        )

    def _taken(self, source: str, name: str, jobs: Mapping[str, str]) -> dict[str, str]:
        """A savepoint of each of the jobs of the stack `source`, which continue."""
        from branches import savepoints  # only this asks hosts

        if source == name:
            raise UsageError(f"--from-stack {source}: that is the branch's own stack: expected another one")
        if not jobs:
            return {}
        with reported(source, "look at"), recorded(self._engine) as workspace:
            state = workspace.export(source, secrets=True)
        return savepoints.taken(source, state, jobs, self._say)

    def _look_up(self, stack: Stack, content: Mapping[str, Any], states: Mapping[str, str], *, created: bool) -> None:
        """Look up what the jobs shall start from; otherwise the stack that was created for this is removed again."""
        if not states:
            return
        from branches import snapshots  # only this needs boto3

        try:
            snapshots.check(stack, content["config"], states, self._say)
        except BaseException:
            if created:
                stack.pulumi("stack", "rm", "--yes", "--remove-backups")
            raise

    def _settle(self, stack: Stack) -> None:
        """Continue without what a killed run has left pending."""
        try:
            found = pending.settle(stack)
        except BusyError as error:
            raise LockedError(f"{error}. Wait until that run has ended, then run the same command again") from None
        except OpsError as error:
            raise BranchesError(str(error)) from None
        for line in found.lines():
            self._say(f"{stack.name}: {line}")

    # down, sweep

    def down(self, branch: str) -> str:
        """Destroy the resources of the branch's stack and remove it, using only its state. Returns its name, or "" if
        there is no such stack. Raises as `up` does.
        """
        name = names.stack(branch)
        with reported(name, "look at"), recorded(self._engine) as workspace:
            if not self._find(workspace, name):
                self._say(f"{name}: there is no such stack: nothing to do for branch {branch!r}")
                return ""
            state = workspace.export(name)
            _check_owner(name, names.label(branch), _tags(workspace, name), state, removing=True)
            self._remove(workspace, name, state)
        return name

    def sweep(self, *, now: datetime, dry_run: bool = False) -> Sweep:
        """Remove every expired stack of a branch; after a failure continue with the next."""
        result = Sweep()
        for entry in self.list():
            if entry.mark is None:
                result.failed.append((entry, entry.trouble))
            elif not entry.expired(now):
                result.kept.append(entry)
                result.orphans.extend(self._orphans_of(entry))
            elif dry_run:
                result.removed.append(entry)
            else:
                self._sweep(entry, now, result)
        return result

    def _sweep(self, entry: Entry, now: datetime, result: Sweep) -> None:
        try:
            with reported(entry.stack, "look at"), recorded(self._engine) as workspace:
                if not self._find(workspace, entry.stack):
                    return  # removed by another `down`
                # An `up` may have renewed it since the stacks were listed
                mark = stack_tags.read(entry.stack, _tags(workspace, entry.stack))
                if mark.expires > now:
                    result.kept.append(entry)
                    return
                self._remove(workspace, entry.stack, workspace.export(entry.stack))
        except BranchesError as error:
            if error.code == INTERRUPTED:
                raise
            self._say(str(error))
            result.failed.append((entry, str(error)))
        else:
            result.removed.append(entry)

    def _remove(self, workspace: Workspace, name: str, state: Mapping[str, Any]) -> None:
        if _resources(state) or _pending(state):
            self._say(f"{name}: destroying the stack's resources")
            recorder = Recorder(on_step=self._step, on_warning=self._say, known=_KNOWN)
            stack = Stack(name, workspace)
            try:
                with reported(name, "destroy", recorder):
                    self._settle(stack)
                    stack.destroy(recorder)
            except LockedError:
                raise
            except BranchesError as error:
                raise self._left(workspace, name, error) from None
        if found := self._remaining(name, state):
            raise BranchesError(
                f"stack {name} is destroyed, but not everything on AWS:\n{found.text()}.\nThe stack and its tags stay: "
                "delete these resources, then run the same command again, or leave it to `sweep`"
            )
        with reported(name, "remove"):
            workspace.pulumi("stack", "rm", "--yes", "--remove-backups", name)
        self._say(f"{name}: removed")

    def _remaining(self, name: str, state: Mapping[str, Any]) -> "Orphans | None":
        """What AWS still has of a stack that is destroyed; `state` is the one before. None if there is nothing."""
        end = time.monotonic() + GONE_SECONDS
        while found := self._orphans(name, state, {}):
            if time.monotonic() > end:
                return found
            time.sleep(5)  # AWS shows for some seconds what was deleted
        return None

    def _orphans_of(self, entry: Entry) -> "list[Orphans]":
        """The orphans of a stack that is kept. Not of a locked one: its state misses what a running `up` has just
        created.
        """
        name = entry.stack
        if entry.locked:
            return []
        with reported(name, "look at"), recorded(self._engine) as workspace:
            state = workspace.export(name)
        if entry.locked is False:
            found = self._orphans(name, state, state)
            return [found] if found else []
        if on_aws(state):
            self._say(
                f"{name}: not searched for AWS resources that are missing from its state: this backend does not show "
                "whether an `up` is running, which has just created them. When none is: `python -m ops orphans --stack "
                f"{name}`"
            )
        return []

    def _orphans(self, name: str, state: Mapping[str, Any], now: Mapping[str, Any]) -> "Orphans | None":
        """AWS resources of a stack that are missing from the state `now`; the provider is in `state`."""
        if not on_aws(state):
            return None
        from ops.aws import Aws  # existing hosts do not need it

        try:
            found = Aws(name, state).orphans(now)
        except OpsError as error:
            self._say(f"{name}: what AWS has of it could not be compared with its state: {error}")
            return None
        return found if found.found else None

    def _left(self, workspace: Workspace, name: str, error: BranchesError) -> BranchesError:
        """The error, with the remaining resources and what to do about them."""
        if error.code == INTERRUPTED:
            return error
        left: list[str] = []
        others = ""
        with contextlib.suppress(auto.CommandError, ValueError):
            state = workspace.export(name)
            left = _resources(state)
            others = self._attached(name, state, str(error))
        said = BranchesError(
            f"{error}\n{others}{len(left)} resources of stack {name} are left: {some(left, SHOWN)}. The stack and its "
            "tags stay: fix the cause and run the same command again, or leave it to `sweep`. For resources that no "
            f"longer exist: `pulumi refresh --stack {name}`, or `pulumi state delete URN --stack {name}`, then the "
            "command again"
        )
        said.code = error.code
        return said

    def _attached(self, name: str, state: Mapping[str, Any], error: str) -> str:
        """What of others keeps the stack's network, if an error says that something does."""
        if not on_aws(state):
            return ""
        from ops.attachments import VIOLATION, attachments  # existing hosts do not need it
        from ops.aws import Aws

        if VIOLATION not in error:
            return ""
        try:
            found = attachments(name, Aws(name, state), state)
        except OpsError as unknown:
            return f"what keeps its network is unknown: {unknown}\n"
        return f"{found.text()}.\n" if found.found else ""

    # list

    def list(self) -> list[Entry]:
        """The stacks of branches, sorted by name, including those with unreadable tags."""
        with reported("", "list"), recorded(self._engine) as workspace:
            found = [it for it in workspace.list_stacks() if _plain(it.name).startswith(names.PREFIX)]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                entries = list(pool.map(lambda it: _entry(it, workspace), found))
        return sorted((it for it in entries if it), key=lambda it: it.stack)

    @staticmethod
    def _find(workspace: Workspace, name: str) -> bool:
        return any(_plain(it.name) == name for it in workspace.list_stacks())

    # Messages

    def _step(self, step: Step) -> None:
        self._say(f"{step.name}: {step.past}, {stack_tags.duration(timedelta(seconds=step.ended - step.began))}")


@contextlib.contextmanager
def reported(name: str, what: str, recorder: Recorder | None = None) -> Iterator[None]:
    """Turn an error of the engine during the operation `what` into one that says what to do next."""
    try:
        yield
    except auto.CommandError as error:
        raise explained(name, what, error, recorder.found.errors if recorder else ()) from None
    except KeyboardInterrupt:
        raise _interrupted(name, what) from None


def explained(name: str, what: str, error: auto.CommandError, errors: Sequence[str] = ()) -> BranchesError:
    """The error for a failed operation `what` of the engine, with what to do about it."""
    printed = stderr(error)
    if isinstance(error, auto.ConcurrentUpdateError):
        return LockedError(
            f"stack {name} is locked: {_holder(printed)}.\nWait until that run has ended. If it was killed and no "
            f"longer exists: `pulumi cancel --yes --stack {name}`, then the same command again"
        )
    if isinstance(error, auto.StackAlreadyExistsError):
        return LockedError(
            f"stack {name}: another run has just created it; wait for that run, then run the same command again"
        )
    if isinstance(error, auto.StackNotFoundError):
        return BranchesError(
            f"stack {name}: this backend has none (`pulumi whoami --verbose` shows the backend). Create a long-lived "
            f"stack once with `pulumi stack init {name}`, that of a branch with `up`"
        )
    said = "\n".join(errors) or printed or str(error)
    if SHUTTING_DOWN in said:
        return LockedError(f"stack {name} cannot be worked on at the moment:\n{said}")
    target = f"stack {name}" if name else "the stacks"
    return BranchesError(f"pulumi cannot {what} {target}:\n{said}")


def _interrupted(name: str, what: str) -> BranchesError:
    error = BranchesError(
        f"interrupted in: {what} {name}\nCompleted operations are in the state, and the stack keeps its tags: the same "
        "command continues, `down` removes the stack"
    )
    error.code = INTERRUPTED
    return error


def _holder(printed: str) -> str:
    """Who holds the lock, if the backend says so, and whether that process still exists, if it is on this machine."""
    match = re.search(r"created by (\S+)@(\S+) \(pid (\d+)\) at (\S+)", printed)
    if not match:
        return "another update is under way"
    user, host, pid, since = match.groups()
    gone = host == os.uname().nodename and not Path(f"/proc/{pid}").exists()
    return f"by {user} on {host}, process {pid}{', which no longer exists' if gone else ''}, since {since}"


def _check_owner(
    name: str, label: str, tags: Mapping[str, str], state: Mapping[str, Any], *, removing: bool = False
) -> None:
    """Refuse a stack that does not belong to this branch."""
    if not stack_tags.ours(tags):
        # `up` tags a stack before it creates the first resource: if it was killed before, the stack is empty
        if not removing and not _resources(state) and not _pending(state):
            return
        raise BranchesError(
            f"stack {name} exists, and has no tag {stack_tags.EPHEMERAL}=true: `up` did not create it, or somebody "
            f"removed its tags. Nothing was changed. If it is the stack of this branch: `pulumi stack tag set "
            f"{stack_tags.EPHEMERAL} true --stack {name}`, the same for {stack_tags.BRANCH} with the branch's name and "
            f"{stack_tags.EXPIRES} with a time, then the same command again; if not, remove or rename it"
        )
    if tags.get(stack_tags.BRANCH) != label:
        raise BranchesError(
            f"stack {name} belongs to the branch {tags.get(stack_tags.BRANCH, '')!r} by its tag {stack_tags.BRANCH}, "
            f"not to {label!r}. Nothing was changed: rename the branch"
        )


def _entry(summary: auto.StackSummary, workspace: Workspace) -> Entry | None:
    """The stack; None if it has been removed meanwhile. A stack whose tags cannot be read must not hide the others."""
    mark, trouble, name = None, "", _plain(summary.name)
    try:
        mark = _mark(name, _tags(workspace, summary.name))
    except auto.StackNotFoundError:
        return None
    except auto.CommandError as error:
        trouble = str(explained(name, "read the tags of", error))
    except BranchesError as error:
        trouble = str(error)
    updated = summary.last_update.replace(tzinfo=UTC) if summary.last_update else None
    return Entry(name, mark, trouble, summary.resource_count, updated, _locked(summary))


def _mark(name: str, tags: Mapping[str, str]) -> Mark:
    """The tags of a branch's stack. Raises BranchesError if it has none, or unreadable ones."""
    if not stack_tags.ours(tags):
        raise BranchesError(
            f"stack {name} has the name of a branch's stack and no readable tag {stack_tags.EPHEMERAL}=true: somebody "
            "else created it, an `up` was killed at its beginning, or the tags are lost. It is left alone. `up` of its "
            "branch takes it over if it is empty, and otherwise says what to do"
        )
    return stack_tags.read(name, tags)


def _locked(summary: auto.StackSummary) -> bool | None:
    if summary.update_in_progress is not None:
        return bool(summary.update_in_progress)
    # Of the backends without a service only a folder can be read without credentials
    url = urlsplit(os.environ.get("PULUMI_BACKEND_URL", ""))
    if url.scheme != "file":
        return None
    folder = Path(f"{url.netloc}{url.path}").expanduser() / ".pulumi" / "locks" / "organization" / PROJECT
    return any((folder / _plain(summary.name)).glob("*.json"))


def _set_tags(stack: Stack, mark: Mark, present: Mapping[str, str]) -> None:
    for key, value in mark.tags().items():
        if present.get(key) != value:
            # A branch's name may begin with a dash
            stack.pulumi("stack", "tag", "set", "--", key, value)


def _tags(workspace: Workspace, name: str) -> dict[str, str]:
    return dict(json.loads(workspace.pulumi("stack", "tag", "ls", "--json", "--stack", name)) or {})


def _resources(state: Mapping[str, Any]) -> list[str]:
    return [_name(it) for it in state.get("resources") or [] if it["type"] != "pulumi:pulumi:Stack"]


def _pending(state: Mapping[str, Any]) -> list[str]:
    return [f"{_name(it['resource'])} ({it['type']})" for it in state.get("pending_operations") or []]


def _name(resource: Mapping[str, Any]) -> str:
    return f"{resource['type']} {resource['urn'].rpartition('::')[2]}"


def _plain(name: str) -> str:
    """Without the organization."""
    return name.rpartition("/")[2]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one of Pulumi's files. Raises BranchesError."""
    try:
        return dict(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise BranchesError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise BranchesError(f"{path} is not one of Pulumi's files: {error}") from None


def head() -> str:
    """The commit of this checkout; empty if git does not report it."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=REPO, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
