"""HistoryServer: what is refused, what it changes for a cluster, what it reads and where it is reached."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml

from components.frontdoor.caddyfile import HISTORY_PREFIX
from components.frontdoor.rights import HISTORY, UI, Right, patterns_below
from tests.unit.program import SEVEN, host, refused, write_inventory
from tests.unit.test_program import run, stdin

USERS = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
FILE = re.compile(r"write_file (\S+) \S+ \S+ <<'END_OF_FILE'\n(.*?)\nEND_OF_FILE", re.DOTALL)


def made(folder: Path, **changes: Any) -> dict[str, Any]:
    write_inventory(folder, *map(host, SEVEN))
    return run(folder, **changes)


def config(text: str, path: str) -> dict[str, Any]:
    """config.yaml in a step."""
    found: dict[str, Any] = yaml.safe_load(dict(FILE.findall(text))[path])
    return found


def test_without_it_there_is_nothing_of_it(folder: Path) -> None:
    found = made(folder, tls=True, frontDoor=True, frontDoorUsers=USERS)
    assert not [name for name in found if name.endswith("-history")]
    assert "/history/" not in stdin(found, "jm-0-front-door")
    assert "jobmanager.archive.fs.dir" not in stdin(found, "jm-0-config")
    # It is removed from a host that had it
    assert re.search(r"^absent=\(.*\bhistory\b", stdin(found, "jm-0-system"), re.MULTILINE)


@pytest.mark.parametrize("tls", [False, True])
def test_each_jobmanagers_host_has_one_that_reads_what_jobmanagers_write(folder: Path, tls: bool) -> None:
    found = made(folder, tls=tls, frontDoor=True, frontDoorUsers=USERS, history=True)
    assert sorted(name for name in found if name.endswith("-history")) == ["jm-0-history", "jm-1-history"]
    written = config(stdin(found, "jm-0-config"), "/etc/flink/config.yaml")["jobmanager.archive.fs.dir"]
    assert written.endswith("/history/dev")
    text = stdin(found, "jm-1-history")
    read = config(text, "/etc/flink-history/config.yaml")
    assert read["historyserver.archive.fs.dir"] == written
    assert read["historyserver.web.address"] == "127.0.0.1"
    assert read["historyserver.web.ssl.enabled"] is tls
    assert (read["historyserver.archive.retained-ttl"], read["historyserver.archive.retained-jobs"]) == (
        "2592000 s",
        200,
    )
    assert ("options.yaml" in text) is tls and "password" not in str(read)
    door = stdin(found, "jm-0-front-door")
    assert f"uri strip_prefix {HISTORY_PREFIX}\n" in door
    assert f"reverse_proxy {'https' if tls else 'http'}://127.0.0.1:8082 {{" in door
    assert ("tls_server_name localhost" in door) is tls


def test_its_bounds_are_the_stacks_and_another_certificate_lets_its_step_run_again(folder: Path) -> None:
    one = stdin(made(folder, history=True, historyRetention="2 d", historyJobs=50), "jm-0-history")
    read = config(one, "/etc/flink-history/config.yaml")
    assert read["historyserver.archive.retained-ttl"] == "172800 s"
    assert read["historyserver.archive.retained-applications"] == 50
    # What a JobManager restarts for is in the step's text
    assert re.search(r"^wants='.*credentials=", one, re.MULTILINE)
    own = {"historyserver.archive.fs.refresh-interval": "5 s"}
    read = config(stdin(made(folder, history=True, flinkConfig=own), "jm-0-history"), "/etc/flink-history/config.yaml")
    assert read["historyserver.archive.fs.refresh-interval"] == "5 s"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"historyJobs": 10}, "historyJobs: has no effect without a HistoryServer"),
        ({"historyRetention": "1 d"}, "historyRetention: has no effect without a HistoryServer"),
        ({"history": True, "historyJobs": 0}, "historyJobs: 0 is out of range: expected 1 to 2000"),
        ({"history": True, "historyRetention": "5 min"}, "historyRetention: 5 min is too short: expected 1 h or more"),
        ({"history": True, "historyRetention": "soon"}, "historyRetention: 'soon' is not"),
        (
            {"frontDoor": True, "frontDoorPort": 8082, "frontDoorUsers": USERS},
            "frontDoorPort: 8082 is another port of the cluster",
        ),
    ],
)
def test_wrong_settings_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    write_inventory(folder, *map(host, SEVEN))
    assert said in refused(folder, **changes)


def test_archives_go_with_the_cluster_only_with_its_state(folder: Path) -> None:
    for keep in (True, False):
        text = str(made(folder, history=True, keepState=keep)["dev-purge"].inputs)
        assert ("/history/dev" in text) is not keep


def test_it_leads_to_logs_where_they_are(folder: Path) -> None:
    """Behind a front door that says where they are; without one the address is that of a tunnel."""
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    found = run(folder, history=True, logsRetention="2 d")
    read = config(stdin(found, "jm-0-history"), "/etc/flink-history/config.yaml")
    for daemon, query in (("jobmanager", 'job_id:="<jobid>"'), ("taskmanager", '{host="<tmid>"} job_id:="<jobid>"')):
        page, _, values = read[f"historyserver.log.{daemon}.url-pattern"].partition("#/?")
        assert page == "http://localhost:9428/logs/select/vmui/"
        # Flink replaces the words, so they are written as they are
        assert "<jobid>" in values
        assert dict(parse_qsl(values)) == {"query": query, "g0.relative_time": "last_2_days"}
    door = {"frontDoor": True, "frontDoorUsers": USERS}
    for changes, known in ((door, True), ({**door, "logsStore": False}, False), ({"logsStore": False}, False)):
        found = run(folder, history=True, **changes)
        assert "url-pattern" not in stdin(found, "jm-0-history")
        if "frontDoor" in changes:
            text = stdin(found, "jm-0-front-door")
            assert ("/log-url" in text and '{"url":"../logs/select/vmui/#/?query=' in text) is known


def test_people_read_what_it_has_and_nothing_else() -> None:
    ((method, pattern),) = patterns_below(HISTORY_PREFIX, HISTORY, Right.READ, UI)
    job = "a" * 32
    assert method == "GET" and {each.right for each in HISTORY} == {Right.READ}
    for path in ("", "main.a1.js", "assets/favicon/favicon.ico", "config", "jobs/overview", f"jobs/{job}/exceptions"):
        assert re.fullmatch(pattern, f"/history/{path}"), path
    # It answers "File not found.", of which its page says nothing; of a refusal it does
    for path in ("overview", f"jobs/{job}/vertices/{job}/metrics", f"jobs/{job}/vertices/{job}/subtasks/metrics"):
        assert re.fullmatch(pattern, f"/history/{path}"), path
    for path in ("jars", "jobmanager/logs", f"jobs/{job}/yarn-cancel", "../jars", "%2e%2e/jars", "taskmanagers"):
        assert not re.fullmatch(pattern, f"/history/{path}"), path
