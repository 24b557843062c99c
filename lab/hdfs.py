"""The lab's HDFS: NameNodes and a DataNode, ordinary processes over a directory, as the S3 server is.

Without a KDC nobody logs in: a client is who it says it is (`HADOOP_USER_NAME`), as in any HDFS without Kerberos. Each
server takes 150 MiB of memory.
"""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from lab.errors import LabError
from lab.kdc import REALM, Kdc
from lab.lab import free_port
from stand_ins.builds import hadoop
from toolbox import files
from toolbox.parallel import command

SUPERUSER = "hdfs"
"""Who the servers run as, in HDFS's eyes: it may do everything there."""
PORTS = {"namenode": 8020, "namenode-http": 9870, "datanode": 9866, "datanode-ipc": 9867, "datanode-http": 9864}
"""First port that is tried of each listener: Hadoop's defaults (hdfs-default.xml)."""
_JAVA = ("-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
# Hadoop asks the JDK for its realm
_KERBEROS = "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"
_MAIN = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
}


@dataclass(frozen=True)
class Hdfs:
    """An HDFS over `directory`, whose servers listen at `address`."""

    directory: Path
    address: str
    ports: Mapping[str, int]
    jars: Path
    kdc: Kdc | None = None
    """Who knows its users, if it believes nobody else."""

    @property
    def uri(self) -> str:
        """Its root, such as `hdfs://10.0.0.1:8020`."""
        return f"hdfs://{self._listener('namenode')}"

    def _listener(self, name: str) -> str:
        return f"{self.address}:{self.ports[name]}"

    def client_site(self, more: Mapping[str, str] | None = None) -> str:
        """The core-site.xml that clients need, with further properties."""
        return _site({**self._shared(), **(more or {})})

    def _shared(self) -> dict[str, str]:
        """Properties of clients and servers."""
        found = {
            "fs.defaultFS": self.uri,
            "dfs.replication": "1",
            # There is no other DataNode that could take the place of one (hdfs-default.xml: for three or fewer)
            "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        }
        if self.kdc:
            found |= {
                "hadoop.security.authentication": "kerberos",
                "dfs.namenode.kerberos.principal": f"{SUPERUSER}/nn@{REALM}",
                "dfs.data.transfer.protection": "authentication",
            }
        return found

    def _site(self) -> dict[str, str]:
        found = {
            **self._shared(),
            "dfs.namenode.name.dir": str(self.directory / "name"),
            "dfs.datanode.data.dir": str(self.directory / "blocks"),
            "dfs.namenode.http-address": self._listener("namenode-http"),
            "dfs.datanode.address": self._listener("datanode"),
            "dfs.datanode.ipc.address": self._listener("datanode-ipc"),
            "dfs.datanode.http.address": self._listener("datanode-http"),
            # The lab's addresses have no names
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            # No wait for more reports: there is one DataNode
            "dfs.namenode.safemode.extension": "0",
        }
        if self.kdc:
            found |= {
                "dfs.namenode.keytab.file": str(self.kdc.keytab(f"{SUPERUSER}/nn", "namenode")),
                "dfs.datanode.kerberos.principal": f"dn/dn@{REALM}",
                "dfs.datanode.keytab.file": str(self.kdc.keytab("dn/dn", "datanode")),
                "dfs.block.access.token.enable": "true",
                # Short, as tickets are: a test sees several end
                "dfs.namenode.delegation.token.renew-interval": "120000",
                "dfs.namenode.delegation.token.max-lifetime": "180000",
                # Otherwise its web server must have a certificate
                "ignore.secure.ports.for.testing": "true",
            }
        return found

    def _argv(self, *words: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise LabError("HDFS needs Java on this machine, and there is none")
        realm = [_KERBEROS, f"-Djava.security.krb5.conf={self.kdc.conf}"] if self.kdc else []
        return [java, *_JAVA, *realm, "-cp", f"{self.directory / 'conf'}:{self.jars}/*", *words]

    def server(self, name: str, *words: str) -> list[str]:
        """The command line of a server such as `namenode`. `prepare` comes first."""
        return self._argv(_MAIN[name], *words)

    @property
    def environment(self) -> dict[str, str]:
        """For the servers."""
        return {"HADOOP_USER_NAME": SUPERUSER}

    def _configure(self) -> None:
        conf = self.directory / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        for name in ("core-site.xml", "hdfs-site.xml"):
            files.write(conf / name, _site(self._site()))

    def prepare(self) -> None:
        """Write the servers' configuration, and format the NameNode's folder once."""
        self._configure()
        if not (self.directory / "name/current/VERSION").exists():
            self._once("namenode", "-format", "-nonInteractive")

    def _once(self, name: str, *words: str) -> None:
        command(self.server(name, *words), env=self.environment, timeout=180)

    def shell(self, *words: str, user: str = SUPERUSER) -> str:
        """What `hdfs dfs WORDS` prints, as the superuser or another; `CommandError` if it fails."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        argv = self._argv(quiet, "org.apache.hadoop.fs.FsShell", *words)
        variables = {"HADOOP_USER_NAME": user}
        if self.kdc:
            principal, name = (f"{SUPERUSER}/nn", "namenode") if user == SUPERUSER else (user, user)
            variables = {"KRB5CCNAME": str(self.kdc.ticket(principal, self.kdc.keytab(principal, name)))}
        return command(argv, env=variables, timeout=180)

    def home(self, path: str, owner: str) -> None:
        """Make a folder that belongs to this user, as the administrator of an HDFS does."""
        self.shell("-mkdir", "-p", path)
        self.shell("-chown", owner, path)

    def namenode_problem(self, name: str = "namenode") -> str | None:
        """The problem of a NameNode; None if it answers."""
        answer = self._state(name)
        return answer if isinstance(answer, str) else None

    def problem(self) -> str | None:
        """The problem of all servers; None if files can be written."""
        return self._namespace_problem("namenode")

    def _namespace_problem(self, name: str) -> str | None:
        answer = self._state(name)
        if isinstance(answer, str):
            return answer
        if answer["NumLiveDataNodes"] != 1:
            return f"{answer['NumLiveDataNodes']} DataNodes are alive, expected one"
        return None if answer["FSState"] == "Operational" else f"it is in {answer['FSState']}"

    def _state(self, name: str, bean: str = "FSNamesystemState") -> dict[str, object] | str:
        url = f"http://{self._listener(f'{name}-http')}/jmx?qry=Hadoop:service=NameNode,name={bean}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=5) as answer:
                beans: list[dict[str, object]] = json.load(answer)["beans"]
        except (urllib.error.URLError, OSError, ValueError) as error:
            return str(error)
        return beans[0] if beans else "it has no state yet"


def at(directory: Path, address: str, kdc: Kdc | None = None) -> Hdfs:
    """A new HDFS over `directory` with free ports of this address."""
    return Hdfs(directory, address, _free(address, PORTS), hadoop.jars(), kdc)


def _free(address: str, preferred: Mapping[str, int]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for name, port in preferred.items():
        ports[name] = free_port(address, port, set(ports.values()))
    return ports


def _site(properties: Mapping[str, str]) -> str:
    """A file of Hadoop's configuration."""
    lines = [
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    return "\n".join(["<configuration>", *lines, "</configuration>", ""])
