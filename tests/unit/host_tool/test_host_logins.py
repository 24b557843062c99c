"""The proof that the daemons' user can log in, against hosts that are not there."""

from pathlib import Path

import pytest

from host_tool.hosts import Hosts
from host_tool.logins import Logins
from host_tool.output import Failure
from tests.unit.host_tool.world import World, standing


def test_hosts_that_refuse_the_login_are_all_named_with_what_ssh_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["jm-0", "tm-0", "tm-1"]
    with standing(World(["jm-0"], names[1:]), tmp_path, monkeypatch) as world:
        logins = lambda: Logins({"host": "jm-0", "hosts": names, "user": "flink"}, Hosts("flink", 30), world.clock)  # noqa: E731
        logins().apply()
        logins().check()
        assert capfd.readouterr() == ("", "jm-0: logins: flink can log in to 3 hosts\n")
        for name in names[1:]:
            world.daemons[name].reached = False
        said = "ssh: connect to host: No route to host"
        with pytest.raises(Failure, match=f"as flink to 2 hosts .tm-0: {said}; tm-1: {said}.*AllowGroups.*sshdPort"):
            logins().apply()
        logins().check()
        assert capfd.readouterr().out == "".join(
            f"! login to {name}\texpected flink to be admitted, found: {said}\n" for name in names[1:]
        )


def test_an_sshd_that_refuses_for_a_moment_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(World(["jm-0"], ["tm-0"]), tmp_path, monkeypatch) as world:
        world.daemons["tm-0"].reached = False
        world.clock.after(5, lambda: setattr(world.daemons["tm-0"], "reached", True))
        Logins({"host": "jm-0", "hosts": ["jm-0", "tm-0"], "user": "flink"}, Hosts("flink", 30), world.clock).apply()
        assert [entry for entry in world.log if entry.startswith("jm-0")] == ["jm-0 --help"], "those that work are not"


def test_a_login_that_is_denied_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing(World(["jm-0"], ["tm-0", "tm-1"]), tmp_path, monkeypatch) as world:
        world.daemons["tm-0"].denied = True
        world.daemons["tm-1"].reached = False
        logins = Logins({"host": "jm-0", "hosts": ["tm-0", "tm-1"], "user": "flink"}, Hosts("flink", 30), world.clock)
        expected = r"to 2 hosts \(tm-0: flink@host: Permission denied \(publickey\)\.; tm-1: ssh: connect"
        with pytest.raises(Failure, match=expected):
            logins.apply()
        assert world.log == ["tm-0 --help"]
