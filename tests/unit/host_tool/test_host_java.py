"""How our Java classes are run: user, classes, credentials and output. tests/engine compiles them for real."""

from pathlib import Path

import pytest

from host_tool.java import Java

COMPILER = '#!/bin/sh\nwhile [ "$1" != -d ]; do shift; done\nmkdir -p "$2" && touch "$2/made"\n'
JVM = '#!/bin/sh\necho "$FLINK_PLUGINS_DIR $AWS_SECRET_ACCESS_KEY"\npwd\nfor word; do echo "$word"; done\nexit 3\n'
RUNUSER = '#!/bin/sh\nshift 3\nexec "$@"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (
        ("opt/java/bin/javac", COMPILER),
        ("opt/java/bin/java", JVM),
        ("bin/runuser", RUNUSER),
        ("usr/local/lib/flink/java/A.java", "class A {}"),
        ("etc/flink/credentials.env", "AWS_ACCESS_KEY_ID='AKIA'\nAWS_SECRET_ACCESS_KEY='s=e c/r+et'\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "opt/flink-2.3.0").mkdir()
    (tmp_path / "opt/flink").symlink_to("flink-2.3.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


def test_they_run_with_flinks_plugins_and_the_storages_keys(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    java = Java("flink", str(root))
    assert java.lines("Leftovers", "results")[0], "the status is the program's"
    out, said = capfd.readouterr()
    assert out == ""
    lines = said.splitlines()
    assert lines[:2] == [f"{root}/opt/flink/plugins s=e c/r+et", "/"]
    assert lines[-4:] == ["-cp", f"{java.classes()}:{root}/opt/flink/lib/*", "flinkhost.Leftovers", "results"]
    assert not java.run("Leftovers", "purge", "s3://b/x y")
    assert capfd.readouterr().out.splitlines()[-3:] == ["flinkhost.Leftovers", "purge", "s3://b/x y"]


def test_they_have_the_system_properties_of_the_daemon(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As Flink's scripts put javaOptions into its command line, which the launch has recorded."""
    shared = [
        "-Djavax.net.ssl.trustStore=/etc/ca.p12",
        "-Dhttps.proxyHost=proxy",
        "-Djava.net.preferIPv6Addresses=true",
    ]
    options = ["-Xmx1g", "-XX:+UseG1GC", "-javaagent:/opt/a.jar=9250", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
    own = ["-Dlog.file=/var/log/flink/jm.log", "-Dlog4j.configuration=file:x", "-Dcom.sun.management.jmxremote.port=9"]
    words = [*options, *shared, *own, "-classpath", "/opt/flink/lib/a.jar", "a.Main", "-D", "a=b", "-Dc=d", ""]
    launch = root / "var/lib/flink/launch/expected"
    launch.mkdir(parents=True)
    (launch / "argv").write_text("\0".join(words))
    Java("flink", str(root)).run("Leftovers", "purge", "s3://b/x")
    given = capfd.readouterr().out.splitlines()
    assert given[given.index("-Dlog4j2.statusLoggerLevel=OFF") + 1 : given.index("-cp")] == shared


def test_no_credentials_are_needed(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "etc/flink/credentials.env").unlink()
    Java("flink", str(root)).lines("Leftovers")
    assert f"{root}/opt/flink/plugins \n" in capfd.readouterr().err


def test_other_sources_or_another_flink_are_compiled_again(root: Path) -> None:
    first = Path(Java("flink", str(root)).classes())
    (root / "usr/local/lib/flink/java/A.java").write_text("class A { }")
    second = Path(Java("flink", str(root)).classes())
    assert second != first and not first.exists()
    (root / "opt/flink").unlink()
    (root / "opt/flink").symlink_to("flink-2.4.0")
    third = Path(Java("flink", str(root)).classes())
    assert third.name.startswith("flink-2.4.0-") and second.exists(), "going back compiles nothing"
