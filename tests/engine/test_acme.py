"""A certificate of the front door by ACME: a real Caddy with our configuration, and a real server (Pebble) that checks
that the door has the name.
"""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from components.frontdoor.component import acme_script
from components.frontdoor.settings import Acme
from stand_ins.builds import archives, programs
from tests.engine.test_front_door import Door, serving, until, users
from tests.unit.test_front_door import made
from toolbox.parallel import command

ROOT = Path(__file__).parents[2]
NAME = "flink-a.example.com"


def free_port(address: str = "127.0.0.1") -> int:
    with socket.create_server((address, 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass
class Server:
    """A running ACME server."""

    port: int
    management: int
    certificate: Path
    """Its own, for its API."""
    host: str = "localhost"

    @property
    def directory(self) -> str:
        return f"https://{self.host}:{self.port}/dir"

    def root(self) -> str:
        """The authority of what it signs, as PEM."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        with urllib.request.urlopen(f"https://localhost:{self.management}/roots/0", context=context) as answer:
            text: str = answer.read().decode()
            return text


@contextmanager
def pebble(folder: Path, door_port: int) -> Iterator[Server]:
    """An ACME server that finds every name on this machine, with the front door's port instead of 443."""
    certificate, key = made(["localhost"])
    paths = folder / "pebble.pem", folder / "pebble-key.pem"
    for path, text in zip(paths, (certificate, key), strict=True):
        path.write_text(text)
    with signing(folder, Server(free_port(), free_port(), paths[0]), paths[1], "127.0.0.1", door_port, {}) as server:
        yield server


@contextmanager
def signing(
    folder: Path, server: Server, key: Path, listen: str, door_port: int, found_at: Mapping[str, str]
) -> Iterator[Server]:
    """An ACME server that listens on an address, and finds names at these addresses (others on this machine), with the
    front door's port instead of 443. `key`: of its own certificate.
    """
    program, name_server = programs.pebble()
    names, known = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = {
        "listenAddress": f"{listen}:{server.port}",
        "managementListenAddress": f"127.0.0.1:{server.management}",
        "certificate": str(server.certificate),
        "privateKey": str(key),
        "tlsPort": door_port,
        "httpPort": 1,
        "profiles": {"default": {"description": "as usual", "validityPeriod": 7_776_000}},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    flags = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", known]
    words: list[list[str | Path]] = [
        [name_server, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", names, *flags],
        [program, "-config", folder / "pebble.json", "-dnsserver", names, "-strict"],
    ]
    running: list[subprocess.Popen[bytes]] = []
    with (folder / "pebble.log").open("wb") as log:
        try:
            # It refuses half of all nonces, as a server may
            environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "50"}
            for argv in words:
                running.append(subprocess.Popen(argv, stdout=log, stderr=log, env=environment))
            until(lambda: listens(server.port, listen), 60)
            for name, address in found_at.items():
                said = json.dumps({"host": name, "addresses": [address]}).encode()
                urllib.request.urlopen(f"http://{known}/add-a", data=said, timeout=60).close()
            yield server
        finally:
            for process in running:
                process.kill()
                process.wait()


def listens(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def served(door: Door, name: str, authority: str) -> x509.Certificate | None:
    """What the door shows to a client that asks for `name` and trusts `authority`; None if one of both refuses it."""
    context = ssl.create_default_context(cadata=authority)
    try:
        with (
            socket.create_connection(("127.0.0.1", door.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            shown = connection.getpeercert(True)
            assert shown
            return x509.load_der_x509_certificate(shown)
    except ssl.SSLError:
        return None


def certified(door: Door, name: str) -> bool:
    """What the step on a host says."""
    values = f"port={door.port} folder={door.folder} acme_name={name}"
    script = f"set -euo pipefail; source host_scripts/tls/acme.sh; {values}; certified"
    return subprocess.run(["bash", "-c", script], cwd=ROOT, check=False).returncode == 0


def reported(door: Door, java: Path, days: int) -> str:
    """What doctor says of the certificate in so many days."""
    now = int(time.time()) + days * 86_400
    values = f"storage={door.folder} user=x unit=u directory=d acme_name={NAME} java={java}"
    stubs = 'differs() { printf "%s\\n" "$2"; }; date() { [ "$*" = +%s ] && echo $now || command date "$@"; }'
    libraries = "source host_scripts/tls/ends.sh; source host_scripts/tls/acme.sh"
    script = f"set -euo pipefail; {libraries}; now={now} {values}; {stubs}; check_acme_end"
    # A time zone whose name `date` does not know
    zone = {**os.environ, "TZ": "Asia/Ho_Chi_Minh"}
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=zone, capture_output=True, text=True, check=True)
    return done.stdout


def metrics(door: Door, java: Path, folder: Path) -> dict[str, int]:
    """What the script on a host writes of the certificate."""
    folder.mkdir(exist_ok=True)
    text = acme_script(NAME, "x", str(folder), str(folder / "acme.prom"))
    told = {**os.environ, "java": str(java), "storage": str(door.folder), "TZ": "Asia/Ho_Chi_Minh"}
    subprocess.run(["bash"], input=text, env=told, text=True, check=True, timeout=120)
    (found,) = folder.iterdir()
    assert found.name == "acme.prom" and found.stat().st_mode & 0o777 == 0o644
    lines = [line for line in found.read_text().splitlines() if not line.startswith("#")]
    assert all('{certificate="front-door-acme"} ' in line for line in lines)
    return {line.partition("{")[0]: int(line.rpartition(" ")[2]) for line in lines}


def jdk(folder: Path) -> Path:
    """The one that hosts have."""
    folder.mkdir()
    command(["tar", "-xzf", archives.ensure().java.path, "-C", folder, "--strip-components=1", "--no-same-owner"])
    return folder


def write(door: Door, directory: str, **more: Any) -> None:
    acme = Acme(directory=directory, names={"jm-0": NAME}, email="flink@example.com")
    door.write(users(), acme=acme, acme_name=NAME, acme_trusted=True, **more)


def test_a_front_door_gets_a_certificate_for_its_name_and_keeps_its_own_for_others(tmp_path: Path) -> None:
    with ExitStack() as stack:
        servers: list[Server] = []

        def prepare(door: Door) -> None:
            server = stack.enter_context(pebble(tmp_path, door.port))
            (tmp_path / "acme-authorities.pem").write_bytes(server.certificate.read_bytes())
            write(door, server.directory)
            servers.append(server)

        door = stack.enter_context(serving(tmp_path, prepare))
        root, own = servers[0].root(), door.certificate.read_text()
        until(lambda: served(door, NAME, root), 60)
        found = served(door, NAME, root)
        assert found and "Pebble" in found.issuer.rfc4514_string()
        assert certified(door, NAME)
        shown = served(door, "localhost", own)
        assert shown and shown.public_bytes(Encoding.PEM).decode() == own
        assert served(door, "localhost", root) is None
        assert not certified(door, "localhost"), "that is the host's own"
        # It is valid for 90 days, and Caddy renews it when 30 are left
        java = jdk(tmp_path / "java")
        assert reported(door, java, 0) == reported(door, java, 66) == ""
        assert reported(door, java, 69).startswith("expires on 20") and "journalctl -u u" in reported(door, java, 69)
        assert reported(door, java, 91).startswith("has expired on 20")
        # The metrics say the same
        known = metrics(door, java, tmp_path / "metrics")
        assert known == {
            "flink_certificate_not_after_seconds": int(found.not_valid_after_utc.timestamp()),
            "flink_certificate_warning_seconds": int(
                (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() // 4
            ),
        }
        # An earlier server's, which nobody renews any more
        earlier = door.folder / "a" / NAME
        earlier.mkdir(parents=True)
        (earlier / f"{NAME}.crt").write_text(made([NAME], days=1)[0])
        assert reported(door, java, 66) == "" and reported(door, java, 69)
        assert metrics(door, java, tmp_path / "metrics") == known
        # The same rights by both names
        for host in (NAME, "localhost"):
            assert door.status("", "GET", "/overview", Host=host) == 401
            assert door.status("vic", "GET", "/overview", Host=host) == 200
            assert door.status("vic", "POST", "/jars/upload", Host=host) == 403


def test_a_server_that_is_away_shuts_the_door_for_its_name_only(tmp_path: Path) -> None:
    def prepare(door: Door) -> None:
        (tmp_path / "acme-authorities.pem").write_text(made(["localhost"])[0])
        write(door, f"https://localhost:{free_port()}/dir")

    with serving(tmp_path, prepare) as door:
        assert door.status("vic", "GET", "/overview") == 200
        assert served(door, NAME, door.certificate.read_text()) is None
        assert not certified(door, NAME)
        # For the alert that is one that has expired
        assert set(metrics(door, tmp_path, tmp_path / "metrics").values()) == {0}
    assert not certified(door, NAME), "nothing answers"
