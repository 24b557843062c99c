"""What a host says before Flink starts if Kerberos does not let it in, with a real KDC and an HDFS that asks for it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from components.storage import Hdfs, Kerberos
from lab import hdfs, kdc
from lab.kdc import REALM
from tests.storages.looks import Look
from tests.storages.servers import Server, Storage, running

pytestmark = pytest.mark.exhaustive  # a JVM for each way, and two servers of Hadoop


def test_what_kerberos_refuses_is_told_apart(flink: Path, tmp_path: Path) -> None:
    realm = kdc.at(tmp_path / "kdc", "127.0.0.1")
    realm.prepare()
    dfs = hdfs.at(tmp_path / "hdfs", "127.0.0.1", realm)

    def serving(environment: Mapping[str, str]) -> AbstractContextManager[None]:
        return running(Storage("", [Server("kdc", realm.server(), environment, realm.problem)], {}), tmp_path)

    def said(name: str, keytab: Path, site: Mapping[str, str] | None = None) -> str:
        kind = Hdfs(kerberos=Kerberos(principal=f"{name}@{REALM}", keytab=""))
        options = {"security.kerberos.login.keytab": str(keytab)}
        java = (f"-Djava.security.krb5.conf={realm.conf}",)
        return Look(tmp_path, flink).said(f"{dfs.uri}/flink", dfs.client_site(site), kind, options, java)

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

            assert said("flink", keytab) == ""
            found = said("flink", stale)
            assert found.startswith("cannot log in: ") and f"kerberosKeytab is not that of flink@{REALM}" in found
            found = said("gone", gone)
            assert found.startswith("cannot log in: ") and f"a KDC (krb5.conf) that knows gone@{REALM}" in found
            found = said("flink", keytab, {"dfs.namenode.kerberos.principal": f"nn/other@{REALM}"})
            assert found.startswith("cannot write: ") and "expected dfs.namenode.kerberos.principal in" in found
        found = said("flink", keytab)
        assert found.startswith("cannot log in: ") and "expected a KDC that this host reaches (krb5.conf)" in found
        with serving(realm.skewed("+1h")):
            found = said("flink", keytab)
        assert found.startswith("cannot log in: ") and "this host's clock and that of the KDC" in found
