"""The lab's HDFS: NameNodes and a DataNode, ordinary processes over a directory, as the S3 server is.

Without a KDC nobody logs in: a client is who it says it is (`HADOOP_USER_NAME`), as in any HDFS without Kerberos. Each
server takes 150 MiB of memory.
"""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

from lab import jar
from lab.errors import LabError
from lab.kdc import REALM, Kdc
from lab.lab import free_port, port_problem
from stand_ins.builds import archives, fetch, hadoop
from toolbox import files
from toolbox.parallel import command
from toolbox.paths import cache_dir

SUPERUSER = "hdfs"
"""Who the servers run as, in HDFS's eyes: it may do everything there."""
PORTS = {"namenode": 8020, "namenode-http": 9870, "datanode": 9866, "datanode-ipc": 9867, "datanode-http": 9864}
"""First port that is tried of each listener: Hadoop's defaults (hdfs-default.xml)."""
PAIR_PORTS = {
    **PORTS,
    **{"namenode-2": 8020, "namenode-2-http": 9870, "zkfc": 8019, "zkfc-2": 8019},
    **{"journalnode": 8485, "journalnode-http": 8480, "zookeeper": 2181},
}
"""Those of `Pair`."""
NAMESERVICE = "prod"
_JAVA = ("-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
# Hadoop asks the JDK for its realm
_KERBEROS = "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"
_MAIN = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "journalnode": "org.apache.hadoop.hdfs.qjournal.server.JournalNode",
    "zkfc": "org.apache.hadoop.hdfs.tools.DFSZKFailoverController",
    "zookeeper": "org.apache.hadoop.shaded.org.apache.zookeeper.server.ZooKeeperServerMain",
}
Serve = Callable[[str, list[str], Mapping[str, str], Callable[[], str | None]], None]
"""Starts a server with its name, command line, environment and problem: `lab.lab.Lab.serve`."""


@dataclass(frozen=True)
class Hdfs:
    """An HDFS over `directory`, whose servers listen at `address`."""

    directory: Path
    address: str
    ports: Mapping[str, int]
    jars: Path
    kdc: Kdc | None = None
    """Who knows its users, if it believes nobody else."""
    classes: str = ""
    """A folder with what the jars lack."""

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
        classes = f":{self.classes}" if self.classes else ""
        realm = [_KERBEROS, f"-Djava.security.krb5.conf={self.kdc.conf}"] if self.kdc else []
        return [java, *_JAVA, *realm, "-cp", f"{self.directory / 'conf'}:{self.jars}/*{classes}", *words]

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

    def start(self, serve: Serve) -> None:
        """All servers, in their order."""
        self.prepare()
        serve("namenode", self.server("namenode"), self.environment, self.namenode_problem)
        serve("datanode", self.server("datanode"), self.environment, self.problem)

    def shell(self, *words: str, user: str = SUPERUSER) -> str:
        """What `hdfs dfs WORDS` prints, as the superuser or another; `CommandError` if it fails."""
        argv, variables = self._shell(words, user)
        return command(argv, env=variables, timeout=180)

    def listed(self) -> list[str]:
        """The lines of `hdfs dfs -ls -R /`, without what is removed meanwhile; `LabError` if it fails otherwise."""
        argv, variables = self._shell(("-ls", "-R", "/"), SUPERUSER)
        done = subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=180)
        others = [line for line in done.stderr.splitlines() if "No such file or directory" not in line]
        if done.returncode and (others or not done.stderr):
            raise LabError(f"hdfs dfs -ls -R / ended with status {done.returncode}: {' '.join(others)}")
        return done.stdout.splitlines()

    def _shell(self, words: Sequence[str], user: str) -> tuple[list[str], dict[str, str]]:
        """A command of FsShell and its variables."""
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        argv = self._argv(quiet, "org.apache.hadoop.fs.FsShell", *words)
        if not self.kdc:
            return argv, {"HADOOP_USER_NAME": user}
        principal, name = (f"{SUPERUSER}/nn", "namenode") if user == SUPERUSER else (user, user)
        return argv, {"KRB5CCNAME": str(self.kdc.ticket(principal, self.kdc.keytab(principal, name)))}

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


@dataclass(frozen=True)
class Pair(Hdfs):
    """An HDFS with two NameNodes, of which one is active and the other takes over by itself: each has a failover
    controller, which ask a ZooKeeper server of their own, and what the active one writes is on a JournalNode.
    """

    NAMENODES = ("namenode", "namenode-2")

    @property
    def uri(self) -> str:
        """The nameservice."""
        return f"hdfs://{NAMESERVICE}"

    def _shared(self) -> dict[str, str]:
        provider = "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        return {
            **super()._shared(),
            "dfs.nameservices": NAMESERVICE,
            f"dfs.ha.namenodes.{NAMESERVICE}": ",".join(self.NAMENODES),
            **{f"dfs.namenode.rpc-address.{NAMESERVICE}.{name}": self._listener(name) for name in self.NAMENODES},
            f"dfs.client.failover.proxy.provider.{NAMESERVICE}": provider,
        }

    def _site(self) -> dict[str, str]:
        found = {
            **super()._site(),
            "dfs.namenode.shared.edits.dir": f"qjournal://{self._listener('journalnode')}/{NAMESERVICE}",
            "dfs.journalnode.edits.dir": str(self.directory / "journal"),
            "dfs.journalnode.rpc-address": self._listener("journalnode"),
            "dfs.journalnode.http-address": self._listener("journalnode-http"),
            "dfs.ha.automatic-failover.enabled": "true",
            "ha.zookeeper.quorum": self._listener("zookeeper"),
            "ha.zookeeper.session-timeout.ms": "5000",
            # The JournalNode accepts one writer alone, so no other fence is needed
            "dfs.ha.fencing.methods": "shell(/bin/true)",
        }
        for name, zkfc in zip(self.NAMENODES, ("zkfc", "zkfc-2"), strict=True):
            own = f"{NAMESERVICE}.{name}"
            found |= {
                f"dfs.namenode.name.dir.{own}": str(self._folder(name)),
                f"dfs.namenode.http-address.{own}": self._listener(f"{name}-http"),
                f"dfs.ha.zkfc.port.{own}": str(self.ports[zkfc]),
            }
        return found

    def _folder(self, name: str) -> Path:
        return self.directory / f"name-{name}"

    def _as(self, server: str, namenode: str, *words: str) -> list[str]:
        """The command line of a server of a NameNode: both have the same address, which says which one usually."""
        return self.server(server, "-D", f"dfs.ha.namenode.id={namenode}", *words)

    def start(self, serve: Serve) -> None:
        """All servers, in their order."""
        self._configure()
        zookeeper = self.directory / "zoo.cfg"
        (self.directory / "zookeeper").mkdir(exist_ok=True)
        files.write(
            zookeeper,
            f"dataDir={self.directory / 'zookeeper'}\nclientPort={self.ports['zookeeper']}\n"
            f"clientPortAddress={self.address}\nadmin.enableServer=false\ntickTime=1000\n",
        )
        serve("hdfs-zookeeper", self.server("zookeeper", str(zookeeper)), {}, partial(self._closed, "zookeeper"))
        serve("journalnode", self.server("journalnode"), self.environment, partial(self._closed, "journalnode"))
        one, other = self.NAMENODES
        if not self._folder(other).exists():
            command(self._as("namenode", one, "-format", "-nonInteractive"), env=self.environment, timeout=180)
            # The other one begins with the same (HDFSHighAvailabilityWithQJM.html: or by -bootstrapStandby)
            shutil.copytree(self._folder(one), self._folder(other))
            command(self._as("zkfc", one, "-formatZK", "-nonInteractive"), env=self.environment, timeout=180)
        for name in self.NAMENODES:
            self.start_namenode(serve, name)
        serve("datanode", self.server("datanode"), self.environment, self.problem)

    def start_namenode(self, serve: Serve, name: str) -> None:
        """A NameNode and its failover controller."""
        serve(name, self._as("namenode", name), self.environment, partial(self.namenode_problem, name))
        zkfc = f"zkfc-{name}"
        serve(zkfc, self._as("zkfc", name), self.environment, lambda: None)

    def _closed(self, name: str) -> str | None:
        """The problem of a server; None if it accepts connections."""
        return port_problem(self.address, self.ports[name])

    def active(self) -> str:
        """The name of the active NameNode; empty if none is."""
        states = {name: self._state(name, "NameNodeStatus") for name in self.NAMENODES}
        return next((name for name, it in states.items() if isinstance(it, dict) and it["State"] == "active"), "")

    def problem(self) -> str | None:
        """The problem of the active NameNode and the DataNode; None if files can be written."""
        active = self.active()
        return self._namespace_problem(active) if active else "no NameNode is active"


def at(directory: Path, address: str, kdc: Kdc | None = None) -> Hdfs:
    """A new HDFS over `directory` with free ports of this address."""
    return Hdfs(directory, address, _free(address, PORTS), hadoop.jars(), kdc)


def pair(directory: Path, address: str) -> Pair:
    """The same with two NameNodes."""
    return Pair(directory, address, _free(address, PAIR_PORTS), hadoop.jars(), classes=str(_classes()))


def _classes() -> Path:
    """A folder with the class that ZooKeeper's client in Hadoop's jars lacks."""
    source = Path(hadoop.__file__).parent / "hadoop/Testable.java"

    def make(to: Path) -> None:
        with jar.jdk(archives.ensure().java) as home:
            jar.compile_java(home / "bin/javac", [source], to)

    path = cache_dir() / f"jars/hadoop-{hadoop.VERSION}"
    fetch.cached(path, make)
    return path


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
