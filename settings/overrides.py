"""Validation of a stack's own settings for config.yaml and zoo.cfg."""

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components import forms
from components.problems import Problems, shown
from components.storage.table import OWNED
from settings.flink_options import table

# Set by this program: an override would contradict the table of ports or the inventory.
_OWNED_KEYS = re.compile(
    r"high-availability\..*|rest\.(address|bind-address|port|bind-port)|blob\.server\.port|heartbeat\..*"
    r"|metrics\.internal\.query-service\.port|metrics\.reporter\.prom\..*"
    r"|jobmanager\.(rpc\..*|bind-host|memory\.process\.size)"
    r"|taskmanager\.(rpc\..*|data\.(port|bind-port)|host|bind-host|resource-id|memory\.process\.size"
    r"|numberOfTaskSlots)"
    rf"|{OWNED}"
    r"|env\.(java\.home|java\.opts\.all|log\.dir|pid\.dir)"
)
_OWNED_ZOOKEEPER_KEYS = re.compile(
    r"dataDir|dataLogDir|(secureC|c)lientPort.*|tickTime|initLimit|syncLimit|server\..*|admin\..*|4lw\..*|peerType"
    r"|dynamicConfigFile.*|(min|max)SessionTimeout|reconfigEnabled|observerMasterPort"
)

# Keys that contradict the program, or what Flink 2.x refuses beside what it sets, with what to write instead.
_CONTRADICTING = {
    "jobmanager.heap.size": "jobManagerMemory",
    "taskmanager.heap.size": "taskManagerMemory",
    "taskmanager.memory.heap.size": "taskmanager.memory.task.heap.size",
    "cluster.evenly-spread-out-slots": "taskmanager.load-balance.mode",
    "jobmanager.memory.flink.size": "jobManagerMemory, the size of the whole process",
    "taskmanager.memory.flink.size": "taskManagerMemory, the size of the whole process",
    "metrics.reporters": "metrics.reporter.NAME.factory.class alone, since a list would turn Prometheus' reporter off",
    "env.java.opts": "javaOptions",
}
_TLS = re.compile(r"security\.ssl\..*|(taskmanager\.data|blob\.service|pekko)\.ssl\.enabled")

_CREDENTIALS_IN_URL = re.compile(r"://[^/\s@]*:[^/\s@]*@")

# Beside what Flink hides: keys of S3, signatures of Azure's, the digest of ZooKeeper's superuser
_ALSO_SECRET = re.compile(r"access[.-]?key|fs\.azure\.sas\.|superdigest")
_PLACE = re.compile(r"(?:[._-](?:file|path)|[a-z](?:File|Path))\Z")
"""The end of the name of an option that says where a secret is."""

_FREE = ("metrics.reporter.", "external-resource.", "flink.", "fs.", "s3.", "presto.", "python.", "table.")
"""Options whose names no table of Flink's has: of plugins, of Hadoop, and of what users name themselves."""


@dataclass(frozen=True)
class Kind:
    """A file's settings."""

    key: forms.Form
    owned: re.Pattern[str]
    secret: Callable[[str], bool]
    value: Callable[[str, Any], None]
    """Raises ValueError for a value that the file cannot have for a key."""
    instead: Callable[[str], str]
    """What is expected in place of a key; empty if it may be used."""
    secrets_go: str = "remove it"
    """What to do with a secret."""
    renamed: Callable[[str], str] = lambda name: name
    """A key's name today."""


def overrides(key: str, values: Mapping[str, Any], kind: Kind, problems: Problems) -> dict[str, Any]:
    """Settings for a file of Flink's or ZooKeeper's, flattened to dotted keys; what the program owns is refused."""
    flat: dict[str, Any] = {}
    for name, value in _flatten(values[key]):
        wrong = _refused(name, value, kind)
        if wrong:
            problems.add(key, wrong)
        elif name in flat:
            problems.add(key, f"{name} is there twice, flat and nested: expected it once")
        else:
            flat[name] = value
    return flat


def _refused(name: str, value: Any, kind: Kind) -> str:
    """What is wrong with a setting; empty if nothing is."""
    if not kind.key.fits(name):
        return f"{shown(name)} is not {kind.key.what}: expected {kind.key.expected}"
    if wrong := _forbidden(name, value, kind):
        return f"{name} {wrong}"
    new = kind.renamed(name)
    if new != name:
        wrong = _forbidden(new, value, kind)
        instead = f"in Flink 2.x it is {new}, which {wrong}" if wrong else f"expected {new}, its name in Flink 2.x"
        return f"{name} is not supported: {instead}"
    if kind is not FLINK_SECRETS and has_credentials(_joined(value)):
        return f"{name} has a URL with a user and password, which would be stored in plain text: remove them"
    try:
        kind.value(name, value)
    except ValueError as error:
        return f"{name} {error}"
    return ""


def _forbidden(name: str, value: Any, kind: Kind) -> str:
    """Why a name may not be used; empty if it may."""
    if instead := kind.instead(name):
        return f"is not supported: expected {instead}"
    if kind.secret(name) and not isinstance(value, bool):
        return f"would be stored in plain text in the state and on the hosts: {kind.secrets_go}"
    if kind.owned.fullmatch(name):
        return "is set by this program (see docs/configuration.md): remove it"
    return ""


def _joined(value: Any) -> str:
    """The text of a value that is a text, or a list as config.yaml has it."""
    if isinstance(value, list):
        return ";".join(item for item in value if isinstance(item, str))
    return value if isinstance(value, str) else ""


def has_credentials(text: str) -> bool:
    """Whether a text has a URL with a user and password in it."""
    return _CREDENTIALS_IN_URL.search(text) is not None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The tree's leaves by their dotted names; what is nested deeper than any name is, stays nested."""
    for name, value in tree.items():
        if isinstance(value, dict) and len(prefix) < 200:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


# --- Flink


def _flink_value(name: str, value: Any) -> None:
    if isinstance(value, list):
        if name.startswith("env."):
            raise ValueError("has a list, and Flink's scripts give it to a shell: expected one text")
        for item in value:
            if isinstance(item, list | dict) or item is None or re.search(r"[;'\"]", str(item)):
                raise ValueError(f"has a list with {shown(item)}: expected texts without ; and quotes, or one text")
            _scalar(item)
        return
    _scalar(value)
    if name.startswith("env.java.") and "opts" in name:
        java_options(value)
    elif name.startswith("env."):
        for word in str(value).split(" "):
            forms.SHELL_WORD(word)


def _scalar(value: Any) -> None:
    if value is None or isinstance(value, dict | list):
        raise ValueError(f"is {shown(value)}: expected a value that fits on a line")
    if isinstance(value, str) and not forms.one_line(value):
        raise ValueError(f"is {shown(value)}: expected printable characters that fit on a line")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"is {shown(value)}: expected a finite number")


def java_options(value: Any) -> None:
    """Raise ValueError unless the value is a list of JVM options that Flink's scripts leave as they are and that hold
    no secret.
    """
    if isinstance(value, str) and (odd := forms.OPTION_SIGN.sub("", value)):
        raise ValueError(f"has the character {shown(odd[0])}: expected {forms.JAVA_OPTIONS.expected}")
    forms.JAVA_OPTIONS(value)
    for name in re.findall(r"([^ =,]+)=(?=[^ ,])", value):
        # What is before an agent's own options is the path of its file
        if _sounds_secret(name) and not re.match(r"-(java)?agent", name):
            raise ValueError(f"has {name}=…, which anybody can read in the list of processes: expected a file instead")
    if has_credentials(value):
        raise ValueError("has a URL with a user and password, which anybody can read: remove them")


def _sounds_secret(name: str) -> bool:
    if _PLACE.search(name):
        return False
    lower = name.lower().removeprefix("security.delegation.token.provider.")
    return table().names_secret(lower) or _ALSO_SECRET.search(lower) is not None


def _flink_secret(name: str) -> bool:
    known = table()
    # Of Flink's own options only those that Flink itself hides, and no number or flag
    return _sounds_secret(name) and (name not in known.types or (known.is_text(name) and known.names_secret(name)))


def _flink_instead(name: str) -> str:
    if name in _CONTRADICTING:
        return _CONTRADICTING[name]
    if name == "security.ssl.enabled" or (_TLS.fullmatch(name) and not _flink_secret(name)):
        return "none of the TLS options: the program has no TLS yet"
    if name.startswith("env") and not name.startswith("env."):
        # Flink's scripts look for env.java.home by a regular expression, and its dots are any character
        return "another name: Flink's scripts take it for one of env.*"
    return ""


def _flink_renamed(name: str) -> str:
    return table().replaced.get(name, name)


FLINK = Kind(
    forms.FLINK_KEY, _OWNED_KEYS, _flink_secret, _flink_value, _flink_instead, "set it in flinkSecrets", _flink_renamed
)


def _secret_value(name: str, value: Any) -> None:
    # Without the value: the message is not a secret
    if name.startswith("env."):
        raise ValueError("is for Flink's scripts, which give it to a shell: expected another option")
    if isinstance(value, dict | list) or value is None or not forms.one_line(str(value)):
        raise ValueError("has no text of printable characters on a line: expected one")


def _secret_instead(name: str) -> str:
    instead = _flink_instead(name)
    if instead or _flink_secret(name):
        return instead
    return "flinkConfig for it, since Flink's web UI shows the value of an option of this name"


FLINK_SECRETS = Kind(
    forms.FLINK_KEY, _OWNED_KEYS, lambda name: False, _secret_value, _secret_instead, renamed=_flink_renamed
)


def suspicious(key: str, options: Mapping[str, Any], problems: Problems) -> None:
    """Warn of options that Flink does not know, and that are near to one that it does."""
    known = table().types
    for name in options:
        near = _near(name, known)
        if near and not (name.startswith(_FREE) and name.lower() != near.lower()):
            problems.warn(key, f"Flink has no option {name}; meant {near}?")


def _near(name: str, known: Collection[str]) -> str:
    """A known name that differs only in case, or in a letter or two; empty without one, or if the name is known."""
    if name in known:
        return ""
    lower = {each.lower(): each for each in known}
    return lower.get(name.lower()) or next(iter(difflib.get_close_matches(name, known, 1, 0.9)), "")


# --- ZooKeeper

_ZOOKEEPER_KEYS = (
    "autopurge.purgeInterval", "autopurge.snapRetainCount", "cnxTimeout", "connectToLearnerMasterLimit", "fastleader",
    "forceSync", "fsync.warningthresholdms", "globalOutstandingLimit", "initLimit", "jute.maxbuffer", "leaderServes",
    "localSessionsEnabled", "localSessionsUpgradingEnabled", "maxClientCnxns", "maxCnxns", "metricsProvider.className",
    "metricsProvider.exportJvmInfo", "metricsProvider.httpHost", "metricsProvider.httpPort", "multiAddress.enabled",
    "portUnification", "preAllocSize", "quorumListenOnAllIPs", "skipACL", "snapCount", "snapSizeLimitInKb",
    "sslQuorum", "standaloneEnabled", "syncEnabled", "syncLimit", "tickTime",
)  # fmt: skip
"""Keys of zoo.cfg that people set; ZooKeeper passes others on as system properties
(https://zookeeper.apache.org/doc/r3.9.4/zookeeperAdmin.html, QuorumPeerConfig)."""


def _zookeeper_value(name: str, value: Any) -> None:
    _scalar(value)
    forms.ZOOKEEPER_VALUE(str(value))


ZOOKEEPER = Kind(forms.ZOOKEEPER_KEY, _OWNED_ZOOKEEPER_KEYS, _sounds_secret, _zookeeper_value, lambda name: "")


_ZOOKEEPER_TLS = re.compile(
    r"ssl\..*|sslQuorum.*|(client\.)?portUnification|client\.certReload|serverCnxnFactory|fips-mode"
    r"|authProvider\..*|X509AuthenticationProvider\..*|enforce\.auth\..*|sessionRequireClientSASLAuth|skipACL"
)


def refuse_zookeeper_tls(key: str, settings: Mapping[str, Any], problems: Problems) -> None:
    """Refuse settings of zoo.cfg that would weaken what `tls: true` sets."""
    for name in settings:
        if _ZOOKEEPER_TLS.fullmatch(name):
            problems.add(key, f"{name} is set by this program with tls: true: remove it")


def suspicious_zookeeper(key: str, settings: Mapping[str, Any], problems: Problems) -> None:
    """Warn of settings of zoo.cfg whose names are near to known ones: ZooKeeper ignores unknown names."""
    for name in settings:
        if near := _near(name, _ZOOKEEPER_KEYS):
            problems.warn(key, f"ZooKeeper has no setting {name}; meant {near}?")
