"""The front door: who may call what, settings, and what is installed."""

import base64
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import settings
from components import ports
from components.aws import security
from components.flink import firewall, releases
from components.frontdoor import login, rights
from components.frontdoor.caddyfile import caddyfile
from components.frontdoor.rights import Right
from components.frontdoor.settings import Oidc, User
from components.host import Role
from ops import doctor, password
from ops.errors import OpsError
from ops.state import Step
from stand_ins.builds import archives, programs
from tests.golden import same
from tests.host_steps import with_scripts
from tests.unit.program import SEVEN, configuration, host, refused, write_inventory
from tests.unit.test_program import run, stdin

GOLDEN = Path(__file__).parent / "golden"
HASH = "$2b$12$" + "a" * 53
USERS = {"anna": {"passwordHash": HASH, "role": "operator"}}
JOB = "a" * 32
API = (Path(__file__).parent / "flink_rest_api.txt").read_text().splitlines()
"""Method and path of every endpoint of the releases of Flink that are supported (java/Endpoints.java)."""


def allowed(right: Right, method: str, target: str) -> bool:
    """Whether the front door sees in a request one with this right. Caddy's RE2 and Python's re agree on these."""
    return method in rights.methods(right) and re.fullmatch(rights.pattern(right, method), target) is not None


def right(method: str, target: str) -> Right | None:
    found = [each for each in (Right.READ, Right.OPERATE) if allowed(each, method, target)]
    assert len(found) < 2, (method, target)
    return found[0] if found else None


# --- who may call what


def test_every_endpoint_of_flink_is_in_the_table_and_none_else() -> None:
    assert sorted(f"{each.method} {each.path}" for each in rights.TABLE) == sorted(set(API) - {"GET /:*"})


@pytest.mark.skipif(not shutil.which("javac"), reason="no JDK here")
def test_the_list_of_endpoints_is_that_of_flinks_jars(tmp_path: Path) -> None:
    if "flink" in archives.missing():
        pytest.skip("no Flink in the lab's cache yet: make test runs this")
    jar = tmp_path / "flink-dist.jar"
    home = f"flink-{archives.FLINK}"
    with jar.open("wb") as file:
        name = f"{home}/lib/flink-dist-{archives.FLINK}.jar"
        subprocess.run(["tar", "-xzOf", archives.ensure().flink.path, name], stdout=file, check=True)
    source = Path(__file__).parent / "java/Endpoints.java"
    subprocess.run(["javac", "-d", tmp_path, source], check=True)
    found = subprocess.run(
        ["java", "-cp", f"{tmp_path}:{jar}", "Endpoints", jar], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    assert {line for line in found if line} == set(API)


@pytest.mark.parametrize("endpoint", rights.TABLE, ids=lambda each: f"{each.method} {each.path}")
def test_an_endpoint_is_allowed_with_its_right_and_its_method_only(endpoint: rights.Endpoint) -> None:
    values = {"attempt": "0", "checkpointid": "7", "subtaskindex": "3", "taskmanagerid": "10.0.0.7:6122-ab12"}
    target = re.sub(r":(\w+)", lambda found: values.get(found[1], JOB), endpoint.path)
    expected = None if endpoint.right is Right.NOBODY else endpoint.right
    for written in (target, f"/v1{target}", f"{target}?a=b&c=%2Fd/../e"):
        assert right(endpoint.method, written) is expected
    # `upload` may also be a jar
    same_form = {"/jars/upload": "/jars/:jarid"}.get(endpoint.path)
    others = {each.method for each in rights.TABLE if each.path in (endpoint.path, same_form)}
    for method in {"HEAD", "OPTIONS", "TRACE", "CONNECT", "PUT", "get", "POST", "DELETE", "PATCH"} - others:
        assert right(method, target) is None, method


@pytest.mark.parametrize(
    "target",
    [
        *("//jars", "/jars/", "/jars//", "/./jars", "/x/../jars", "/%6Aars", "/jars%2F", "/JARS", "/Jars", "/jars;a=b"),
        *("/v2/jars", "/v1/v1/jars", "/v1//jars", "/V1/jars", "jars", "", "/jars#a", "/jars\\", "/jars%00", "/jars\n"),
        *(f"/jobs/{JOB}%2Fyarn-cancel", f"/jobs/{JOB}%2fyarn-stop", f"/jobs/{JOB}/%79arn-cancel"),
        *(f"/jobs/{JOB}//yarn-cancel", f"//jobs/{JOB}/yarn-cancel", f"/jobs/{JOB}/yarn-cancel/"),
        *(f"/jobs/{JOB};x/yarn-cancel", f"/jobs/{JOB}/YARN-CANCEL", "/jobs/x/yarn-cancel", "/jobs/../cluster"),
        *("/jobmanager/logs/..%2F..%2Fetc%2Fpasswd", "/jobmanager/logs/../../etc/passwd", "/jobmanager/logs/%2e%2e"),
        *("/jobmanager/logs/", "/jobmanager/logs/.", "/jobmanager/logs/..", "/jars/%2e%2e/plan", "/jars/a%5Cb/plan"),
        *("/jars/a%25/plan", "/jars/a%3Fb/plan", "/taskmanagers/%2E%2E/log", "http:jars", "/assets/../jars.x/y"),
        *("/assets/%2e%2e/config", "/index%2Ehtml", "/jobs?", "/unknown", "/jobs/unknown/thing"),
    ],
)
def test_a_path_that_is_written_in_another_way_is_refused(target: str) -> None:
    if target == "/jobs?":  # the same as without an empty query
        assert right("GET", target) is Right.READ
        return
    for method in ("GET", "POST", "PATCH", "DELETE", "PUT"):
        assert right(method, target) is None, method


def test_files_of_the_web_ui_and_names_with_signs_are_reached() -> None:
    for target in (
        *("/", "/?x", "/index.html", "/8305.b7672008eafed781.js", "/styles.css", "/favicon.ico"),
        *("/assets/vs/basic-languages/xml/xml.js", "/assets/images/flink.svg", "/3rdpartylicenses.txt"),
        *("/jobmanager/logs/flink-jobmanager.log.1", "/taskmanagers/10.0.0.7:6122-ab12/logs/a%20b.log"),
        *("/taskmanagers/tm-0%3A6122-ab12/metrics?get=x", f"/jobs/{JOB}/savepoints/{JOB}"),
    ):
        assert right("GET", target) is Right.READ, target
    jar = "cd7b-42_my%20job%20%28v1%29-%C3%A4.jar"
    assert right("POST", f"/jars/{jar}/run") is Right.OPERATE
    assert right("DELETE", f"/jars/{jar}") is Right.OPERATE


def test_what_runs_or_changes_something_is_no_read_although_it_is_a_get() -> None:
    for target in (f"/jobs/{JOB}/yarn-cancel", f"/jobs/{JOB}/yarn-stop", "/jars/a.jar/plan?entry-class=x"):
        assert right("GET", target) is Right.OPERATE
    assert right("DELETE", "/cluster") is None


# --- settings


def loaded(folder: Path, **changes: Any) -> settings.Settings:
    write_inventory(folder)
    secrets = [key for key in ("frontDoorUsers", "frontDoorKey", "frontDoorOidcSecret") if key in changes]
    return settings.load(configuration(folder, **changes), stack="dev", secrets=secrets, root=folder)


def wrong(folder: Path, **changes: Any) -> str:
    with pytest.raises(settings.ConfigError) as caught:
        loaded(folder, **{"frontDoor": True, "frontDoorUsers": USERS, **changes})
    return str(caught.value)


def test_without_it_there_is_none_of_it(tmp_path: Path) -> None:
    assert loaded(tmp_path).cluster.front_door is None
    assert ports.table(0) == ports.TABLE


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frontDoorUsers": None}, "frontDoorUsers: is missing: expected at least one user"),
        ({"frontDoorUsers": {}}, "frontDoorUsers: is missing"),
        ({"frontDoorUsers": {"anna": "hunter2hunter2"}}, "frontDoorUsers.anna: is not a mapping"),
        ({"frontDoorUsers": {"anna": {"role": "viewer"}}}, "frontDoorUsers.anna passwordHash: is missing"),
        ({"frontDoorUsers": {"anna": {"passwordHash": HASH}}}, "frontDoorUsers.anna role: is missing"),
        ({"frontDoorUsers": {"anna": {**USERS["anna"], "role": "admin"}}}, "'admin' is unknown: expected viewer or"),
        ({"frontDoorUsers": {"anna": {**USERS["anna"], "x": 1}}}, "frontDoorUsers.anna x: is unknown"),
        ({"frontDoorUsers": {"an:na": USERS["anna"]}}, "'an:na' is not a name to log in with"),
        ({"frontDoorUsers": {"{env.HOME}": USERS["anna"]}}, "is not a name to log in with"),
        ({"frontDoorUsers": {"": USERS["anna"]}}, "'' is not a name to log in with"),
        ({"frontDoorUsers": {"default": USERS["anna"]}}, "'default' is a word of Caddy's configuration"),
        ({"frontDoorUsers": {"import": USERS["anna"]}}, "'import' is a word of Caddy's configuration"),
        ({"frontDoorLogin": "basic"}, "frontDoorLogin: 'basic' is unknown: expected users, oidc or none"),
        ({"frontDoorLogin": "none"}, "frontDoorUsers: has no effect with frontDoorLogin: none"),
        ({"frontDoorPort": 0}, "frontDoorPort: 0 is out of range"),
        ({"frontDoorPort": 70_000}, "frontDoorPort: 70000 is out of range"),
        ({"frontDoorPort": 8081}, "frontDoorPort: 8081 is another port of the cluster"),
        # One of a monitoring host, which may come later
        ({"frontDoorPort": 9100}, "frontDoorPort: 9100 is another port of the cluster"),
        ({"frontDoorNames": ["flink.example.com", "a b"]}, "frontDoorNames: 'a b' is not a DNS name"),
        ({"frontDoorKey": "x"}, "frontDoorCertificate: is missing: expected both"),
        ({"caddyVersion": "2.6.4"}, "caddyVersion: '2.6.4' is not supported"),
        ({"frontDoor": False}, "frontDoorUsers: has no effect without a front door"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in wrong(tmp_path, **changes)


@pytest.mark.parametrize(
    "text",
    [
        *("correct horse battery staple", "$1$abc$def", "$2b$12$" + "a" * 52, "$2b$09$" + "a" * 53, HASH + "\n", ""),
        *("$2b$15$" + "a" * 53, "$argon2id$v=19$m=65536", "{env.HOME}", HASH + " }", 12_345_678, None, [HASH]),
    ],
)
def test_what_is_no_hash_is_refused_and_never_shown(tmp_path: Path, text: Any) -> None:
    said = wrong(tmp_path, frontDoorUsers={"anna": {"passwordHash": text, "role": "viewer"}})
    assert "frontDoorUsers.anna passwordHash: is not a bcrypt hash" in said
    assert not isinstance(text, str) or not text.strip() or text.strip() not in said
    assert "12345678" not in said


def test_users_and_key_in_plain_text_are_refused(folder: Path) -> None:
    assert "frontDoorUsers: is in plain text" in refused(folder, frontDoor=True, frontDoorUsers=USERS)
    assert "frontDoorKey: is in plain text" in refused(folder, frontDoor=True, frontDoorKey="x")


# --- a certificate of yours

AUTHORITY = x509.BasicConstraints(True, None)
CLIENTS_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def made(
    names: list[str],
    *,
    days: float = 9,
    age: float = 9,
    key: Any = None,
    issuer: tuple[Any, x509.Name] | None = None,
    more: Sequence[x509.ExtensionType] = (),
) -> tuple[str, str]:
    """A certificate and its key, as PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flink")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1] if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=age))
        .not_valid_after(now + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    for extension in more:
        builder = builder.add_extension(extension, critical=True)
    pem = builder.sign(issuer[0] if issuer else key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_your_certificate_is_used_and_named(tmp_path: Path) -> None:
    certificate, key = made(["*.example.com", "flink.example.com"])
    door = loaded(
        tmp_path, frontDoor=True, frontDoorUsers=USERS, frontDoorCertificate=certificate, frontDoorKey=key
    ).cluster.front_door
    assert door and door.certificate == certificate and door.served_as == "front-door.example.com"


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (lambda: ("hello", made(["a.example"])[1]), "is no certificate: expected PEM"),
        (lambda: (made(["a.example"])[0], "hello"), "frontDoorKey is no private key"),
        (lambda: (made(["a.example"])[0], made(["a.example"])[1]), "is not that of frontDoorKey"),
        (lambda: made(["a.example"], days=-1), "expired at"),
        (lambda: made([]), "has no subject alternative names"),
        (lambda: made(["a.example"], key=rsa.generate_private_key(65537, 1024)), "has 1024 bits"),
        (lambda: made(["a.example"], key=ec.generate_private_key(ec.SECP256K1())), "is of the curve secp256k1"),
        (lambda: made(["a.example"], key=ec.generate_private_key(ec.SECP224R1())), "is of the curve secp224r1"),
        (lambda: made(["a.example"], age=-2), "is valid from"),
        (lambda: made(["a.example"], more=[CLIENTS_ONLY]), "is not for servers"),
        (lambda: _chain(made([], more=[])), "'CN=flink' has not signed the one before"),
        (lambda: _chain(made([], more=[AUTHORITY])), "'CN=flink' has not signed the one before"),
    ],
)
def test_a_certificate_that_browsers_refuse_is_refused(
    tmp_path: Path, certificate: Callable[[], tuple[str, str]], said: str
) -> None:
    pem, key = certificate()
    problem = wrong(tmp_path, frontDoorCertificate=pem, frontDoorKey=key)
    assert said in problem
    assert "PRIVATE" not in problem


def _chain(above: tuple[str, str]) -> tuple[str, str]:
    """One that another authority of the same name has signed."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flink")])
    certificate, key = made(["a.example"], issuer=(ec.generate_private_key(ec.SECP256R1()), name))
    return certificate + above[0], key


def test_an_authority_between_that_may_not_sign_or_has_expired_is_refused(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flink")])
    authority = ec.generate_private_key(ec.SECP256R1())
    certificate, key = made(["a.example"], issuer=(authority, name))
    for days, more, said in (
        (9, [], "has not signed the one before"),
        (9, [x509.BasicConstraints(False, None)], "has not signed the one before"),
        (-1, [AUTHORITY], "expired at"),
        (9, [AUTHORITY], ""),
    ):
        above, _ = made([], days=days, key=authority, more=more)
        yours: dict[str, Any] = {"frontDoorCertificate": certificate + above, "frontDoorKey": key}
        if said:
            assert said in wrong(tmp_path, **yours)
        else:
            assert loaded(tmp_path, frontDoor=True, frontDoorUsers=USERS, **yours).cluster.front_door


# --- a certificate by ACME

ACME: dict[str, Any] = {
    "directory": "https://ca.example.com/acme/directory",
    "names": {"jm-0": "a.example.com", "jm-1": "b.example.com"},
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"directory": "http://ca.example.com/"}, "frontDoorAcme directory: is not encrypted: expected https://"),
        ({"directory": "https://me:pw@ca.example.com/"}, "is not a URL"),
        ({"directory": "https://ca.example.com/ {\n"}, "is not a URL"),
        ({"directory": None}, "frontDoorAcme directory: "),
        ({"names": None}, "frontDoorAcme names: "),
        ({"names": {}}, "frontDoorAcme names: are those of []: expected a DNS name for each of jm-0, jm-1"),
        ({"names": {"jm-0": "a.example.com"}}, "are those of ['jm-0']: expected a DNS name for each of jm-0, jm-1"),
        ({"names": {**ACME["names"], "tm-0": "c.example.com"}}, "expected a DNS name for each of jm-0, jm-1"),
        ({"names": {"jm-0": "a.example.com", "jm-1": "a.example.com"}}, "a.example.com is there twice"),
        ({"names": {"jm-0": "a b", "jm-1": "b.example.com"}}, "'a b' is not a DNS name"),
        ({"email": "anna"}, "frontDoorAcme email: 'anna' is not an email address"),
        ({"email": "anna@example.com {"}, "is not an email address"),
        ({"challenge": "http"}, "frontDoorAcme challenge: is unknown"),
    ],
)
def test_a_wrong_acme_server_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    found = {name: value for name, value in {**ACME, **changes}.items() if value is not None}
    assert said in wrong(tmp_path, frontDoorAcme=found)


def test_acme_fits_no_other_port_or_certificate_and_nothing_without_a_front_door(tmp_path: Path) -> None:
    assert "frontDoorAcme: needs port 443" in wrong(tmp_path, frontDoorAcme=ACME, frontDoorPort=8443)
    certificate, key = made(["flink.example.com"])
    said = wrong(tmp_path, frontDoorAcme=ACME, frontDoorCertificate=certificate, frontDoorKey=key)
    assert "frontDoorAcme: has no effect with frontDoorCertificate" in said
    assert "frontDoorAcme: has no effect without a front door" in wrong(tmp_path, frontDoorAcme=ACME, frontDoor=False)


def test_each_host_asks_the_acme_server_for_its_own_name(folder: Path) -> None:
    found = run(folder, frontDoor=True, frontDoorUsers=USERS, frontDoorAcme={**ACME, "email": "a@example.com"})
    for jobmanager, name, other in (("jm-0", "a", "b"), ("jm-1", "b", "a")):
        text = stdin(found, f"{jobmanager}-front-door")
        assert f"https://{name}.example.com:443 {{" in text and f"//{other}.example.com" not in text
        assert "dir https://ca.example.com/acme/directory" in text and "email a@example.com" in text
        assert "trusted_roots" not in text
    assert [name for name in found if name.endswith("jm-0-front-door-certificate")], "for other names and addresses"


def test_when_a_certificate_by_acme_expires_is_a_metric_where_somebody_reads_it(folder: Path) -> None:
    def step(*more: str, **changes: Any) -> str:
        write_inventory(folder, *map(host, (*SEVEN, *more)))
        return stdin(run(folder, frontDoor=True, frontDoorUsers=USERS, **changes), "jm-1-front-door")

    watched = step("mon-0", frontDoorAcme=ACME)
    assert "write_file /etc/systemd/system/flink-acme.timer" in watched and "\nacme_watch=flink-acme\n" in watched
    script = watched.partition("write_file /etc/flink-frontdoor/acme.sh")[2].partition("END_OF_FILE\n")[0]
    assert f"\nacme_name={ACME['names']['jm-1']}\n" in script
    # What it writes goes when nobody writes it any more
    assert '[ -z "$acme_watch" ] || declares file "$acme_metric"' in watched
    assert "\nacme_metric=/etc/flink-exporter/metrics/acme.prom\n" in watched
    assert "flink-acme" not in step(frontDoorAcme=ACME) and "acme_watch=" not in step("mon-0")


def test_a_private_authority_of_the_acme_server_is_trusted(folder: Path) -> None:
    authority, _ = made(["ca.example.com"])
    (folder / "ca.pem").write_text(authority)
    found = run(
        folder, frontDoor=True, frontDoorUsers=USERS, frontDoorAcme=ACME, trustedCertificates=str(folder / "ca.pem")
    )
    text = stdin(found, "jm-0-front-door")
    assert "trusted_roots /etc/flink-frontdoor/acme-authorities.pem" in text
    assert "write_file /etc/flink-frontdoor/acme-authorities.pem" in text and authority.splitlines()[1] in text


# --- what is installed


def test_the_caddyfile() -> None:
    users = [
        User(name="anna", password_hash=HASH, role="operator"),
        User(name="vic", password_hash=HASH, role="viewer"),
    ]
    text = caddyfile(served_as="jm-0", realm="Flink dev", port=443, users=users, jobmanagers=["jm-0", "jm-1"], wait=15)
    same(GOLDEN / "Caddyfile", text)


def test_with_tls_it_shows_a_certificate_of_its_own_to_jobmanagers(folder: Path) -> None:
    found = run(folder, frontDoor=True, frontDoorUsers=USERS, tls=True)
    text = stdin(found, "jm-0-front-door")
    assert "tls_client_auth /etc/flink-frontdoor/rest/certificate.pem /etc/flink-frontdoor/rest/key.pem" in text
    assert "reverse_proxy https://jm-0:8081 https://jm-1:8081 {" in text
    assert "/etc/flink/tls" not in text, "those are the JobManager's"
    signed = next(one for name, one in found.items() if name.endswith("jm-0-front-door-client-certificate"))
    assert signed.type == "tls:index/locallySignedCert:LocallySignedCert"
    assert "tls_except_ports 9249" in text, "metrics have no TLS"


def test_nobody_has_to_log_in_only_if_that_is_said() -> None:
    text = caddyfile(served_as="jm-0", realm="Flink", port=443, users=None, jobmanagers=["jm-0"], wait=15)
    assert "basic_auth" not in text and "default operator" in text
    text = caddyfile(served_as="jm-0", realm="Flink", port=443, users=[], jobmanagers=["jm-0"], wait=15)
    assert "basic_auth" in text and "default none" in text and "default operator" not in text


def test_operators_reach_the_front_door_and_no_other_port_of_rest() -> None:
    addresses = {Role.JOBMANAGER: ["10.0.0.1"], Role.CLIENT: ["10.0.0.9"]}

    def open_to(operators: str, door: int, closed: bool = False) -> set[str]:
        metrics = ports.readers([operators], None, closed=closed)
        rules = firewall.rules(Role.JOBMANAGER, addresses, [operators], door, metrics)
        return set(re.findall(r"tcp dport (\d+) accept", "\n".join(it for it in rules.splitlines() if operators in it)))

    assert open_to("198.51.100.7", 0) == {"22", "8081", "9249"}
    assert open_to("198.51.100.7", 8443, closed=True) == {"22", "8443"}
    assert open_to("198.51.100.7", 443, closed=True) == {"22", "443"}
    others = firewall.rules(Role.JOBMANAGER, addresses, ["198.51.100.7"], 443)
    assert re.search(r"ip saddr \{ 10\.0\.0\.1, 10\.0\.0\.9 \} tcp dport 8081", others)


@pytest.mark.parametrize("bastion", [False, True])
def test_on_aws_operators_reach_the_front_door_and_no_other_port_of_rest(bastion: bool) -> None:
    who = "bastion" if bastion else "198.51.100.0/24"
    alone = [role for role in Role if role is not Role.MONITORING]
    for roles, expected in ((alone, {22, 443, 9249}), (list(Role), {22, 443})):
        found = security.rules(roles, ["198.51.100.0/24"], bastion, 443)
        assert {rule.number for rule in found if rule.target == "jobmanager" and rule.source == who} == expected
    assert {rule.source for rule in found if rule.number == 8081} == {"jobmanager", "client"}
    assert {rule.target for rule in found if rule.number == 443} == {"jobmanager"}
    without = security.rules(list(Role), ["198.51.100.0/24"], bastion)
    assert not [rule for rule in without if rule.number == 443]


def test_its_url() -> None:
    assert ports.url("10.0.0.1") == "http://10.0.0.1:8081"
    assert ports.url("10.0.0.1", front_door=443) == "https://10.0.0.1"
    assert ports.url("fd00::1", tls=True, front_door=8443) == "https://[fd00::1]:8443"


def test_each_host_with_a_jobmanager_has_one_and_hashes_stay_secret(folder: Path) -> None:
    found = run(folder, frontDoor=True, frontDoorUsers=USERS)
    assert {name for name in found if name.endswith("-front-door") and found[name].type.startswith("command")} == {
        "jm-0-front-door",
        "jm-1-front-door",
    }
    text = stdin(found, "jm-0-front-door")
    assert HASH in text
    assert "write_file /etc/flink-frontdoor/Caddyfile 0600 flink-frontdoor:flink-frontdoor" in text
    assert "write_file /etc/flink-frontdoor/key.pem 0600 flink-frontdoor:flink-frontdoor" in text
    doors = {"jm-0-front-door", "jm-1-front-door"}
    assert not [name for name in found if name not in doors and HASH in str(found[name])]


def test_hashes_and_your_key_are_in_no_input_that_is_not_secret(folder: Path) -> None:
    certificate, key = made(["flink.example.com"])
    planted: dict[str, Any] = {"frontDoorUsers": USERS, "frontDoorCertificate": certificate, "frontDoorKey": key}
    found = run(folder, frontDoor=True, **planted)
    doors = ["jm-0-front-door", "jm-1-front-door"]
    for secret in (HASH, key.splitlines()[1]):
        holders = [name for name, one in found.items() if secret in json.dumps(one.inputs, default=str)]
        assert sorted(holders) == doors
        for name in doors:
            assert secret in found[name].inputs["stdin"]["value"], "marked as a secret"
    assert not [name for name in found if name.endswith("-front-door-key")], "none of the stack's own"


# --- login by OpenID Connect

CLIENT_SECRET = "client-secret-of-a-test"
OIDC: dict[str, Any] = {"issuer": "https://login.example.com/realms/a", "clientId": "flink", "operator": ["ops"]}
WITH_OIDC: dict[str, Any] = {
    "frontDoor": True,
    "frontDoorLogin": "oidc",
    "frontDoorOidc": OIDC,
    "frontDoorOidcSecret": CLIENT_SECRET,
    "frontDoorNames": ["flink.example.com", "flink-b.example.com"],
}


def test_its_settings(tmp_path: Path) -> None:
    door = loaded(tmp_path, **WITH_OIDC).cluster.front_door
    assert door and door.oidc and door.users is None
    assert door.oidc.names == ("flink.example.com", "flink-b.example.com")
    assert (door.oidc.issuer, door.oidc.operators, door.oidc.viewers) == (OIDC["issuer"], ("ops",), ())
    assert (door.oidc.roles_claim, door.oidc.name_claim, door.oidc.session_hours) == ("groups", "email", 8)
    assert door.oidc.program.version == releases.DEFAULT_VERSIONS["oauth2proxy"]
    assert loaded(tmp_path, **WITH_OIDC, frontDoorUsers=USERS).cluster.front_door != door


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"frontDoorOidc": None}, "frontDoorOidc: is missing: expected issuer, clientId and operator"),
        ({"frontDoorOidcSecret": None}, "frontDoorOidcSecret: is missing: expected `pulumi config set --secret"),
        ({"frontDoorOidcSecret": "short"}, "frontDoorOidcSecret: is not a client's secret: expected 8 to 500"),
        ({"frontDoorOidcSecret": "secret-\n-secret"}, "frontDoorOidcSecret: is not a client's secret"),
        ({"frontDoorNames": None}, "frontDoorNames: is missing: expected the DNS names by which browsers reach"),
        (
            {"frontDoorLogin": "users", "frontDoorUsers": USERS},
            "frontDoorOidc: has no effect with frontDoorLogin: users",
        ),
        ({"frontDoorLogin": "none"}, "frontDoorOidcSecret: has no effect with frontDoorLogin: none"),
        ({"frontDoor": False}, "frontDoorOidc: has no effect without a front door"),
        ({"oauth2proxyVersion": "7.4.0"}, "oauth2proxyVersion: '7.4.0' is not supported"),
        ({"frontDoorUsers": {"anna": {"role": "viewer"}}}, "frontDoorUsers.anna passwordHash: is missing"),
        *(
            ({"frontDoorOidc": {**OIDC, **changes}}, f"frontDoorOidc {said}")
            for changes, said in (
                ({"issuer": "http://login.example.com"}, "issuer: 'http://login.example.com' is not an issuer"),
                ({"issuer": "https://login.example.com/?a=b"}, "issuer: 'https://login.example.com/?a=b' is not an"),
                ({"issuer": "https://u:p@login.example.com"}, "issuer: "),
                ({"issuer": "https://x/{env.HOME}"}, "issuer: 'https://x/{env.HOME}' is not an issuer"),
                ({"clientId": 'a"b'}, "clientId: 'a\"b' is not a client or an audience"),
                ({"operator": []}, "operator: has no group: expected at least one"),
                ({"operator": "ops"}, "operator: 'ops' has the wrong type"),
                ({"operator": ["a,b"]}, "operator: 'a,b' is not a group: expected a name on one line, without commas"),
                ({"operator": ["a\nb"]}, "operator: 'a\\nb' is not a group"),
                ({"operator": [""]}, "operator: '' is not a group"),
                ({"viewer": ["ops"]}, "viewer: has 'ops', and so has operator"),
                ({"viewer": ["a", "a"]}, "viewer: has a group twice"),
                ({"rolesClaim": "a b"}, "rolesClaim: 'a b' is not a claim"),
                ({"scopes": ["email"]}, "scopes: has no openid"),
                ({"sessionHours": 0}, "sessionHours: 0 is too small: expected 1 or more"),
                ({"audiences": ["a b"]}, "audiences: 'a b' is not a client or an audience"),
                ({"secret": "x"}, "secret: is unknown: expected one of"),
            )
        ),
        ({"frontDoorOidc": {"issuer": "https://a.example"}}, "frontDoorOidc clientId: is missing"),
    ],
)
def test_wrong_settings_of_openid_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.ConfigError) as caught:
        loaded(tmp_path, **{**WITH_OIDC, **changes})
    assert said in str(caught.value)
    for secret in (CLIENT_SECRET, "'short'", "secret-", "u:p"):
        assert secret not in str(caught.value)


def test_its_secret_in_plain_text_is_refused(folder: Path) -> None:
    assert "frontDoorOidcSecret: is in plain text" in refused(folder, **WITH_OIDC)


def openid(**changes: Any) -> Oidc:
    known = {
        "issuer": OIDC["issuer"],
        "client_id": "flink",
        "secret": CLIENT_SECRET,
        "names": ["flink.example.com", "flink-b.example.com"],
        "operators": ["ops", "Élan & {env.HOME} #1"],
        "viewers": ["all"],
    }
    return Oidc(**{**known, **changes})


def test_the_caddyfile_and_the_configuration_of_its_login() -> None:
    users = [User(name="ci", password_hash=HASH, role="operator")]
    made = login.login(openid(), 8443)
    text = caddyfile(
        served_as="jm-0", realm="Flink dev", port=8443, users=users, jobmanagers=["jm-0", "jm-1"], wait=15, login=made
    )
    same(GOLDEN / "Caddyfile-openid", text)
    found = login.config(
        openid(audiences=["urn:flink"]), cluster="dev", secret='a"b\\c', cookie_secret="x" * 44, authorities=True
    )
    same(GOLDEN / "oauth2-proxy.toml", found)
    assert tomllib.loads(found)["client_secret"] == 'a"b\\c'


def test_a_role_without_groups_is_nobodys() -> None:
    """oauth2-proxy would allow everyone if it was asked for no group."""
    made = login.login(openid(viewers=[]), 443)
    text = caddyfile(served_as="a", realm="F", port=443, users=None, jobmanagers=["a"], wait=15, login=made)
    asked = re.findall(r"rewrite (/oauth2/auth.*)", text)
    assert asked == ["/oauth2/auth?allowed_groups=ops,%C3%89lan%20%26%20%7Benv.HOME%7D%20%231", "/oauth2/auth"]
    assert "vars role viewer\n" not in text and "role operator" in text
    assert "basic_auth" not in text and "default operator" not in text
    with pytest.raises(ValueError, match="a role needs a group"):
        login.login(openid(operators=[]), 443)


def test_its_secrets_are_in_one_file_of_its_own_user(folder: Path) -> None:
    (folder / "ca.pem").write_text(made(["ca.example"])[0])
    found = run(folder, **WITH_OIDC, trustedCertificates=str(folder / "ca.pem"), httpProxy="http://10.0.0.9:3128")
    doors = ["jm-0-front-door", "jm-1-front-door"]
    assert sorted(it for it, one in found.items() if CLIENT_SECRET in json.dumps(one.inputs, default=str)) == doors
    texts = [stdin(found, name) for name in doors]
    for name, text in zip(doors, texts, strict=True):
        assert CLIENT_SECRET in found[name].inputs["stdin"]["value"], "marked as a secret"
        assert "write_file /etc/flink-login/oauth2-proxy.toml 0600 flink-login:flink-login" in text
        assert "write_file /etc/flink-login/authorities.pem 0644 root:root" in text
        assert "HTTPS_PROXY=http://10.0.0.9:3128" in text
    cookies = {line for text in texts for line in text.splitlines() if line.startswith("cookie_secret = ")}
    assert len(cookies) == 1, "a session is valid on each host"
    assert len(base64.urlsafe_b64decode(cookies.pop().split('"')[1])) == 32
    archive = stdin(found, "jm-0-oauth2proxy")
    base = f"https://github.com/oauth2-proxy/oauth2-proxy/releases/download/v{programs.OAUTH2_PROXY}"
    assert f"url='{base}/oauth2-proxy-v{programs.OAUTH2_PROXY}.linux-{{goarch}}.tar.gz'" in archive
    assert "linux-{goarch}.tar.gz-sha256sum.txt'" in archive
    same(
        GOLDEN / "flink-login.service",
        text.partition("flink-login.service 0644 root:root <<'END_OF_FILE'\n")[2].partition("END_OF_FILE")[0],
    )


def test_without_openid_there_is_none_of_it(folder: Path) -> None:
    found = run(folder, frontDoor=True, frontDoorUsers=USERS)
    assert not [name for name in found if "oauth2" in name or "session" in name]
    text = stdin(found, "jm-0-front-door")
    assert "oauth2" not in text.replace("login_", "") and "login=true" not in text


# --- certificates that expire


def reported(text: str) -> list[str]:
    """What `doctor` says of certificates: a step of it checks this machine, which has no front door."""
    whole = doctor.script([Step("jm-0-front-door", with_scripts(text))])
    done = subprocess.run(["bash", "-s"], input=whole, capture_output=True, text=True, check=True, timeout=60)
    found = doctor.parse("jm-0", done.stdout)
    assert not found.error and found.differences, done.stdout
    assert not [each for each in found.differences if each.what == "check"], found.differences
    return [f"{each.what}: {each.message}" for each in found.differences if "expire" in each.message]


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


@pytest.mark.parametrize("tls", [False, True])
def test_doctor_reports_a_certificate_of_the_stacks_own_that_expires_within_30_days(folder: Path, tls: bool) -> None:
    text = stdin(run(folder, frontDoor=True, frontDoorUsers=USERS, tls=tls), "jm-0-front-door")
    files = ["certificate.pem", *(["rest/certificate.pem"] if tls else [])]

    def said(days: float) -> list[str]:
        assert text.count("2036-01-01T00:00:00Z") == len(files)
        return reported(text.replace("2036-01-01T00:00:00Z", in_days(days)))

    assert said(30.01) == []
    assert [line.partition(" on ")[0] for line in said(29.99)] == [
        f"/etc/flink-frontdoor/{name}: expires" for name in files
    ]
    assert all(line.endswith(": `up` renews it") for line in said(29.99))
    assert [line.partition(" on ")[0] for line in said(-0.01)] == [
        f"/etc/flink-frontdoor/{name}: has expired" for name in files
    ]


def test_certificates_that_are_valid_for_less_than_90_days_are_reported_in_the_last_third(folder: Path) -> None:
    text = stdin(run(folder, frontDoor=True, frontDoorUsers=USERS, certificateDays=3), "jm-0-front-door")
    assert reported(text.replace("2036-01-01T00:00:00Z", in_days(1.01))) == []
    assert len(reported(text.replace("2036-01-01T00:00:00Z", in_days(0.99)))) == 1


# It has been valid for 9 days
@pytest.mark.parametrize(("days", "soon"), [(4.6, False), (4.4, True), (0.01, True), (1000, False)])
def test_doctor_and_preview_report_your_certificate_before_it_expires(folder: Path, days: float, soon: bool) -> None:
    certificate, key = made(["flink.example.com"], days=days)
    yours: dict[str, Any] = {"frontDoorCertificate": certificate, "frontDoorKey": key}
    found = reported(stdin(run(folder, frontDoor=True, frontDoorUsers=USERS, **yours), "jm-0-front-door"))
    assert [line.rpartition(": ")[2] for line in found] == ["replace frontDoorCertificate and frontDoorKey"] * soon
    warnings = loaded(folder, frontDoor=True, frontDoorUsers=USERS, **yours).warnings
    assert [line.split(" on ")[0] for line in warnings if line.startswith("frontDoor")] == [
        "frontDoorCertificate: expires"
    ] * soon


def test_the_next_number_of_the_authority_replaces_all_keys_of_the_front_door(folder: Path) -> None:
    def keys(**more: Any) -> set[str]:
        found = run(folder, frontDoor=True, frontDoorUsers=USERS, tls=True, **more)
        made = [name for name, one in found.items() if one.type == "tls:index/privateKey:PrivateKey"]
        return {name.rpartition("/")[2] for name in made if "front-door" in name}

    hosts = [f"{host}-front-door{what}key" for host in ("jm-0", "jm-1") for what in ("-", "-client-")]
    assert keys() == {"dev-front-door-key", "dev-front-door-2-key", *hosts}
    # The one that signs now is known already
    assert keys(tlsAuthority=2) == {"dev-front-door-2-key", "dev-front-door-3-key", *(f"{name}-2" for name in hosts)}


def test_the_first_certificate_of_a_chain_that_expires_counts(folder: Path) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flink")])
    authority = ec.generate_private_key(ec.SECP256R1())
    certificate, key = made(["flink.example.com"], days=300, issuer=(authority, name))
    above, _ = made([], days=2, key=authority, more=[AUTHORITY])
    yours: dict[str, Any] = {"frontDoorCertificate": certificate + above, "frontDoorKey": key}
    assert len(reported(stdin(run(folder, frontDoor=True, frontDoorUsers=USERS, **yours), "jm-0-front-door"))) == 1


# --- passwords


def test_a_password_is_asked_for_twice_and_its_hash_is_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert password.run(generate=False, ask=lambda _: "correct horse battery") == 0
    said = capsys.readouterr()
    assert said.err == ""
    loaded(tmp_path, frontDoor=True, frontDoorUsers={"a": {"passwordHash": said.out.strip(), "role": "viewer"}})


def test_a_made_password_is_shown_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert password.run(generate=True) == 0
    said = capsys.readouterr()
    secret = said.err.strip().rpartition(" ")[2]
    assert len(secret) > 40 and secret not in said.out and said.out.startswith("$2b$12$")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["short", "short"], "has 5 characters"),
        (["x" * 73, "x" * 73], "has 73 bytes"),
        (["a" * 12, "b" * 12], "the two passwords differ"),
    ],
)
def test_a_bad_password_is_refused(given: list[str], said: str) -> None:
    answers = iter(given)
    with pytest.raises(OpsError, match=said):
        password.run(generate=False, ask=lambda _: next(answers))
