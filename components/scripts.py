"""What every host gets of the program's own text, once and in one file: the scripts of steps, and the files that steps
install as they are. `HOST-scripts` copies it into the home directory of the user who logs in
(docs/decisions/0038-scripts-on-hosts.md).

The file consists of parts, all of them bash. The part of a script is the script without comments; that of a file is a
function, which gives the file to a command as its stdin. A step names the parts that it uses and has their SHA-256. It
reads them once, compares, and runs what it has compared: so it does not matter who could write the file.
"""

import atexit
import hashlib
import re
import shutil
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path

from . import sources
from .host import Host
from .templates import render

END_OF_FILE = "END_OF_FILE"
"""Line that ends a file in a script. No file may contain this line."""

_HEAD = "#= "
"""Begins the first line of a part, before its name. No line of a part may begin with it."""

LIBRARY = "lib.sh"
"""The part that every step uses."""

_INSTALLED = ("class_archive.sh", "fingerprint.sh", "local_disks_tool.sh")
"""Scripts that are files on hosts, and no steps."""

_TEMPLATES = (
    "flink-classes.service",
    "flink-firewall.service",
    "frontdoor/flink-acme.timer",
    "jobmanager/flink-alive.service",
    "jobmanager/flink-alive.timer",
    "jobmanager/flink-jobs.service",
    "jobmanager/flink-jobs.timer",
    "jobmanager/flink-superseded.service",
    "jobmanager/flink-superseded.timer",
    "log4j-cli.properties",
    "log4j-console.properties",
    "log4j-console.properties:logs",
    "monitoring/flink-storage.timer",
    "needrestart.conf",
    "sysctl.conf",
    "taskmanager/flink-spot.service",
)
"""Templates that need no values of a stack; the name of one that is on goes after a colon."""

_OWN = re.compile(r"(host_tool|java)/")
"""Parts whose files have their name below FOLDER."""

FOLDER = "/usr/local/lib/flink"
"""On hosts: the host tool, and what else is the program's own."""

CLEAN = "clean"
"""The part with what cleans a host, as a file of root's in FOLDER: a host may leave without what was copied."""

CLEANS = (LIBRARY, "release.sh", "clean.sh")


@cache
def parts() -> dict[str, str]:
    """Name → text of each part, the library first: `NAME.sh` and `ROLE/NAME.sh` of host_scripts, `java/NAME.java` and
    other files of it, `host_tool/NAME.py`, `config_templates/NAME`.
    """
    names = sorted(path.relative_to(sources.SCRIPTS).as_posix() for path in sources.SCRIPTS.rglob("*.*"))
    steps = {name: sources.code(name) for name in names if name.endswith(".sh") and name not in _INSTALLED}
    files = [name for name in names if name.endswith(".java") or name in _INSTALLED]
    files += [f"host_tool/{path.name}" for path in sources.TOOL.glob("*.py")]
    files += [CLEAN, *(f"config_templates/{name}" for name in _TEMPLATES)]
    known = {**steps, **{name: _function(name) for name in files}}
    for name, part in known.items():
        if any(line.startswith(_HEAD) for line in part.splitlines()):
            raise ValueError(f"{name}: has a line that begins with `{_HEAD}`, as a part does: expected none")
    return {name: f"{_HEAD}{name}\n{known[name]}\n" for name in sorted(known, key=lambda name: (name != LIBRARY, name))}


@cache
def text(name: str) -> str:
    """The file of a part."""
    if name == CLEAN:
        return "".join(f"{sources.code(script)}\n" for script in CLEANS)
    folder, _, rest = name.partition("/")
    if folder == "host_tool":
        return sources.module(rest.removesuffix(".py"))
    if folder == "config_templates":
        template, _, value = rest.partition(":")
        return render(template, logs=value == "logs", session="")
    return sources.host_script(name)


def is_own(name: str, path: str) -> bool:
    """Whether the library writes the file of a part to this path by itself (`write_own`), with mode 0644."""
    return bool(_OWN.match(name)) and path == f"{FOLDER}/{name}"


def _function(name: str) -> str:
    return f"{file(name)}() {{\n\"$@\" <<'{END_OF_FILE}'\n{ended(name, text(name))}}}"


def file(name: str) -> str:
    """The function that gives the file of a part to a command: `from_host_tool_rest_py cat` prints it."""
    return f"from_{re.sub('[^A-Za-z0-9]', '_', name)}"


def ended(name: str, text: str) -> str:
    """A file's text with the line that ends it. Raises ValueError if it has such a line itself."""
    if END_OF_FILE in text.splitlines():
        raise ValueError(f"{name}: has a line {END_OF_FILE}, which ends a file in scripts: expected a text without it")
    return f"{text.removesuffix(chr(10))}\n{END_OF_FILE}\n"


@cache
def whole() -> str:
    """The text of the file with all parts."""
    return "".join(parts().values())


def picked(names: Collection[str]) -> str:
    """The text of some parts, in their order in the file. Raises KeyError for a part that is not there."""
    wanted = {name: parts()[name] for name in names}
    return "".join(text for name, text in parts().items() if name in wanted)


def place(host: str) -> str:
    """The file, relative to the home directory of the user who logs in. With the host's name, as hosts may have one
    file system for all homes.
    """
    return f".flink-scripts-{host}"


def load(host: Host, names: Collection[str], otherwise: str = "") -> str:
    """Bash that defines what these parts define, if they are on the host as they are here; else it ends with 1, after
    the command `otherwise`.
    """
    used, digest = _digest(frozenset(names))
    where = f"~{host.ssh.user}/{place(host.name)}"
    said = f"{where}: expected the scripts of this step; \\`repair: true\\` for one \\`up\\` restores them"
    # The parts are read once, and what runs is what was compared. The state has this text twice for each step
    return f"""\
used=' {used} '
_code=$(awk -v u="$used" '/^{_HEAD}/{{p=index(u," "$2" ")}}p' {where}) || :
[ "$(printf '%s\\n' "$_code" | sha256sum)" = '{digest}  -' ] || {{
{otherwise}echo "$host: {said}" >&2
exit 1
}}
eval "$_code"
"""


def load_clean(host: Host) -> str:
    """Bash that defines what cleans a host: from root's own file, or from the parts. Without either it ends, with 1 if
    something was installed.
    """
    nothing = f"[ ! -e {FOLDER} ] && ! compgen -G '/opt/*/.installed-by-pulumi' >/dev/null"
    left = f"~{host.ssh.user}/{place(host.name)} /etc/flink-owner"
    load_parts = load(host, CLEANS, f"if {nothing}; then rm -f {left} && exit; fi\n")
    return f"if [ -e {FOLDER}/{CLEAN} ]; then\n. {FOLDER}/{CLEAN}\nelse\n{load_parts}fi\n"


@cache
def _digest(names: frozenset[str]) -> tuple[str, str]:
    """The names in their order, and the SHA-256 of these parts."""
    return " ".join(name for name in parts() if name in names), hashlib.sha256(picked(names).encode()).hexdigest()


@cache
def local_file() -> Path:
    """The file on this machine, to be copied; it is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="flink-scripts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "scripts"
    path.write_bytes(whole().encode())
    return path
