"""The interface of a kind of storages."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pulumi

from ..flink.releases import Archive
from ..forms import Form
from ..problems import Problems

LOCAL_FILES: Mapping[str, str] = {"fs.file.impl": "org.apache.hadoop.fs.LocalFileSystem"}
"""For plugins that keep files on the host while a FileSink writes them. If that is the first that a TaskManager does
with the plugin, its Hadoop looks for the local file system in the job's classes, and the job never runs again: No
FileSystem for scheme "file" (seen with Flink 2.3.0, plugins for OSS and Azure).
"""


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A file on hosts: absolute path, text."""

    path: str
    text: pulumi.Input[str]
    secret: bool = False
    """Only the daemons' user may read it, and only hosts that use the storage have it. Then the text is a secret."""


@dataclass(frozen=True, kw_only=True)
class HostStep:
    """A step on hosts that run Flink: a script of host_scripts with its values and files."""

    script: str
    values: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    files: Sequence[ConfigFile] = ()


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Storages of one kind, as the hosts of a cluster use them. A kind overrides what it has; the defaults are those of
    a storage that needs nothing of it.
    """

    SCHEMES: ClassVar[Sequence[str]]
    """Of URIs on them."""

    @property
    def plugins(self) -> Sequence[str]:
        """Flink's file systems in `opt/` of its release that hosts install as plugins."""
        return ()

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options in Flink's config.yaml. None of them is a secret."""
        return {}

    @property
    def java_options(self) -> str:
        """JVM options of the daemons."""
        return ""

    @property
    def hadoop(self) -> Mapping[str, str]:
        """Options of the Hadoop within its plugin that Flink does not pass on to it."""
        return {}

    def through(self, proxy: str) -> Mapping[str, Any]:
        """The options with which Flink reaches it through a proxy (a URL); none if it reaches it directly."""
        return {}

    @property
    def without_proxy(self) -> str:
        """For a warning: why Flink does not reach it through a proxy; empty if it does."""
        return "Flink reaches the storage directly"

    @property
    def entropy(self) -> str:
        """What stands in the path of checkpoints for a random name, which its options declare; empty without."""
        return ""

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables of all that runs Flink's code, also of clients; none is a secret."""
        return {}

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """Those of the daemons alone, and of what runs with their rights. Another value restarts them."""
        return {}

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """Environment variables of the daemons that are secrets. Without any, hosts need an identity of their own."""
        return {}

    def server(self, uri: str) -> str:
        """URL of the server that has `uri`: of an HTTP server, or `tcp://` with servers of which one has to accept
        connections, such as `tcp://nn-0:8020,nn-1:8020`. Empty if there is none that could be asked.
        """
        return ""

    def folder(self, uri: str) -> str:
        """The folder of hosts that `uri` is, which has to be the same one on all of them; empty if it is none."""
        return ""

    @property
    def release(self) -> Archive | None:
        """What hosts install for it besides Flink: an archive that has the file `release_check`."""
        return None

    @property
    def release_check(self) -> str:
        """A file that the release must have."""
        return ""

    @property
    def host_step(self) -> HostStep | None:
        """What is done on all hosts that run Flink, after they have its release."""
        return None

    def host_look(self, uri: str, options: Collection[str]) -> Mapping[str, str | bool] | None:
        """What the host tool has to know to look at a place without Flink's file systems (host_tool/s3_look.py), which
        costs a tenth of a JVM's start. None if only Flink can use it: then hosts write, list, read and delete a file on
        it before Flink starts, with Flink's file systems (storage/access.sh). `options` are the names of the options of
        Flink that the stack itself has set.
        """
        return None

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by an extended regular expression for what was said when that failed; the first counts."""
        return {}

    @property
    def signing_region(self) -> str:
        """The region for which hosts sign URLs of copies of releases, which they keep without Flink
        (host_scripts/copies.sh). Empty if they can keep none: then `no_copies` says why.
        """
        return ""

    @property
    def no_copies(self) -> str:
        """Why hosts can keep no copies of releases on it, for the key `archiveCopies`; empty if they can."""
        return "needs URLs that hosts sign, which only S3 has: expected a storageUri on S3, or false"


def proxy_options(prefix: str, proxy: str) -> Mapping[str, Any]:
    """The options of a client of Hadoop's for a proxy (a URL), such as `fs.s3a.proxy.host`."""
    parts = urlsplit(proxy)
    # Without a port it would be taken from the storage's URL
    return {f"{prefix}.proxy.host": parts.hostname or "", f"{prefix}.proxy.port": parts.port or 80}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The input of `Kind.read`."""

    values: Mapping[str, Any]
    """Configuration keys → values of the types that Pulumi.yaml declares."""
    places: Mapping[str, str]
    """Keys of the places that are on this kind of storage → their URIs. Without any, the provider creates it."""
    region: str
    """Where the provider creates it; empty if it creates none."""
    root: Path
    """Base of relative paths."""
    problems: Problems
    """Invalid values are added here, with their keys."""

    def check_secret(self, key: str, form: Form) -> None:
        """Add a problem if a secret that is there does not have its form; the text itself is not shown."""
        if self.values[key] and not form.fits(self.values[key]):
            self.problems.add(key, f"is not {form.what}: expected {form.expected}")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of storages: a row of the table."""

    title: str
    """For people."""
    schemes: Sequence[str]
    """Of URIs on it."""
    uri: Form
    """Places on it."""
    keys: Sequence[str]
    """The configuration keys that mean something to it alone."""
    secrets: Sequence[str] = ()
    """Those of them that are secrets."""
    owned: Sequence[str] = ()
    """Regular expressions of the options of Flink that `Backend.options` sets, so that a stack may not."""
    step: str = ""
    """The name of the script of `Backend.host_step`, without `.sh`, if there is one."""
    read: Callable[[Asked], Backend] = field(repr=False)
    """Its settings, checked without a request to anything."""


def hadoop_site(options: Mapping[str, str]) -> str:
    """A core-site.xml with these options, on one line."""
    found = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in options.items()
    )
    return f"<configuration>{found}</configuration>"
