"""TLS and front door of a lab: on in a new one, as before in one that has a cluster, and the password is made once."""

from pathlib import Path

import bcrypt

from lab import __main__ as commands
from lab import front_door
from lab.lab import Lab


def test_a_lab_is_new_until_it_has_a_stack(tmp_path: Path) -> None:
    lab = Lab("x", tmp_path)
    lab.dir.mkdir(parents=True)
    assert commands._is_new(lab) and not front_door.is_on(lab)
    (lab.dir / "pulumi" / "project").mkdir(parents=True)
    assert not commands._is_new(lab), "one of an earlier version stays without"


def test_the_password_is_made_once_and_only_its_hash_is_configured(tmp_path: Path) -> None:
    lab = Lab("x", tmp_path)
    lab.dir.mkdir(parents=True)
    assert front_door.configuration(lab) == {}
    front_door.switch(lab, True)
    file = front_door.folder(lab) / "password"
    password = file.read_text().strip()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    found = front_door.configuration(lab)
    assert found["flink:tls"] is found["flink:frontDoor"] is True
    known = found[front_door.USERS][front_door.USER]
    assert bcrypt.checkpw(password.encode(), known["passwordHash"].encode()) and password not in str(found)
    front_door.switch(lab, True)
    assert file.read_text().strip() == password and front_door.configuration(lab) == found
    front_door.switch(lab, False)
    assert not front_door.is_on(lab) and [*file.parent.iterdir()] == []
