"""The lab's HDFS: a NameNode and a DataNode, ordinary processes over a directory, as the S3 server is.

Nobody logs in: a client is who it says it is (`HADOOP_USER_NAME`), as in any HDFS without Kerberos. Each server takes
150 MiB of memory.
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
from lab.lab import free_port
from stand_ins.builds import hadoop
from toolbox import files
from toolbox.parallel import command

SUPERUSER = "hdfs"
"""Who the servers run as, in HDFS's eyes: it may do everything there."""
PORTS = {"namenode": 8020, "namenode-http": 9870, "datanode": 9866, "datanode-ipc": 9867, "datanode-http": 9864}
"""First port that is tried of each listener: Hadoop's defaults (hdfs-default.xml)."""
_JAVA = ("-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
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

    @property
    def uri(self) -> str:
        """Its root, such as `hdfs://10.0.0.1:8020`."""
        return f"hdfs://{self.address}:{self.ports['namenode']}"

    def client_site(self) -> str:
        """The core-site.xml that clients need."""
        return _site(
            {
                "fs.defaultFS": self.uri,
                "dfs.replication": "1",
                # There is no other DataNode that could take the place of one (hdfs-default.xml: for three or fewer)
                "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
            }
        )

    def _site(self) -> str:
        def listener(name: str) -> str:
            return f"{self.address}:{self.ports[name]}"

        return _site(
            {
                "fs.defaultFS": self.uri,
                "dfs.namenode.name.dir": str(self.directory / "name"),
                "dfs.datanode.data.dir": str(self.directory / "blocks"),
                "dfs.namenode.http-address": listener("namenode-http"),
                "dfs.datanode.address": listener("datanode"),
                "dfs.datanode.ipc.address": listener("datanode-ipc"),
                "dfs.datanode.http.address": listener("datanode-http"),
                # The lab's addresses have no names
                "dfs.namenode.datanode.registration.ip-hostname-check": "false",
                "dfs.replication": "1",
                # No wait for more reports: there is one DataNode
                "dfs.namenode.safemode.extension": "0",
            }
        )

    def _argv(self, *words: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise LabError("HDFS needs Java on this machine, and there is none")
        return [java, *_JAVA, "-cp", f"{self.directory / 'conf'}:{self.jars}/*", *words]

    def server(self, name: str) -> list[str]:
        """The command line of the server `namenode` or `datanode`. `prepare` comes first."""
        return self._argv(_MAIN[name])

    @property
    def environment(self) -> dict[str, str]:
        """For the servers."""
        return {"HADOOP_USER_NAME": SUPERUSER}

    def prepare(self) -> None:
        """Write the servers' configuration, and format the NameNode's folder once."""
        conf = self.directory / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        for name in ("core-site.xml", "hdfs-site.xml"):
            files.write(conf / name, self._site())
        if not (self.directory / "name/current/VERSION").exists():
            words = [_MAIN["namenode"], "-format", "-nonInteractive"]
            command(self._argv(*words), env=self.environment, timeout=180)

    def shell(self, *words: str, user: str = SUPERUSER) -> str:
        """What `hdfs dfs WORDS` prints, as the superuser or another; `CommandError` if it fails."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        argv = self._argv(quiet, "org.apache.hadoop.fs.FsShell", *words)
        return command(argv, env={"HADOOP_USER_NAME": user}, timeout=180)

    def home(self, path: str, owner: str) -> None:
        """Make a folder that belongs to this user, as the administrator of an HDFS does."""
        self.shell("-mkdir", "-p", path)
        self.shell("-chown", owner, path)

    def namenode_problem(self) -> str | None:
        """The problem of the NameNode; None if it answers."""
        answer = self._state()
        return answer if isinstance(answer, str) else None

    def problem(self) -> str | None:
        """The problem of both servers; None if files can be written."""
        answer = self._state()
        if isinstance(answer, str):
            return answer
        if answer["NumLiveDataNodes"] != 1:
            return f"{answer['NumLiveDataNodes']} DataNodes are alive, expected one"
        return None if answer["FSState"] == "Operational" else f"it is in {answer['FSState']}"

    def _state(self) -> dict[str, object] | str:
        url = f"http://{self.address}:{self.ports['namenode-http']}/jmx"
        url += "?qry=Hadoop:service=NameNode,name=FSNamesystemState"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=5) as answer:
                beans: list[dict[str, object]] = json.load(answer)["beans"]
        except (urllib.error.URLError, OSError, ValueError) as error:
            return str(error)
        return beans[0] if beans else "it has no state yet"


def at(directory: Path, address: str) -> Hdfs:
    """A new HDFS over `directory` with free ports of this address."""
    ports: dict[str, int] = {}
    for name, preferred in PORTS.items():
        ports[name] = free_port(address, preferred, set(ports.values()))
    return Hdfs(directory, address, ports, hadoop.jars())


def _site(properties: Mapping[str, str]) -> str:
    """A file of Hadoop's configuration."""
    lines = [
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in properties.items()
    ]
    return "\n".join(["<configuration>", *lines, "</configuration>", ""])
