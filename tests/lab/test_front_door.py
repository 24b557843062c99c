"""The front door of the lab that all these tests use: login, rights, audit, and the leader. The same configuration with
hostile requests: tests/engine/test_front_door.py.
"""

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection

import pytest

from components import ports
from drill.records import RecordsJob
from lab import front_door
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from ops.password import hashed
from tests.lab.commands import finish
from tests.measured import Measured

VIEWER = "viewers-password-in-a-test"
PORT = ports.FRONT_DOOR.number


@dataclass
class Doors:
    """The front doors of a lab, one on each JobManager's host, and who may log in there."""

    cluster: Cluster
    users: dict[str, str]
    """Name → password."""

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(front_door.folder(self.cluster.lab) / "authorities.pem"))

    def ask(self, host: str, method: str, path: str, who: str = "", password: str = "") -> tuple[int, str]:
        """Status and text of an answer."""
        address = self.cluster.lab.host(host).address
        connection = HTTPSConnection(address, PORT, context=self.context(), timeout=60)
        login = base64.b64encode(f"{who}:{password or self.users.get(who, '')}".encode()).decode()
        try:
            connection.request(method, path, headers={"Authorization": f"Basic {login}"} if who else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def audit(self, host: str) -> list[tuple[str, str, str, int]]:
        """Who, method, path and status of the lines on a host."""
        text = self.cluster.lab.ssh(host, "sudo -n cat /var/log/flink-frontdoor/audit.jsonl").stdout
        assert not any(password in text for password in self.users.values())
        lines = [json.loads(line) for line in text.splitlines()]
        return [
            (it["user_id"], it["request"]["method"], it["request"]["uri"].partition("?")[0], it["status"])
            for it in lines
        ]


@pytest.fixture(scope="module")
def doors(cluster: Cluster) -> Iterator[Doors]:
    """A second user, who only reads, comes with an `up`, and leaves with another. Neither concerns a daemon."""
    own = front_door.configuration(cluster.lab)[front_door.USERS]
    password = (front_door.folder(cluster.lab) / "password").read_text().strip()
    before = cluster.processes()
    try:
        cluster.overrides[front_door.USERS] = {**own, "vic": {"passwordHash": hashed(VIEWER, 10), "role": "viewer"}}
        assert set(cluster.stack.up().changed()) == {"jm-0-front-door", "jm-1-front-door"}
        assert cluster.processes() == before
        yield Doors(cluster, {front_door.USER: password, "vic": VIEWER})
    finally:
        del cluster.overrides[front_door.USERS]
        cluster.stack.up()


def test_the_lab_says_where_its_password_is_and_not_what_it_is(cluster: Cluster, printed: dict[str, str]) -> None:
    place = front_door.folder(cluster.lab) / "password"
    assert printed["up"].count(str(place)) == 1
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.read_text().strip() not in printed["up"]
    code, said = finish(60, "status", "--name", cluster.lab.name)
    assert code == 0 and said.count("flink-frontdoor active") == 2
    assert all(f"https://{cluster.lab.host(name).address}" in said for name in cluster.hosts("jobmanager")), said


def test_who_has_a_login_gets_in_and_a_viewer_changes_nothing(doors: Doors) -> None:
    for host in ("jm-0", "jm-1"):
        assert doors.ask(host, "GET", "/")[0] == doors.ask(host, "GET", "/overview", "lab", "wrong")[0] == 401
        assert doors.ask(host, "GET", "/overview", "nobody", "x")[0] == 401
        status, text = doors.ask(host, "GET", "/", "vic")
        assert status == 200 and "Apache Flink Web Dashboard" in text
        assert json.loads(doors.ask(host, "GET", "/overview", "vic")[1])["taskmanagers"] == 2
        assert doors.ask(host, "POST", "/jars/upload", "vic")[0] == 403
        assert doors.ask(host, "DELETE", "/cluster", "lab")[0] == 403
        assert ("vic", "POST", "/jars/upload", 403) in doors.audit(host)


def test_the_door_stays_open_while_the_files_of_its_audit_are_rotated(doors: Doors) -> None:
    """Caddy calls chown for each new file, which its unit does not allow."""
    lab, folder = doors.cluster.lab, "/var/log/flink-frontdoor"
    for name, who in (("strangers", ""), ("audit", "vic")):
        rotate(doors, f"{folder}/{name}.jsonl", who)
        unit = lab.ssh("jm-0", "systemctl show -p NRestarts -p ActiveState flink-frontdoor").stdout
        assert sorted(unit.split()) == ["ActiveState=active", "NRestarts=0"]
        lab.ssh("jm-0", f"sudo -n sh -c 'rm {folder}/{name}-*'")


def rotate(doors: Doors, file: str, who: str) -> None:
    """Make Caddy begin another file, and wait until it has packed the full one."""
    lab = doors.cluster.lab
    # As large as it may be: Caddy looks at the size when it opens the file
    lab.ssh("jm-0", f"sudo -n truncate -s 52428700 {file} && sudo -n systemctl restart flink-frontdoor")
    wait_for("an answer", 60, lambda: doors.ask("jm-0", "POST", "/jars/upload", who)[0] in (401, 403))
    packed = f"sudo -n sh -c 'ls {file.removesuffix('.jsonl')}-*.gz'"
    wait_for("the packed file", 60, lambda: lab.ssh("jm-0", packed, check=False).returncode == 0)


def test_only_tls_with_the_own_authority_and_name(doors: Doors) -> None:
    address = doors.cluster.lab.host("jm-0").address
    for context, name, refused in (
        (doors.context(), "tm-0", "Hostname mismatch"),
        (ssl.create_default_context(), address, "unable to get local issuer"),
    ):
        with (
            socket.create_connection((address, PORT), 30) as plain,
            pytest.raises(ssl.SSLCertVerificationError, match=refused),
        ):
            context.wrap_socket(plain, server_hostname=name)
    with socket.create_connection((address, PORT), 30) as plain:
        plain.sendall(b"GET /overview HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.0 400" in plain.recv(4096)
    with pytest.raises(TimeoutError):
        socket.create_connection((address, ports.number("rest")), 3)


def test_an_operator_works_through_every_door_and_it_follows_the_leader(doors: Doors, measured: Measured) -> None:
    cluster = doors.cluster
    job = RecordsJob.start(cluster, "front-door", parallelism=1)  # uploads a jar, and runs it
    try:
        audit = [line for host in ("jm-0", "jm-1") for line in doors.audit(host)]
        assert (front_door.USER, "POST", "/jars/upload", 200) in audit
        assert [line for line in audit if line[:2] == (front_door.USER, "POST") and line[2].endswith("/run")]
        for host in ("jm-0", "jm-1"):
            for worker in cluster.hosts("taskmanager"):
                status, text = doors.ask(host, "GET", f"/taskmanagers/{worker}/log", "vic")
                assert status == 200 and "TaskManagerRunner" in text
        leader = cluster.leader()
        (standby,) = {"jm-0", "jm-1"} - {leader}
        checkpoint = job.checkpoint() or 0
        began = time.monotonic()
        cluster.lab.kill(leader, "flink-jobmanager")
        # Through the door on the host whose JobManager died, too. A request waits there, as long as nobody leads
        for host in (standby, leader):
            path = f"/jobs/{job.job_id}"
            wait_for(f"the job, by {host}", 300, lambda host=host, path=path: _runs(doors, host, path))  # type: ignore[misc]
            measured(
                f"front door of {host}: shows the job {time.monotonic() - began:.1f} s after its leader was killed"
            )
        assert cluster.leader() == standby
        job.seconds_until_restored(began, checkpoint, 300)
        # Whichever door is asked: only the JobManager that was asked for a savepoint knows it
        status, text = doors.ask(leader, "POST", f"/jobs/{job.job_id}/savepoints", front_door.USER)
        assert status == 202, text
        path = f"/jobs/{job.job_id}/savepoints/{json.loads(text)['request-id']}"
        wait_for("the savepoint", 300, lambda: '"COMPLETED"' in doors.ask(standby, "GET", path, "vic")[1])
    finally:
        job.cancel()
        cluster.wait_until_whole()


def _runs(doors: Doors, host: str, path: str) -> bool:
    try:
        status, text = doors.ask(host, "GET", path, "vic")
    except OSError as error:
        raise LabError(f"the door of {host} does not answer: {error}") from None
    return status == 200 and json.loads(text)["state"] == "RUNNING"
