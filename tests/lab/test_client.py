"""A client host joins a running cluster, is used, and leaves; its commands also work on JobManagers' hosts."""

import base64
import re
import shlex

import yaml

from components import ports
from lab import flights
from lab.cluster import Cluster
from lab.flights import Options
from tests.lab import port_table

SQL = """\
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'TABLEAU';
SELECT SUM(n) AS total FROM (VALUES (40), (2)) AS t(n);
"""
TOTAL = re.compile(r"^\|\s+42 \|$", re.MULTILINE)

LEFT = "ls -d /opt/java* /opt/flink* /etc/flink* /var/lib/flink /var/log/flink /usr/local/lib/flink 2>/dev/null; true"


MEMBER = "sudo -n runuser -u admin -g admin -G flink -- env HOME=/home/admin"
"""On a client host: the user who logs in, as a member of the group whose certificate the REST API asks for."""
DAEMON = "sudo -n -iu flink"
"""On a JobManager's host."""


def sql(cluster: Cluster, host: str, who: str) -> str:
    """The output of `sql-client.sh` on a host for a query that the cluster computes."""
    cluster.lab.ssh(host, "cat > /tmp/query.sql && chmod 644 /tmp/query.sql", input=SQL)
    return cluster.lab.ssh(host, f"{who} /opt/flink/bin/sql-client.sh -f /tmp/query.sql 2>&1", timeout=300).stdout


def submit(cluster: Cluster, host: str) -> str:
    """Start a job with `flink run` on a host, find it in `flink list`, and cancel it; returns the first output."""
    lab, s3 = cluster.lab, cluster.s3
    jar = flights.build_jar(cluster.archives)
    lab.ssh(host, "base64 -d > /tmp/flights.jar", input=base64.b64encode(jar.read_bytes()).decode())
    options = Options(
        input=flights.prepare_input(s3, cluster.prefix),
        output=f"s3://{s3.bucket}/{cluster.prefix}tests/client",
        name="from-a-client",
        records_per_second=1000,
    )
    run = shlex.join(["/opt/flink/bin/flink", "run", "-d", "/tmp/flights.jar", *options.arguments()])
    said = lab.ssh(host, f"{MEMBER} {run} 2>&1", timeout=300).stdout
    job = said.rpartition("JobID ")[2].split()[0]
    listed = lab.ssh(host, f"{MEMBER} /opt/flink/bin/flink list 2>&1", timeout=300).stdout
    assert job in listed and "from-a-client" in listed, listed
    lab.ssh(host, f"{MEMBER} /opt/flink/bin/flink cancel {job} 2>&1", timeout=300)
    return said


def test_sql_client_runs_beside_a_jobmanager(cluster: Cluster) -> None:
    """Its gateway must not take the port of the JobManager's REST API, on the leader's host and on the standby's."""
    for name in cluster.hosts("jobmanager"):
        said = sql(cluster, name, DAEMON)
        assert TOTAL.search(said) and "Could not start rest endpoint" not in said, said
        # As the daemons' user, who owns the files in its configuration
        listed = cluster.lab.ssh(name, f"{DAEMON} /opt/flink/bin/flink list 2>&1", timeout=300).stdout
        assert "Waiting for response..." in listed and "INFO" not in listed, listed


def test_a_client_comes_works_and_leaves_and_no_daemon_restarts(cluster: Cluster) -> None:
    lab, stack = cluster.lab, cluster.stack
    before = cluster.processes()
    lab.up(clients=1)
    try:
        changed = stack.up().changed()
        assert "cl-0-config" in changed
        assert cluster.processes() == before
        assert lab.ssh("cl-0", "systemctl --failed --no-legend").stdout == ""
        assert lab.ssh("cl-0", "sudo -n /opt/java/bin/jps").stdout.split()[1:] == ["Jps"]
        assert lab.ssh("cl-0", "sudo -n find /etc/flink -name '*.env'").stdout == "", "it has no keys for the storage"
        said = sql(cluster, "cl-0", MEMBER)
        assert TOTAL.search(said), said
        said = submit(cluster, "cl-0")
        assert "Job has been submitted" in said and "INFO" not in said, said
        assert stack.up().changed() == []
        # Further: a client host, with four roles, operators and a stranger, but for the client host to itself
        assert port_table.differences(lab, ports.FRONT_DOOR.number) == [f"{12 * (6 * 4 - 1)} connections"]
        refused = lab.ssh("cl-0", "/opt/flink/bin/flink list 2>&1", check=False, timeout=300)
        assert refused.returncode, "who is no member of the group has no certificate"
        _leave(cluster)
        assert lab.ssh("cl-0", LEFT).stdout == ""
        assert cluster.processes() == before
    finally:
        lab.up(clients=0)
        stack.up()


def _leave(cluster: Cluster) -> None:
    """Remove the client from the inventory while its host is on."""
    path = cluster.lab.dir / "inventory.yaml"
    content = yaml.safe_load(path.read_text())
    content["hosts"] = [host for host in content["hosts"] if host["role"] != "client"]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    cluster.stack.up()
