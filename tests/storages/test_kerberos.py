"""What a host says before Flink starts if Kerberos does not let it in: its program (Access.java), a KDC, an HDFS."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.remote import host_script
from components.storage import Hdfs, Kerberos
from lab import hdfs, kdc
from lab.kdc import REALM, Kdc
from stand_ins.builds import hadoop
from tests.storages.servers import Server, Storage, running

pytestmark = pytest.mark.exhaustive  # a JVM for each way, and two servers of Hadoop


@dataclass(frozen=True)
class Look:
    """A host's look at an HDFS."""

    folder: Path
    flink: Path
    realm: Kdc
    dfs: hdfs.Hdfs

    def said(self, name: str, keytab: Path, site: Mapping[str, str] | None = None) -> str:
        """What it says to who logs in with this keytab; empty if it can do all."""
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "core-site.xml").write_text(self.dfs.client_site(site))
        who = Hdfs(kerberos=Kerberos(principal=f"{name}@{REALM}", keytab="", conf="there"))
        options = {**who.options, "security.kerberos.login.keytab": str(keytab)}
        (conf / "config.yaml").write_text(json.dumps(options))
        program = self.folder / "Access.java"
        program.write_text(host_script("storage/Access.java").replace('"/etc/flink"', json.dumps(str(conf))))
        jars = [f"{self.flink}/lib/*", *(str(hadoop.jars() / jar) for jar in hadoop.CLIENT), str(conf)]
        argv = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Djava.security.krb5.conf={self.realm.conf}"]
        argv += ["--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED", "-cp", ":".join(jars)]
        argv += [str(program), f"{self.dfs.uri}/flink", "tm-0", "120"]
        (self.folder / "plugins").mkdir(exist_ok=True)
        variables = {"HADOOP_CONF_DIR": str(conf), "FLINK_PLUGINS_DIR": str(self.folder / "plugins")}
        done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=240)
        assert done.returncode == (1 if done.stdout else 0), done.stderr
        # As access.sh does
        hint = next((hint for pattern, hint in who.hints.items() if re.search(pattern, done.stdout)), "")
        return f"{done.stdout.strip()}; {hint}" if done.stdout else ""


def test_what_kerberos_refuses_is_told_apart(flink: Path, tmp_path: Path) -> None:
    realm = kdc.at(tmp_path / "kdc", "127.0.0.1")
    realm.prepare()

    def serving(environment: Mapping[str, str]) -> AbstractContextManager[None]:
        return running(Storage("", [Server("kdc", realm.server(), environment, realm.problem)], {}), tmp_path)

    dfs = hdfs.at(tmp_path / "hdfs", "127.0.0.1", realm)
    look = Look(tmp_path, flink, realm, dfs)
    with ExitStack() as kept:
        with serving(realm.environment):
            dfs.prepare()
            servers = [
                Server("namenode", dfs.server("namenode"), dfs.environment, dfs.namenode_problem),
                Server("datanode", dfs.server("datanode"), dfs.environment, dfs.problem),
            ]
            kept.enter_context(running(Storage(dfs.uri, servers, {}), tmp_path))
            dfs.home("/flink", "flink")
            # Each keytab of a principal has a new key, so the one before is of no use
            stale, gone = realm.keytab("flink", "stale"), realm.keytab("gone", "gone")
            keytab = realm.keytab("flink", "flink")
            realm.forget("gone")

            assert look.said("flink", keytab) == ""
            said = look.said("flink", stale)
            assert said.startswith("cannot log in: ") and f"kerberosKeytab is not that of flink@{REALM}" in said, said
            said = look.said("gone", gone)
            assert said.startswith("cannot log in: ") and f"a KDC (krb5.conf) that knows gone@{REALM}" in said, said
            said = look.said("flink", keytab, {"dfs.namenode.kerberos.principal": f"nn/other@{REALM}"})
            assert said.startswith("cannot write: ") and "expected dfs.namenode.kerberos.principal in" in said, said
        said = look.said("flink", keytab)
        assert said.startswith("cannot log in: ") and "expected a KDC that this host reaches (krb5.conf)" in said, said
        with serving(realm.skewed("+1h")):
            said = look.said("flink", keytab)
        assert said.startswith("cannot log in: ") and "this host's clock and that of the KDC" in said, said
