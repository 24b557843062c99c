"""HDFS, by Hadoop's own client, which Flink finds on its class path.

The client is that of a release of Hadoop, which hosts install, or of one that is there. Only two of its jars are used,
with all that they need inside under other names, so that no library of Hadoop conflicts with one of Flink or a job
(https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/filesystems/overview/).
"""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pulumi

from .. import files, forms
from ..flink import releases
from ..flink.releases import Archive
from ..problems import Problems, shown
from . import keytab as keytab_file
from .base import Asked, Backend, ConfigFile, HostStep, Kind

CONF = "/etc/flink/hadoop"
"""Hadoop's configuration on hosts."""
JARS = "/usr/local/lib/flink/hadoop"
"""A folder with links to the client's jars for each release."""
_CLIENT = ("hadoop-client-api", "hadoop-client-runtime", "commons-logging")
_KEYTAB, _KRB5 = f"{CONF}/keytab", f"{CONF}/krb5.conf"
_KEYS = ("hadoopVersion", "hadoopUrl", "hadoopChecksum", "hadoopHome", "hadoopConf", "hadoopUser")
_KERBEROS = ("kerberosPrincipal", "kerberosKeytab", "kerberosConf")
_SECRET = re.compile(r"(?i)password|passphrase|secret|access\.?key|account\.key|\btoken\b")
_RPC_PORT = 8020
"""A NameNode's, unless the URI has another (hdfs-default.xml)."""


@dataclass(frozen=True, kw_only=True)
class Kerberos:
    """Who the daemons are. Each of them logs in by itself, and again before its ticket ends."""

    principal: str
    """Such as `flink@EXAMPLE.COM`, the same on all hosts."""
    keytab: pulumi.Input[str]
    """In base64. Pass it as a secret Output."""
    conf: str = ""
    """Text of krb5.conf. Empty: that of the hosts."""


@dataclass(frozen=True, kw_only=True)
class Hdfs(Backend):
    """HDFS, and what is mounted in a `viewfs://`."""

    SCHEMES: ClassVar[Sequence[str]] = ("hdfs", "viewfs")

    client: Archive | None = None
    """The release of Hadoop that hosts install. None: that in `home`."""
    home: str = ""
    """The folder of a release of Hadoop that is on all hosts that run Flink."""
    conf: Mapping[str, str] = field(default_factory=dict)
    """Names and texts of the files of Hadoop's configuration, such as core-site.xml."""
    user: str = ""
    """Who the daemons are, without Kerberos. Empty: the user that they run as."""
    kerberos: Kerberos | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """How Flink logs in."""
        if self.kerberos is None:
            return {}
        return {
            "security.kerberos.login.use-ticket-cache": False,
            "security.kerberos.login.keytab": _KEYTAB,
            "security.kerberos.login.principal": self.kerberos.principal,
        }

    @property
    def java_options(self) -> str:
        """Where the JVM finds the realm."""
        return f"-Djava.security.krb5.conf={_KRB5}" if self.kerberos and self.kerberos.conf else ""

    @property
    def environment(self) -> Mapping[str, str]:
        """The class path."""
        return {
            "HADOOP_CLASSPATH": ":".join(f"{self._jars}/{name}.jar" for name in _CLIENT),
            "HADOOP_CONF_DIR": CONF,
        }

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """Who the daemons are, and a digest of their configuration, because a change of it restarts them."""
        told = {**self.conf, "krb5.conf": self.kerberos.conf if self.kerberos else ""}
        text = "\0".join(f"{name}\0{told[name]}" for name in sorted(told))
        return {
            **({"HADOOP_USER_NAME": self.user} if self.user else {}),
            "FLINK_HADOOP_CONF": hashlib.sha256(text.encode()).hexdigest()[:16],
        }

    @property
    def _jars(self) -> str:
        return f"{JARS}/{self.client.version}" if self.client else f"{JARS}/home"

    @property
    def release(self) -> Archive | None:
        """Hadoop."""
        return self.client

    @property
    def release_check(self) -> str:
        """The client's jar."""
        return f"share/hadoop/client/hadoop-client-api-{self.client.version}.jar" if self.client else ""

    @property
    def host_step(self) -> HostStep:
        """Links to the jars, and configuration."""
        found = [ConfigFile(path=f"{CONF}/{name}", text=text) for name, text in sorted(self.conf.items())]
        if self.kerberos:
            found += [ConfigFile(path=_KRB5, text=self.kerberos.conf)] if self.kerberos.conf else []
            found += [ConfigFile(path=f"{_KEYTAB}.base64", text=self.kerberos.keytab, secret=True)]
        values = {
            "home": f"/opt/hadoop-{self.client.version}" if self.client else self.home,
            "jars": self._jars,
            "needed": _CLIENT,
            "keytab": _KEYTAB if self.kerberos else "",
        }
        return HostStep(script="storage/hdfs.sh", values=values, files=found)

    def server(self, uri: str) -> str:
        """The NameNodes: of a nameservice those that hdfs-site.xml has, of a mounted path those that it leads to."""
        known = _properties(self.conf)
        if uri.startswith("viewfs:"):
            target = _target(uri, known)
            return self.server(target) if target.startswith("hdfs:") else ""
        authority = uri.partition("://")[2].partition("/")[0]
        names = _list(known.get(f"dfs.ha.namenodes.{authority}", ""))
        if names:
            found = [known.get(f"dfs.namenode.rpc-address.{authority}.{name}", "") for name in names]
        else:
            found = [known.get(f"dfs.namenode.rpc-address.{authority}", "") or authority]
        addresses = [each if ":" in each else f"{each}:{_RPC_PORT}" for each in found if each]
        return f"tcp://{','.join(addresses)}"

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by what Hadoop says."""
        who = self.kerberos.principal if self.kerberos else self.user or "flink"
        return {
            "Permission denied|AccessControlException: Perm": f"expected a folder that belongs to {who} "
            "(`hdfs dfs -mkdir -p` and `-chown`, by HDFS's superuser)",
            "SIMPLE authentication is not enabled": "this HDFS asks for Kerberos: expected kerberosPrincipal and "
            "kerberosKeytab, and hadoop.security.authentication: kerberos in core-site.xml (hadoopConf)",
            "Clock skew": "this host's clock and that of the KDC or the NameNode differ by more than five minutes: "
            "expected the same time there and here (`timedatectl`)",
            "Client not found in Kerberos": f"expected a KDC (krb5.conf) that knows {who} (kerberosPrincipal)",
            "Pre-authentication|Checksum failed|Integrity check": f"the key in kerberosKeytab is not that of {who}: "
            "expected a keytab that was made after its last change",
            "Server not found in Kerberos|server's Kerberos principal|invalid Kerberos principal": "expected "
            "dfs.namenode.kerberos.principal in hadoopConf as the KDC and the NameNodes have it",
            "Cannot find KDC|Cannot locate|Cannot get kdc|default realm": "expected a krb5.conf (kerberosConf) with "
            f"the realm of {who} and its KDC",
            "LoginException.*(ConnectException|refused|timed out|Timeout|NoRoute|UnknownHost|ICMP)": "expected a KDC "
            "that this host reaches (krb5.conf)",
            "LoginException|KrbException|GSSException|GSS initiate": f"expected that the KDC of krb5.conf knows {who} "
            "with the key in kerberosKeytab",
            "NotInMountpoint|mount point|mount table": "expected a link for this path in the mount table "
            "(fs.viewfs.mounttable.… in hadoopConf)",
            "UnknownHostException": "expected a host that this one knows, or a nameservice of hdfs-site.xml "
            "(hadoopConf)",
            "[Ss]afe ?mode": "expected an HDFS out of safe mode (`hdfs dfsadmin -safemode get`)",
            "could only be written to 0|replicated to 0 nodes": "expected DataNodes that this host reaches"
            + (", and their dfs.data.transfer.protection in hadoopConf" if self.kerberos else ""),
            "StandbyException": "expected an active NameNode",
            "ConnectException|no answer|NoRouteToHost|SocketTimeout": "expected NameNodes there that this host reaches",
        }


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _properties(conf: Mapping[str, str]) -> dict[str, str]:
    """The properties of all files."""
    found: dict[str, str] = {}
    for text in conf.values():
        for entry in ET.fromstring(text).iter("property"):
            found[(entry.findtext("name") or "").strip()] = (entry.findtext("value") or "").strip()
    return found


def _read(asked: Asked) -> Hdfs:
    values, problems = asked.values, asked.problems
    home = values["hadoopHome"]
    if home:
        problems.catch("hadoopHome", lambda: forms.HOST_FOLDER(home), "")
        for key in ("hadoopUrl", "hadoopChecksum"):
            if values[key]:
                problems.add(key, f"has no effect with hadoopHome: {shown(home)}: remove one of the two")
    none: dict[str, str] = {}
    conf = problems.catch("hadoopConf", lambda: _conf(values["hadoopConf"], asked.root), none)
    kerberos = _kerberos(asked)
    _check_kerberos(conf, kerberos, values, problems)
    user = values["hadoopUser"]
    if user:
        problems.catch("hadoopUser", lambda: forms.USER(user), "")
        if kerberos:
            problems.add("hadoopUser", "has no effect with kerberosPrincipal: remove one of the two")
    for key, uri in asked.places.items():
        problems.catch(key, lambda uri=uri: _check_place(uri, _properties(conf)), None)  # type: ignore[misc]
    return Hdfs(
        client=None if home else releases.configured("hadoop", values, problems),
        home=home.rstrip("/"),
        conf=conf,
        user=user,
        kerberos=kerberos,
    )


def _conf(name: str, root: Path) -> dict[str, str]:
    """Names and texts of the files. Raises ValueError for what is none of Hadoop's configurations."""
    if not name:
        return {}
    folder = files.located(name, root)
    paths = [folder] if folder.is_file() else sorted(folder.glob("*-site.xml")) if folder.is_dir() else []
    if not paths:
        raise ValueError(f"{folder} has no core-site.xml: expected a folder with core-site.xml and hdfs-site.xml")
    found = {}
    for path in paths:
        text = files.text(path)
        try:
            root_element = ET.fromstring(text)
        except ET.ParseError as error:
            raise ValueError(f"{path} is not XML ({error}): expected a file of Hadoop's configuration") from None
        if root_element.tag != "configuration":
            raise ValueError(f"{path} has <{root_element.tag}>: expected <configuration>, as Hadoop has it")
        for entry in root_element.iter("property"):
            key = (entry.findtext("name") or "").strip()
            if _SECRET.search(key) and not key.endswith((".file", ".path", ".provider.path")):
                raise ValueError(f"{path} has {key}, which every user of the hosts could read: expected no secrets")
        found[path.name] = text
    return found


def _kerberos(asked: Asked) -> Kerberos | None:
    values, problems = asked.values, asked.problems
    principal, keytab, conf = (values[key] for key in _KERBEROS)
    if not (principal or keytab or conf):
        return None
    for key, other in (("kerberosPrincipal", "kerberosKeytab"), ("kerberosKeytab", "kerberosPrincipal")):
        if not values[key]:
            problems.add(key, f"is missing: expected it with {other if values[other] else 'kerberosConf'}")
    if principal:
        problems.catch("kerberosPrincipal", lambda: forms.PRINCIPAL(principal), "")
    asked.check_secret("kerberosKeytab", forms.KEYTAB)
    if principal and forms.KEYTAB.fits(keytab):
        problems.catch("kerberosKeytab", lambda: _check_keytab(keytab, principal), None)

    def read() -> str:
        return files.text(files.located(conf, asked.root)) if conf else ""

    return Kerberos(
        principal=principal,
        keytab=pulumi.Output.secret(keytab),
        conf=problems.catch("kerberosConf", read, ""),
    )


def _check_keytab(text: str, principal: str) -> None:
    """Raises ValueError if it has no key of this principal. Whose keys it has is no secret."""
    try:
        found = keytab_file.principals(base64.b64decode(text))
    except ValueError:
        raise ValueError(f"is not {forms.KEYTAB.what}: expected {forms.KEYTAB.expected}") from None
    if principal not in found:
        raise ValueError(
            f"has no key of {principal} (kerberosPrincipal), but of {', '.join(found) or 'nobody'}: expected its keytab"
        )


def _check_kerberos(
    conf: Mapping[str, str], kerberos: Kerberos | None, values: Mapping[str, Any], problems: Problems
) -> None:
    """Hadoop takes from its configuration whether there is Kerberos, whoever logs in."""
    asks = _properties(conf).get("hadoop.security.authentication", "simple").lower()
    if kerberos and asks != "kerberos" and (conf or not values["hadoopConf"]):
        problems.add(
            "hadoopConf",
            f"has hadoop.security.authentication {asks}, and there is a kerberosPrincipal: expected kerberos in "
            "core-site.xml",
        )
    named = [key for key in ("", ".pattern") if _properties(conf).get(f"dfs.namenode.kerberos.principal{key}")]
    if asks == "kerberos" and not named:
        problems.add(
            "hadoopConf",
            "has no dfs.namenode.kerberos.principal, and hadoop.security.authentication is kerberos: expected who the "
            "NameNodes are, such as nn/_HOST@EXAMPLE.COM",
        )
    if kerberos is None and asks == "kerberos":
        problems.add(
            "kerberosPrincipal",
            "is missing: hadoop.security.authentication is kerberos in hadoopConf; expected it, and kerberosKeytab",
        )


def _check_place(uri: str, known: Mapping[str, str]) -> None:
    """Raises ValueError for a place that this configuration of Hadoop does not lead to."""
    scheme, _, rest = uri.partition("://")
    authority = rest.partition("/")[0]
    if scheme == "viewfs":
        _check_mounted(uri, authority, known)
        return
    if ":" in authority:
        return
    services = _list(known.get("dfs.nameservices", ""))
    if authority not in services:
        raise ValueError(
            f"{uri}: {authority} is no nameservice of hadoopConf (dfs.nameservices: {', '.join(services) or 'none'}): "
            f"expected one of these, or HOST:PORT of a NameNode, such as {authority}:{_RPC_PORT}"
        )
    names = _list(known.get(f"dfs.ha.namenodes.{authority}", ""))
    for name in names:
        key = f"dfs.namenode.rpc-address.{authority}.{name}"
        if not known.get(key):
            raise ValueError(f"{uri}: hadoopConf has no {key}: expected HOST:PORT of this NameNode")
    failover = f"dfs.client.failover.proxy.provider.{authority}"
    if names and not known.get(failover):
        raise ValueError(
            f"{uri}: hadoopConf has no {failover}: expected "
            "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
        )


_MOUNTS = "fs.viewfs.mounttable."


def _links(table: str, known: Mapping[str, str]) -> dict[str, str]:
    """Paths of a mount table, and where they lead."""
    prefix = f"{_MOUNTS}{table}.link."
    return {key.removeprefix(prefix): value for key, value in known.items() if key.startswith(f"{prefix}/")}


def _target(uri: str, known: Mapping[str, str]) -> str:
    """Where a `viewfs://` leads; empty if no link of the mount table says so."""
    table, _, path = uri.partition("://")[2].partition("/")
    links = _links(table, known)
    found = [link for link in links if f"/{path}/".startswith(f"{link.rstrip('/')}/")]
    return links[max(found, key=len)] if found else ""


def _check_mounted(uri: str, table: str, known: Mapping[str, str]) -> None:
    """Raises ValueError for a `viewfs://` that leads nowhere."""
    prefix = f"{_MOUNTS}{table}."
    mounts = [key for key in known if key.startswith(prefix) and key != f"{prefix}homedir"]
    if not mounts:
        raise ValueError(f"{uri}: hadoopConf has no {prefix}…: expected the mount table in core-site.xml")
    target, links = _target(uri, known), _links(table, known)
    if target.startswith("hdfs://"):
        _check_place(target, known)
    # Other kinds of links (linkFallback, linkMergeSlash, linkRegx, …) may lead there
    elif not target and len(links) == len(mounts):
        raise ValueError(
            f"{uri}: hadoopConf has no {prefix}link.… for it, but for {', '.join(sorted(links))}: expected a path "
            "below one of these"
        )


KIND = Kind(
    title="HDFS",
    schemes=Hdfs.SCHEMES,
    uri=forms.HDFS_URI,
    keys=(*_KEYS, *_KERBEROS),
    secrets=("kerberosKeytab",),
    owned=(r"security\.kerberos\.login\..*",),
    step="hdfs",
    read=_read,
)
