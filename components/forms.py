"""The forms of text that the configuration and the inventory consist of, all in one place.

A form is the set of texts that are allowed, never a list of characters that are not: nobody knows all characters that
mean something to a shell, to systemd, YAML, OpenSSH, nftables, a Java properties file, or to what they call. Everything
is ASCII, also digits. A text that has a form needs no quotes in any of these formats, unless the form says otherwise.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from .problems import shown


@dataclass(frozen=True)
class Form:
    """Texts of one kind."""

    what: str
    """What a text of this form is, such as `a host name`."""
    pattern: str
    """Regular expression of the whole text."""
    expected: str
    """What is expected instead of a text of another form."""
    also: Callable[[str], bool] = lambda text: True
    """What no regular expression says."""

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    def fits(self, text: object) -> bool:
        """Whether `text` is a text of this form, from its first character to its last."""
        return isinstance(text, str) and self._compiled.fullmatch(text) is not None and self.also(text)

    def __call__(self, text: Any) -> str:
        """`text` as it is. Raises ValueError, with what was found and what is expected, if it has another form."""
        if not self.fits(text):
            raise ValueError(f"{shown(text)} is not {self.what}: expected {self.expected}")
        return str(text)


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_TOP_LABEL = r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Bounded as a whole, and without what follows it in a URL
_NAME = rf"(?![A-Za-z0-9.-]{{254}})(?:{_LABEL}\.)*{_TOP_LABEL}"
# As servers of archives have them: with underscores, and with a dot at the end
_ANY_LABEL, _ANY_TOP_LABEL = (rf"[{first}_](?:[A-Za-z0-9_-]{{0,61}}[A-Za-z0-9_])?" for first in ("A-Za-z0-9", "A-Za-z"))
_ANY_NAME = rf"(?![A-Za-z0-9._-]{{255}})(?:{_ANY_LABEL}\.)*{_ANY_TOP_LABEL}\.?"
# An address in it is parsed by its user; here it has only the characters of one
_ADDRESS = r"[0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\]"
_PORT = r":[0-9]{1,5}"


def _has_server(url: str) -> bool:
    """Whether a URL's server is a name or an address, and its port a port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if host.replace(".", "").isdecimal() or ":" in host:
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return bool(host) and port != 0


HOST_NAME = Form(
    "a short host name",
    # Resolvers read numbers as addresses (12 is 0.0.0.12), and YAML reads the words as truth values
    r"(?!(?:[0-9]+(?:e[0-9]+)?|0[xob][0-9a-f]*|y|n|yes|no|on|off|true|false|null|localhost)\Z)"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    "a-z, 0-9 and -, up to 63, no number, and no word such as on or localhost",
)
DNS_NAME = Form("a DNS name", _NAME, "a name such as tm-0.example.com")
USER = Form(
    "a user name", r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", "letters, digits and _ . @ -, up to 64, and no - or . in front"
)
HOST_KEY = Form(
    "a public host key",
    r"(?:ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{1,8192}={0,2}(?: [ -~]{0,200})?",
    "the output of `ssh-keyscan -t ed25519 ADDRESS` after the address, verified on the host's console",
)
ZONE = Form("the name of a zone", r"[ -~]{0,64}", "printable ASCII, up to 64")
PATH = Form("a path", r"[ -~\u00a1-\u1fff\u2c00-\ud7ff\uf900-\ufdff]{1,4095}", "letters, digits and signs on a line")
JOB_NAME = Form("a job's name", r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", "a-z, 0-9 and -, up to 40")
JAVA_CLASS = Form(
    "a class", r"[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)*", "a name such as org.example.Departures"
)
PYTHON_MODULE = Form(
    "a module",
    r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*",
    "a name such as departures",
)
PYTHON_PACKAGE = Form(
    "a package of one version with its digests",
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?(?:\[[A-Za-z0-9,._-]{1,100}\])?==[A-Za-z0-9.!+_-]{1,60}"
    r"(?: ?; ?[A-Za-z0-9_ .'\"<>=!()-]{1,300}?)?(?: --hash=sha256:[0-9a-f]{64})+",
    "NAME==VERSION --hash=sha256:DIGEST, as `uv pip compile --generate-hashes` and pip-compile write them",
)
PYTHON_VERSION = Form("a version of Python", r"3\.(?:9|1[0-9])", 'one such as "3.11", in quotes')
SECRET_NAME = Form("a secret's name", r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})", "letters, digits, . _ and -, up to 63")
NONCE = Form("a nonce", r"[A-Za-z0-9._:+-]{0,64}", "letters, digits and . _ : + -, up to 64")
PLACE_URI = Form(
    "a path on a storage",
    # Azure has a container and @ in front of its server, HDFS a port behind
    r"[a-z][a-z0-9]{1,9}://(?:[A-Za-z0-9_-]{1,63}@)?[A-Za-z0-9!_.*'()=-]{0,253}(?::[0-9]{1,5}(?=/))?"
    r"[A-Za-z0-9!_.*'()=/-]{0,900}(?<!://)",
    "one such as s3://bucket/path",
)
LOGIN = Form(
    "a name to log in with",
    r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}",
    "letters, digits and . _ @ -, up to 64, and no sign in front",
)
EMAIL = Form(
    "an email address",
    rf"[A-Za-z0-9][A-Za-z0-9._+-]{{0,63}}@{_NAME}",
    "one such as flink-team@example.com",
)
ISSUER = Form(
    "an issuer",
    # As tokens have it, so with or without a slash at the end. A query is not allowed (OpenID Connect Discovery, 3)
    rf"https://(?:{_NAME}|{_ADDRESS})(?:{_PORT})?(?:/[A-Za-z0-9._~-]+)*/?",
    "a URL such as https://login.example.com/realms/flink, with https:// and without a query",
    _has_server,
)
CLIENT_ID = Form(
    "a client or an audience", r"[!#-\[\]-~]{1,300}", "printable ASCII without blanks, quotes and backslashes"
)
CLIENT_SECRET = Form(
    "a client's secret", r"[!#-\[\]-~]{8,500}", "8 to 500 of printable ASCII without blanks, quotes and backslashes"
)
CLAIM = Form("a claim", r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}", "one such as groups, or https://example.com/roles")
SCOPE = Form("a scope", r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}", "one such as openid")
GROUP = Form(
    "a group",
    # The list of them, which oauth2-proxy is asked for, has commas between
    r"[^,\x00-\x1f\x7f]{1,200}",
    "a name on one line, without commas",
    str.isprintable,
)
PASSWORD_HASH = Form(
    "a bcrypt hash",
    # At cost 15 a login takes seconds, and as much of the host's processor
    r"\$2[aby]\$(?:1[0-4])\$[./A-Za-z0-9]{53}",
    "what `python -m ops password` prints, never a password: $2b$, a cost of 10 to 14, 53 characters",
)
SHA256 = Form("a SHA-256", r"[0-9a-f]{64}", "64 hex digits in lower case")
CLUSTER_ID = Form("a valid name", r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "letters, digits, . _ and -, up to 100")
CHECKSUM = Form(
    "a checksum", r"sha512:[0-9a-f]{128}|sha256:[0-9a-f]{64}", "sha512: or sha256: and the hex digest in lower case"
)
DOWNLOAD_URL = Form(
    "a URL",
    # Without @ before the path: a user and a password in a URL would be in the state and in logs
    rf"https?://(?:{_ANY_NAME}|{_ADDRESS})(?:{_PORT})?(?:/[A-Za-z0-9._~!&()*+,;=:@%{{}}/-]*)?(?:\?[A-Za-z0-9._~!&()*+,;=:@%/?-]*)?",
    "http:// or https://, a server without a user and password, and a path without blanks or quotes",
    _has_server,
)
SERVER_URL = Form(
    "the URL of a server",
    rf"https?://(?:{_NAME}|{_ADDRESS})(?:{_PORT})?/?",
    "one such as http://10.0.0.5:9000",
    _has_server,
)
PROXY_URL = Form("a proxy", rf"https?://(?:{_NAME}|{_ADDRESS}){_PORT}/?", "http://HOST:PORT", _has_server)
DIRECT = Form("a name or an address", r"[A-Za-z0-9*.:/_-]{1,253}", "one such as .example.org")
"""What is reached without the proxy."""
STORAGE_URI = Form(
    "an S3 URI",
    r"s3a?://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*'()=/-]+)?",
    "s3://bucket/prefix",
)
"""It may have quotes and an asterisk, so it is quoted where it stands in a shell's text."""
HDFS_URI = Form(
    "an HDFS URI",
    # With a path: hosts get access to everything below it. Port and nameservice are checked with Hadoop's configuration
    rf"(?:hdfs://(?:{_ANY_NAME}|{_ADDRESS})(?:{_PORT})?|viewfs://{_ANY_NAME})"
    r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_.=-][A-Za-z0-9_.=-]{0,199})+",
    "hdfs://NAMESERVICE/path, hdfs://HOST:PORT/path or viewfs://CLUSTER/path",
    lambda text: _has_server(text) if text.startswith("hdfs:") else True,
)
FILE_URI = Form(
    "a folder that all hosts share",
    r"file://(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_.=-]{1,100})+",
    "file:///mnt/flink/prod",
)
HOST_FOLDER = Form(
    "a folder of hosts", r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_.+-]{1,100})+/?", "an absolute path such as /usr/lib/hadoop"
)
PRINCIPAL = Form(
    "a Kerberos principal",
    r"[A-Za-z0-9_.-]{1,64}(?:/[A-Za-z0-9_.-]{1,253})?@[A-Za-z0-9_.-]{1,253}",
    "NAME@REALM or NAME/HOST@REALM",
)
KEYTAB = Form(
    "a keytab in base64",
    # Each begins with the bytes 5 and 2, the version of the format
    r"BQ[I-L][A-Za-z0-9+/]{20,65536}={0,2}",
    "the output of `base64 -w0 FILE.keytab`",
    lambda text: len(text) % 4 == 0,
)
OSS_URI = Form(
    "an OSS URI",
    r"oss://[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*'()=/-]+)?",
    "oss://bucket/prefix",
)
GCS_URI = Form(
    "a URI of Google Cloud Storage",
    r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](?:/[A-Za-z0-9!_.*'()=/-]+)?",
    "gs://bucket/prefix",
)
AZURE_URI = Form(
    "a URI of a container on Azure",
    r"(?:abfss?://[a-z0-9][a-z0-9-]{1,61}[a-z0-9]@[a-z0-9]{3,24}\.dfs\.|wasbs?://[a-z0-9][a-z0-9-]{1,61}[a-z0-9]@[a-z0-9]{3,24}\.blob\.)"
    rf"{_ANY_NAME}(?:/[A-Za-z0-9!_.*'()=/-]+)?",
    "abfss://container@account.dfs.core.windows.net/prefix",
)
AZURE_KEY = Form(
    "the key of a storage account",
    r"[A-Za-z0-9+/]{86}==",
    "64 bytes in base64, as `az storage account keys list` has it",
)
UUID = Form(
    "an id", r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "one such as 00000000-0000-4000-8000-000000000000"
)
REGION = Form("a region", r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "one such as eu-central-1")
SECRET = Form(
    "a key of a storage",
    r"[!-&(-\[\]-~]{0,1024}",
    "another key pair, without a blank, quote, backslash or character beyond ASCII",
)
"""It may have anything that single quotes protect, in a shell as in systemd's environment files."""
SMTP_SERVER = Form("a mail server", rf"(?:{_NAME}|{_ADDRESS}){_PORT}", "HOST:PORT", lambda text: True)
RECEIVER = Form("the name of a receiver", r"[a-z][a-z0-9-]{0,62}", "lower-case letters, digits and -")
METRIC_LABEL = Form("a label", r"[a-zA-Z_][a-zA-Z0-9_]{0,99}", "one such as alertname")
BASIC_USER = Form("a user", r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}", "letters, digits and . _ @ + -, up to 100")
DURATION = Form("a duration", r"[1-9][0-9]{0,5} ?(?:s|min|h|d)", "a number and s, min, h or d, such as 6 h")
SIZE = Form(
    "a size", r"\s{0,9}[0-9]{1,9}\s{0,9}[kmgtKMGT](?:i?[bB])?\s{0,9}", "a number and a unit, such as 1600m or 4g"
)
_MODULE_OPTION = r"--(?:add-exports|add-opens|add-reads|add-modules|limit-modules|patch-module|enable-native-access)"
_OPTION_TEXT = r"[A-Za-z0-9._:/=,+@^-]"
OPTION_SIGN = re.compile(rf"{_OPTION_TEXT}| ")
"""A character that JVM options may have."""
JAVA_OPTIONS = Form(
    "a list of JVM options",
    rf"(?:(?:-D|-X|-javaagent:|-agentlib:|-agentpath:|-verbose|-ea|-da|-esa|-dsa|-server|--enable-preview|--illegal-"
    rf"|{_MODULE_OPTION}[ =][A-Za-z0-9]){_OPTION_TEXT}*(?: +(?=-)|\Z))*",
    "options such as -Da.b=c, -XX:+UseG1GC or --add-opens=java.base/java.io=ALL-UNNAMED, separated by blanks and made "
    "of letters, digits and . _ : / = , + @ ^ -, since Flink's scripts give them to a shell",
)
FLINK_KEY = Form(
    "an option of Flink", r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", "letters, digits, _ and -, with dots between"
)
ZOOKEEPER_KEY = Form(
    "a setting of zoo.cfg", r"[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", "letters, digits, _ and -, with dots"
)
ZOOKEEPER_VALUE = Form(
    "a value for zoo.cfg", r"[!-~](?:[ -~]{0,1998}[!-~])?", "printable ASCII without blanks at the ends, on a line"
)
SHELL_WORD = Form(
    "a word", r"[A-Za-z0-9._:/=,+@^-]*", "letters, digits and . _ : / = , + @ ^ -, since Flink's scripts read it"
)


_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def seconds(duration: str) -> int:
    """Seconds of a DURATION; 0 for no text."""
    number = duration.rstrip("sminhd ")
    return int(number) * _UNIT_SECONDS[duration.removeprefix(number).strip()] if duration else 0


def duration(seconds: int) -> str:
    """A number of seconds as a DURATION, in the largest unit that it is a multiple of."""
    unit = max((it for it in _UNIT_SECONDS if seconds % _UNIT_SECONDS[it] == 0), key=_UNIT_SECONDS.__getitem__)
    return f"{seconds // _UNIT_SECONDS[unit]} {unit}"


def one_line(text: str) -> bool:
    """Whether all of the text is printable: letters of any language and blanks, but nothing that ends a line."""
    return text.isprintable()
