"""Login by OpenID Connect at the front door: a real Caddy, a real oauth2-proxy and a real OpenID Connect server.

People log in through all redirects and forms; strangers try what they may not.
"""

import base64
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from components.balancing import ALIVE
from components.frontdoor import login as login_texts
from components.frontdoor.settings import Oidc
from stand_ins.builds import programs
from tests.engine import balancer
from tests.engine.issuer import issuing
from tests.engine.test_acme import NAME, Server, free_port, pebble, served, write
from tests.engine.test_front_door import PASSWORDS, Door, serving, until, users
from tests.engine.test_front_door import login as password_of
from tests.unit.test_front_door import JOB

SECRET = "client-secret-of-the-test"
COOKIE_SECRETS = base64.urlsafe_b64encode(b"a" * 32).decode(), base64.urlsafe_b64encode(b"b" * 32).decode()
OPERATORS, VIEWERS = "Flink: operators & admins", "flink-viewers"
PEOPLE = {
    "olga": {"email": "olga@example.com", "email_verified": True, "groups": ["all", OPERATORS]},
    "vera": {"email": "vera@example.com", "email_verified": True, "groups": [VIEWERS]},
    "nora": {"email": "nora@example.com", "email_verified": True, "groups": ["all", f"x,{OPERATORS},{VIEWERS}"]},
    "ugo": {"email": "olga@example.com", "email_verified": False, "groups": [OPERATORS]},
}
CLICKED = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


@dataclass
class World:
    """A front door, what checks its logins, and the issuer."""

    door: Door
    issuer_port: int
    balancer_port: int
    acme: Server | None = None
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.door.port}"

    @property
    def issuer(self) -> str:
        return f"https://localhost:{self.issuer_port}"

    def browser(self) -> requests.Session:
        session = requests.Session()
        session.verify = str(self.door.certificate)  # the issuer has the same
        session.trust_env = False
        return session

    def ask(
        self, method: str, target: str, who: requests.Session | None = None, /, **headers: str
    ) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return (who or self.browser()).request(
            method, self.url + target, headers=named, allow_redirects=False, timeout=60
        )

    def log_in(self, name: str, by: str = "", trusted: str = "") -> tuple[requests.Session, requests.Response]:
        """A browser after a person of this name has clicked through all of it, and the last answer. `by`: another URL
        of the door, for which the browser has this file of authorities.
        """
        browser, url = self.browser(), by or self.url
        browser.verify = trusted or browser.verify
        page = browser.get(url + "/", headers=CLICKED, timeout=60)
        assert page.url == f"{url}/oauth2/sign_in" and "Sign in with OpenID Connect" in page.text
        page = browser.get(f"{url}/oauth2/start", params={"rd": "/"}, headers=CLICKED, timeout=60)
        while page.url.startswith(f"{self.issuer}/interaction"):
            action = re.search(r'<form[^>]* action="([^"]+)"', page.text)
            assert action, page.text
            inputs = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]*value="(\w*)"', page.text))
            data = {**inputs, "login": name, "password": "x"} if "login" in page.text else inputs
            page = browser.post(urljoin(page.url, action[1]), data=data, timeout=60)
        return browser, page

    def token(self, audience: str, client: str = "flink") -> str:
        answer = self.browser().post(
            f"{self.issuer}/token",
            auth=(client, SECRET),
            data={"grant_type": "client_credentials", "scope": "rest", "resource": audience},
            timeout=60,
        )
        text: str = answer.json()["access_token"]
        return text

    def start_proxy(self, cookie_secret: str = COOKIE_SECRETS[0], **changes: str) -> None:
        """oauth2-proxy with the configuration of hosts, in which texts may be changed."""
        if old := self.running.pop("proxy", None):
            old.kill()
            old.wait()
        # systemd removes it with the directory
        (self.door.folder / "proxy.sock").unlink(missing_ok=True)
        text = login_texts.config(
            oidc(self), cluster="dev", secret=SECRET, cookie_secret=cookie_secret, authorities=True
        )
        for ours, theirs in (
            (login_texts.SOCKET, str(self.door.folder / "proxy.sock")),
            (login_texts.AUTHORITIES, str(self.door.certificate)),
            *changes.items(),
        ):
            assert ours in text
            text = text.replace(ours, theirs)
        (self.door.folder / "oauth2-proxy.toml").write_text(text)
        self.run("proxy", programs.oauth2_proxy(), "--config", self.door.folder / "oauth2-proxy.toml")
        until(lambda: self.ask("GET", "/oauth2/sign_in").status_code == 200, 60)

    def run(self, name: str, *words: str | Path) -> None:
        with (self.door.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(words, stdout=log, stderr=log)

    def log(self, name: str) -> str:
        return (self.door.folder / f"{name}.log").read_text()


def oidc(world: World) -> Oidc:
    return Oidc(
        issuer=world.issuer,
        client_id="flink",
        secret=SECRET,
        names=["localhost", NAME],
        operators=[OPERATORS],
        viewers=[VIEWERS],
        audiences=["urn:flink", "urn:short"],
    )


@contextmanager
def logging_in(folder: Path) -> Iterator[World]:
    """A front door with a login by OpenID Connect, passwords besides, and by its second name a certificate by ACME."""
    issuer_port, balancer_port = free_port(), free_port()
    with ExitStack() as stack:
        authorities: list[Server] = []

        def prepare(door: Door) -> None:
            server = stack.enter_context(pebble(folder, door.port))
            (folder / "acme-authorities.pem").write_bytes(server.certificate.read_bytes())
            authorities.append(server)
            login = login_texts.login(oidc(World(door, issuer_port, balancer_port)), door.port)
            login = replace(login, socket=f"{folder}/proxy.sock")
            write(door, server.directory, login=login)

        # Basic authentication works without oauth2-proxy: `serving` waits for it
        door = stack.enter_context(serving(folder, prepare))
        world = World(door, issuer_port, balancer_port, authorities[0])
        machine = {"sub": "ci", "groups": [OPERATORS]}
        given = {
            "host": "localhost",
            "listen": "127.0.0.1",
            "port": issuer_port,
            "certificate": str(door.certificate),
            "key": str(folder / "key.pem"),
            "client": "flink",
            "secret": SECRET,
            "redirects": [
                f"{url}/oauth2/callback"
                for url in (world.url, f"https://{NAME}:{door.port}", f"https://localhost:{balancer_port}")
            ],
            "people": PEOPLE,
            "audiences": {"urn:flink": 3600, "urn:short": 2, "urn:other": 3600},
            "tokens": {"flink": machine, "other": {**machine, "groups": [VIEWERS]}},
        }
        stack.enter_context(issuing(folder, given))
        try:
            world.start_proxy()
            yield world
        finally:
            for process in world.running.values():
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with logging_in(tmp_path_factory.mktemp("openid")) as running:
        yield running


# --- people


def arrived(world: World) -> list[tuple[str, str]]:
    found = [(each[0], each[1]) for each in world.door.arrived()]
    world.door.first.requests.clear()
    return found


@pytest.fixture(scope="module")
def sessions(world: World) -> dict[str, requests.Session]:
    """Browsers of people who have logged in."""
    found = {name: world.log_in(name) for name in ("olga", "vera", "nora")}
    assert found["olga"][1].status_code == found["vera"][1].status_code == 200
    assert json.loads(found["olga"][1].text) == {"by": world.door.first.address}
    return {name: browser for name, (browser, _) in found.items()}


def cookie_of(browser: requests.Session) -> str:
    """The session's cookie."""
    found = browser.cookies[login_texts.COOKIE]
    assert found
    return found


def test_people_have_the_role_of_their_groups(world: World, sessions: dict[str, requests.Session]) -> None:
    arrived(world)
    changes = [("POST", "/jars/upload"), ("PATCH", f"/jobs/{JOB}?mode=cancel"), ("GET", f"/jobs/{JOB}/yarn-cancel")]
    for method, target in changes:
        assert world.ask(method, target, sessions["vera"]).status_code == 403
        assert not arrived(world)
        assert world.ask(method, target, sessions["olga"]).status_code == 200
        assert arrived(world) == [(method, target)]
    for name in ("vera", "olga"):
        assert world.ask("GET", "/jobs/overview", sessions[name]).status_code == 200
        assert world.ask("DELETE", "/cluster", sessions[name]).status_code == 403
        assert world.ask("GET", "//jars", sessions[name]).status_code == 403
    assert arrived(world) == [("GET", "/jobs/overview")] * 2


def test_people_log_in_by_a_name_with_a_certificate_of_an_acme_server(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def here(host: str | bytes | None, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host == NAME else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    assert world.acme
    root, trusted = world.acme.root(), tmp_path / "trusted.pem"
    trusted.write_text(root + world.door.certificate.read_text())
    until(lambda: served(world.door, NAME, root), 60)
    by = f"https://{NAME}:{world.door.port}"
    browser, page = world.log_in("vera", by, str(trusted))
    assert (page.status_code, page.url) == (200, f"{by}/")
    assert browser.get(f"{by}/overview", timeout=60).status_code == 200
    assert browser.post(f"{by}/jars/upload", timeout=60).status_code == 403
    # Its session is of that name
    assert browser.get(f"{world.url}/overview", timeout=60).status_code == 401
    arrived(world)


def test_a_body_arrives_as_it_was_sent(world: World, sessions: dict[str, requests.Session]) -> None:
    world.door.first.requests.clear()
    body = b"x" * (20 << 20)
    answer = sessions["olga"].post(f"{world.url}/jars/upload", data=body, timeout=60)
    assert answer.status_code == 200
    assert [each[3] for each in world.door.first.requests] == [len(body)]


def test_who_has_no_group_is_refused_with_a_page(world: World, sessions: dict[str, requests.Session]) -> None:
    """Also if its group is called like several, with commas."""
    arrived(world)
    page = world.ask("GET", "/", sessions["nora"], **CLICKED)
    assert page.status_code == 403 and page.headers["Content-Type"].startswith("text/html")
    assert "none of your groups has a role" in page.text and "/oauth2/sign_out" in page.text
    answer = world.ask("GET", "/overview", sessions["nora"])
    assert answer.status_code == 403 and "none of your groups has a role" in answer.json()["errors"][0]
    assert world.ask("POST", "/jars/upload", sessions["nora"]).status_code == 403
    assert not arrived(world)


def test_who_has_not_proved_an_email_address_does_not_log_in(world: World) -> None:
    browser, page = world.log_in("ugo")
    assert page.status_code == 403 and page.url.startswith(f"{world.url}/oauth2/callback")
    assert world.ask("GET", "/overview", browser).status_code == 401


def test_browsers_are_sent_to_the_login_and_programs_get_an_error(world: World) -> None:
    arrived(world)
    page = world.ask("GET", "/", **CLICKED)
    assert (page.status_code, page.headers["Location"]) == (302, "/oauth2/sign_in")
    for method, target, headers in (
        ("GET", "/overview", {"Accept": "application/json, text/plain, */*"}),
        ("POST", "/jars/upload", CLICKED),
        ("GET", "/", {**CLICKED, "Authorization": "Bearer x"}),
    ):
        answer = world.ask(method, target, **headers)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), target
    # A browser that comes by another name, which the issuer does not know
    elsewhere = world.ask("GET", "/oauth2/start", Host=f"127.0.0.1:{world.door.port}")
    assert (elsewhere.status_code, elsewhere.headers["Location"]) == (302, f"{world.url}/oauth2/sign_in")
    assert not arrived(world)


def test_logging_out_ends_the_session_of_that_browser(world: World) -> None:
    browser, _ = world.log_in("vera")
    assert world.ask("GET", "/overview", browser).status_code == 200
    forged = world.ask("GET", "/oauth2/sign_out", browser, Sec_Fetch_Site="cross-site")
    assert forged.status_code == 403 and "Set-Cookie" not in forged.headers
    page = browser.get(f"{world.url}/oauth2/sign_out", timeout=60)
    assert page.url == f"{world.url}/oauth2/signed_out" and "You are logged out" in page.text
    assert world.ask("GET", "/overview", browser).status_code == 401


def test_another_site_cannot_use_a_session(world: World, sessions: dict[str, requests.Session]) -> None:
    cookie = next(each for each in sessions["olga"].cookies if each.name == login_texts.COOKIE)
    assert cookie.secure and cookie.path == "/" and cookie.has_nonstandard_attr("HttpOnly")
    assert str(cookie.get_nonstandard_attr("SameSite")).lower() == "lax"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert world.ask("POST", "/jars/upload", sessions["olga"], **headers).status_code == 403
    assert world.ask("POST", "/jars/upload", sessions["olga"], Origin=world.url).status_code == 200


def test_a_login_leads_to_no_other_site(world: World) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "https:evil.example"):
        browser = world.browser()
        page = browser.get(f"{world.url}/oauth2/start", params={"rd": target}, timeout=60, allow_redirects=False)
        state = parse_qs(urlsplit(page.headers["Location"]).query)["state"][0]
        assert page.headers["Location"].startswith(world.issuer) and "evil" not in state


# --- forgeries


def test_headers_of_clients_say_nothing(world: World, sessions: dict[str, requests.Session]) -> None:
    forged = {
        f"{prefix}-{name}": value
        for prefix in ("X-Auth-Request", "X-Forwarded", "Remote")
        for name, value in (
            *(("User", "olga"), ("Email", "olga@example.com"), ("Groups", OPERATORS), ("Preferred-Username", "olga")),
            *(("Access-Token", "x"), ("Redirect", "https://evil.example"), ("Uri", "/oauth2/static/css/x")),
            *(("Host", "evil.example"), ("Method", "GET"), ("For", "127.0.0.1"), ("Proto", "http")),
        )
    }
    arrived(world)
    assert world.ask("GET", "/overview", **forged).status_code == 401
    assert world.ask("POST", "/jars/upload", **forged).status_code == 401
    assert world.ask("POST", "/jars/upload", sessions["vera"], **forged).status_code == 403
    assert world.ask("GET", "/overview", sessions["nora"], **forged).status_code == 403
    assert not arrived(world)
    assert world.ask("POST", "/jars/upload", sessions["olga"], **forged).status_code == 200
    ((_, _, headers, _),) = world.door.arrived()
    kept = {name.lower(): value for name, value in headers.items()}
    assert not [name for name in kept if name.startswith("x-auth-request")] and "cookie" not in kept
    assert {name for name in kept if name.startswith("x-forwarded")} == {
        f"x-forwarded-{name}" for name in ("for", "host", "proto")
    }
    assert kept["x-forwarded-host"] == f"localhost:{world.door.port}" and kept["x-forwarded-proto"] == "https"
    start = world.ask("GET", "/oauth2/start", **forged)
    assert "evil" not in start.headers["Location"]
    assert parse_qs(urlsplit(start.headers["Location"]).query)["redirect_uri"] == [f"{world.url}/oauth2/callback"]


@pytest.mark.parametrize(
    "target",
    [
        *("/oauth2/auth", "/oauth2/userinfo", "/oauth2/auth?allowed_groups=all", "/oauth2//auth", "/oauth2/sign_in/"),
        *("/oauth2/static/../auth", "/oauth2/static/%2e%2e/auth", "/ping", "/ready", "/robots.txt", "/OAUTH2/sign_in"),
        *("/oauth2/sign_out?rd=https://evil.example", "/oauth2/", "/oauth2", "/metrics", "/oauth2/sign_in%2F"),
    ],
)
def test_nothing_else_of_oauth2_proxy_is_reached(
    world: World, sessions: dict[str, requests.Session], target: str
) -> None:
    arrived(world)
    for who in (None, sessions["nora"]):
        sent = requests.Request("GET", world.url, cookies=who.cookies if who else None).prepare()
        sent.url = world.url + target  # as it is written
        status = world.browser().send(sent, allow_redirects=False, timeout=60).status_code
        assert status == (403 if who else 401), target
    assert world.ask("POST", target).status_code == 401
    assert not arrived(world)


def test_a_cookie_that_was_changed_or_made_elsewhere_is_none(
    world: World, sessions: dict[str, requests.Session]
) -> None:
    good = cookie_of(sessions["olga"])
    value, stamp, signature = good.split("|")
    raw = bytearray(base64.urlsafe_b64decode(value))
    raw[len(raw) // 2] ^= 1
    other = base64.urlsafe_b64encode(bytes(raw)).decode()
    for forged in (
        *(f"{other}|{stamp}|{signature}", f"{value}|{int(stamp) + 60}|{signature}", f"{value}|{stamp}|", value, ""),
        *(cookie_of(sessions["vera"]).split("|")[0] + f"|{stamp}|{signature}", "x" * 5000),
    ):
        assert world.ask("GET", "/overview", Cookie=f"{login_texts.COOKIE}={forged}").status_code == 401, forged
    assert world.ask("GET", "/overview", Cookie=f"{login_texts.COOKIE}={good}").status_code == 200


# --- machines


def unsigned(claims: dict[str, Any], algorithm: str = "none", signature: str = "") -> str:
    parts = [json.dumps(each).encode() for each in ({"alg": algorithm, "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), signature])


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_machines_log_in_by_a_token_for_this_audience(world: World, sessions: dict[str, requests.Session]) -> None:
    token = world.token("urn:flink")
    assert world.ask("POST", "/jars/upload", Authorization=f"Bearer {token}").status_code == 200
    # Another client of the issuer: its token has the group of viewers
    viewer = world.token("urn:flink", "other")
    assert world.ask("GET", "/overview", Authorization=f"Bearer {viewer}").status_code == 200
    assert world.ask("POST", "/jars/upload", Authorization=f"Bearer {viewer}").status_code == 403
    # With a token the cookie does not count
    assert world.ask("POST", "/jars/upload", sessions["olga"], Authorization=f"Bearer {viewer}").status_code == 403


def test_tokens_of_others_are_refused(world: World) -> None:
    token = world.token("urn:flink")
    claims = claims_of(token)
    assert claims["iss"] == world.issuer and claims["aud"] == "urn:flink"
    key = rsa.generate_private_key(65537, 2048)
    head = {
        "alg": "RS256",
        "typ": "JWT",
        "kid": json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"],
    }
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (head, claims)]
    signed = key.sign(b".".join(parts), padding.PKCS1v15(), hashes.SHA256())
    foreign = b".".join([*parts, base64.urlsafe_b64encode(signed).rstrip(b"=")]).decode()
    header, _, signature = token.split(".")
    arrived(world)
    for name, forged in {
        "of another audience": world.token("urn:other"),
        "signed by another key": foreign,
        "not signed": unsigned(claims),
        "not signed, with a signature": unsigned(claims, "RS256", signature),
        "changed": ".".join([header, unsigned({**claims, "groups": [OPERATORS, "x"]}).split(".")[1], signature]),
        "of another issuer": ".".join([header, unsigned({**claims, "iss": "https://x"}).split(".")[1], signature]),
        "no token": "eyJ.eyJ.x",
    }.items():
        for authorization in (f"Bearer {forged}", f"bearer {forged}", f"Basic {forged}"):
            assert world.ask("GET", "/overview", Authorization=authorization).status_code == 401, name
        hidden = base64.b64encode(f"{token}:".encode()).decode()
        assert world.ask("GET", "/overview", Authorization=f"Basic {hidden}").status_code == 401, "no password"
    assert not arrived(world)


def test_a_token_expires(world: World) -> None:
    token = world.token("urn:short")
    assert world.ask("GET", "/overview", Authorization=f"Bearer {token}").status_code == 200
    until(lambda: world.ask("GET", "/overview", Authorization=f"Bearer {token}").status_code == 401, 60)
    assert claims_of(token)["exp"] <= time.time()


def test_passwords_work_beside_it(world: World) -> None:
    for who, status in (("anna", 200), ("vic", 403)):
        assert world.ask("POST", "/jars/upload", Authorization=password_of(who)).status_code == status
        assert world.ask("GET", "/overview", Authorization=password_of(who)).status_code == 200
    wrong = world.ask("GET", "/overview", Authorization=password_of("anna", "wrong"))
    assert wrong.status_code == 401


# --- the audit


def test_the_audit_has_names_and_no_secret(world: World, sessions: dict[str, requests.Session]) -> None:
    token = world.token("urn:flink")
    world.ask("POST", f"/jobs/{JOB}/stop", sessions["olga"])
    world.ask("POST", f"/jobs/{JOB}/stop", sessions["vera"])
    world.ask("POST", f"/jobs/{JOB}/stop", sessions["nora"])
    world.ask("POST", f"/jobs/{JOB}/stop", Authorization=f"Bearer {token}")
    world.ask("POST", f"/jobs/{JOB}/stop", Authorization=password_of("vic"))
    expected = [
        ("olga@example.com", 200),
        ("vera@example.com", 403),
        ("nora@example.com", 403),
        ("flink", 200),
        ("vic", 403),
    ]

    def told() -> list[tuple[str, int]]:
        lines = [each for each in world.door.audit() if each["request"]["uri"] == f"/jobs/{JOB}/stop"]
        return [(each["user_id"], each["status"]) for each in lines]

    until(lambda: told() == expected, 60)
    everything = (
        (world.door.folder / "audit.jsonl").read_text() + world.log("proxy") + (world.door.folder / "log").read_text()
    )
    secrets = [SECRET, COOKIE_SECRETS[0], token, token.split(".")[2], *PASSWORDS.values()]
    for secret in (*secrets, cookie_of(sessions["olga"])):
        assert secret not in everything
    assert "code=" not in everything


# --- behind a load balancer


@pytest.fixture
def balanced(world: World) -> Iterator[str]:
    """The URL of a load balancer in front of the door."""
    door, before = world.door, (world.door.folder / "Caddyfile").read_text()
    login = replace(login_texts.login(oidc(world), world.balancer_port), socket=f"{door.folder}/proxy.sock")
    try:
        door.write(users(), login=login, balancer_networks=[f"{balancer.ADDRESS}/32"])
        door.reload()
        with balancer.balancing(world.balancer_port, door.port, door.certificate, door.folder / "key.pem"):
            yield f"https://localhost:{world.balancer_port}"
    finally:
        (door.folder / "Caddyfile").write_text(before)
        door.reload()


def test_people_log_in_through_a_load_balancer(world: World, balanced: str) -> None:
    """The issuer sends them back to its name, the role is that of their groups, and the audit has their addresses."""
    olga, page = world.log_in("olga", balanced)
    assert (page.status_code, page.url) == (200, f"{balanced}/")
    vera, page = world.log_in("vera", balanced)
    assert (page.status_code, page.url) == (200, f"{balanced}/")
    arrived(world)
    forged = {"X-Forwarded-For": "203.0.113.66", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    target = "/jars/balanced.jar/run"
    assert vera.post(balanced + target, headers=forged, timeout=60).status_code == 403
    assert olga.post(balanced + target, headers={**forged, "Origin": balanced}, timeout=60).status_code == 200
    elsewhere = {"Origin": "https://evil.example"}
    assert olga.post(balanced + target, headers=elsewhere, timeout=60).status_code == 403
    assert arrived(world) == [("POST", target)]

    def told() -> list[tuple[str, int, str, str]]:
        lines = [each for each in world.door.audit() if each["request"]["uri"] == target]
        return [
            (each["user_id"], each["status"], each["request"]["client_ip"], each["request"]["remote_ip"])
            for each in lines
        ]

    seen = ("127.0.0.1", balancer.ADDRESS)
    operator, viewer = "olga@example.com", "vera@example.com"
    expected = [(viewer, 403, *seen), (operator, 200, *seen), (operator, 403, *seen)]
    until(lambda: told() == expected, 60)
    # Machines, and what is there without a login
    token = {"Authorization": f"Bearer {world.token('urn:flink')}"}
    ci = world.browser()
    assert ci.post(balanced + target, headers=token, timeout=60).status_code == 200
    assert ci.get(balanced + ALIVE, timeout=60).status_code == 200
    assert ci.get(f"{balanced}/overview", headers=forged, timeout=60).status_code == 401
    # Where a login begins does not depend on what a client says of itself
    start = ci.get(f"{balanced}/oauth2/start", headers=forged, timeout=60, allow_redirects=False)
    assert parse_qs(urlsplit(start.headers["Location"]).query)["redirect_uri"] == [f"{balanced}/oauth2/callback"]
    # By the load balancer's own name, which the issuer does not know, people are sent to the first name
    page = ci.get(
        f"{balanced}/oauth2/sign_in", headers={"Host": "flink-dev.elb.example"}, timeout=60, allow_redirects=False
    )
    assert (page.status_code, page.headers["Location"]) == (302, f"{balanced}/oauth2/sign_in")
    page = olga.get(f"{balanced}/oauth2/sign_out", timeout=60)
    assert page.url == f"{balanced}/oauth2/signed_out"
    assert olga.get(f"{balanced}/overview", timeout=60).status_code == 401


# --- oauth2-proxy itself, last: it is restarted


def test_sessions_outlast_a_restart_but_not_another_secret_nor_their_time(
    world: World, sessions: dict[str, requests.Session]
) -> None:
    """What is valid after a restart is also valid at the door of another host, which has the same secret."""
    olga = sessions["olga"]
    try:
        world.running["proxy"].kill()
        world.running.pop("proxy").wait()
        answer = world.ask("GET", "/overview", olga)
        assert answer.status_code == 502 and "checks logins does not answer" in answer.text
        assert world.ask("GET", "/overview", Authorization=password_of("vic")).status_code == 200
        world.start_proxy()
        assert world.ask("GET", "/overview", olga).status_code == 200
        world.start_proxy(COOKIE_SECRETS[1])
        assert world.ask("GET", "/overview", olga).status_code == 401
        world.start_proxy(**{"8h": "3s"})
        browser, _ = world.log_in("olga")
        until(lambda: world.ask("GET", "/overview", browser).status_code == 401, 60)
    finally:
        world.start_proxy()
    assert world.ask("GET", "/overview", olga).status_code == 200
