"""The scripts on a host under the real engine: what runs again when one changes, and what a step makes of a host that
has none of them, or others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pulumi
import pytest
from pulumi import ResourceOptions, automation

from automation.steps import Steps
from components import scripts, sources
from components.host import Host, Role, Ssh
from components.remote import script_text, scripts_on, step
from stand_ins.builds import programs
from stand_ins.plugins import COMMAND
from tests.engine_stack import EngineStack
from tests.host_steps import read_scripts_anew
from tests.ssh_server import SshServer

LIBRARY = "main() { apply; }\n"
STEPS = ("one", "two")


class Site:
    """A stack with a host and two steps on it, which print a word of the script and their value."""

    def __init__(self, stack: EngineStack, ssh: SshServer, folder: Path) -> None:
        self.stack, self.ssh, self.folder = stack, ssh, folder
        self.machine = "i-1"
        self.values = dict.fromkeys(STEPS, "a")
        for name in scripts.CLEANS:
            (folder / name).touch()
        self.script("lib", LIBRARY)
        for name in STEPS:
            self.script(name, f'apply() {{ echo "{name} $value"; }}\n')

    def script(self, name: str, text: str) -> None:
        (self.folder / f"{name}.sh").write_text(text)

    @property
    def file(self) -> Path:
        """What the host has."""
        assert self.ssh.home
        return self.ssh.home / ".flink-scripts-h-0"

    def up(self) -> Steps:
        read_scripts_anew()
        return self.stack.up(self._program)

    def changed(self) -> dict[str, str]:
        """What another `up` does, by name."""
        return {name: kind for (_, name), kind in self.up().changes().items() if name.startswith("h-0-")}

    def said(self) -> list[str]:
        return [self.stack.state()[f"h-0-{name}"]["outputs"]["stdout"] for name in STEPS]

    def refused(self) -> str:
        """What the engine says of an `up` that fails."""
        with pytest.raises(automation.CommandError):
            self.up()
        return " ".join(self.stack.printed.split())

    def _program(self) -> None:
        ssh = Ssh(
            address="127.0.0.1",
            user="no-such-user",
            private_key=pulumi.Output.secret(self.ssh.private_key),
            host_key=self.ssh.host_key_line,
            port=self.ssh.port,
        )
        host = Host(name="h-0", role=Role.CLIENT, address="127.0.0.1", ssh=ssh, machine=self.machine)
        after: pulumi.Resource = scripts_on(host, ResourceOptions())
        for name in STEPS:
            text = script_text(host, f"{name}.sh", {"value": self.values[name]})
            after = step(host, name, text, opts=ResourceOptions(depends_on=after))


@pytest.fixture
def site(tmp_path: Path, ssh: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """bash leaves `~USER` as it is for a user that is not there, so the home is a folder of that name where a command
    begins.
    """
    for name in ("bin", "stack", "scripts", "begin/~no-such-user"):
        (tmp_path / name).mkdir(parents=True)
    sudo = tmp_path / "bin/sudo"
    sudo.write_text(f'#!/bin/sh\ncd {tmp_path}/begin && shift && exec "$@"\n')
    sudo.chmod(0o755)
    plugin = COMMAND.install(tmp_path / "plugins")
    path = [str(sudo.parent), str(plugin.parent), str(programs.pulumi().parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.setattr(sources, "SCRIPTS", tmp_path / "scripts")
    ssh.home = tmp_path / "begin/~no-such-user"
    yield Site(EngineStack(tmp_path / "stack"), ssh, tmp_path / "scripts")
    read_scripts_anew()


def test_a_changed_script_is_a_change_of_the_steps_that_use_it(site: Site) -> None:
    assert site.up().changes() and site.said() == ["one a", "two a"]
    before = site.ssh.connections
    assert site.changed() == {} and site.ssh.connections == before, "nothing to do: no connection"
    site.script("two", '# A comment changes nothing\napply() { echo "two $value"; }\n')
    assert site.changed() == {}
    site.script("two", 'apply() { echo "second $value"; }\n')
    assert site.changed() == {"h-0-scripts": "update", "h-0-two": "update"}
    assert site.said() == ["one a", "second a"]
    site.script("lib", f'{LIBRARY}echo "all"\n')
    assert site.changed() == {"h-0-scripts": "update", "h-0-one": "update", "h-0-two": "update"}
    assert site.said() == ["all\none a", "all\nsecond a"]
    # A step of which only a value changes finds what it needs
    site.values["one"] = "b"
    assert site.changed() == {"h-0-one": "update"} and site.said()[0] == "all\none b"
    assert "apply()" not in site.stack.state()["text"], "the state has no script"


def test_another_machine_has_them_before_its_steps(site: Site) -> None:
    site.up()
    site.file.unlink()
    site.machine = "i-2"
    assert site.changed() == {"h-0-scripts": "replace", "h-0-one": "update", "h-0-two": "update"}
    assert site.file.read_text() == scripts.whole()


def _without(file: Path) -> None:
    file.unlink()


def _half(file: Path) -> None:
    """Up to the middle of the script."""
    text = file.read_text()
    file.write_text(text[: text.index('two $value"')])


def _other(file: Path) -> None:
    text = file.read_text()
    assert 'echo "two' in text
    file.write_text(text.replace('echo "two', 'touch ../../hacked; echo "two'))


@pytest.mark.parametrize("harm", [_without, _half, _other], ids=["missing", "half-copied", "tampered with"])
def test_a_step_runs_nothing_else_than_what_is_expected(site: Site, harm: Callable[[Path], None]) -> None:
    site.up()
    harm(site.file)
    site.values["two"] = "b"
    for _ in range(2):  # nobody repairs it
        assert (
            "h-0: ~no-such-user/.flink-scripts-h-0: expected the scripts of this step; `repair: true`" in site.refused()
        )
    assert not (site.folder.parent / "hacked").exists()
    # As `repair: true` does (components/flink/cluster.py)
    site.machine = "repair"
    site.up()
    assert site.said() == ["one a", "two b"] and site.changed() == {}


def test_a_copy_that_fails_is_made_again_by_the_next_up(site: Site) -> None:
    site.up()
    home, site.ssh.home = site.ssh.home, site.folder / "nowhere"
    site.script("two", 'apply() { echo "second $value"; }\n')
    assert "h-0-scripts" in site.refused()
    site.ssh.home = home
    assert site.changed() == {"h-0-scripts": "update", "h-0-two": "update"}
    assert site.said() == ["one a", "second a"]
