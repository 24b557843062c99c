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

END_OF_FILE = "END_OF_FILE"
"""Line that ends a file in a script. No file may contain this line."""

_HEAD = "#= "
"""Begins the first line of a part, before its name. No line of a part may begin with it."""

LIBRARY = "lib.sh"
"""The part that every step uses."""

_INSTALLED = ("class_archive.sh", "fingerprint.sh", "local_disks_tool.sh")
"""Scripts that are files on hosts, and no steps."""


@cache
def parts() -> dict[str, str]:
    """Name → text of each part, the library first: `NAME.sh` and `ROLE/NAME.sh` of host_scripts, `java/NAME.java` and
    other files of it, `host_tool/NAME.py`.
    """
    names = sorted(path.relative_to(sources.SCRIPTS).as_posix() for path in sources.SCRIPTS.rglob("*.*"))
    steps = {name: sources.code(name) for name in names if name.endswith(".sh") and name not in _INSTALLED}
    files = {name: sources.host_script(name) for name in names if name.endswith(".java") or name in _INSTALLED}
    files |= {f"host_tool/{path.stem}.py": sources.module(path.stem) for path in sorted(sources.TOOL.glob("*.py"))}
    known = {**steps, **{name: _function(name, text) for name, text in files.items()}}
    for name, text in known.items():
        if any(line.startswith(_HEAD) for line in text.splitlines()):
            raise ValueError(f"{name}: has a line that begins with `{_HEAD}`, as a part does: expected none")
    return {name: f"{_HEAD}{name}\n{known[name]}\n" for name in sorted(known, key=lambda name: (name != LIBRARY, name))}


def _function(name: str, text: str) -> str:
    return f"{file(name)}() {{\n\"$@\" <<'{END_OF_FILE}'\n{ended(name, text)}}}"


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


def place(host: Host) -> str:
    """The file, relative to the home directory of the user who logs in. With the host's name, as hosts may have one
    file system for all homes.
    """
    return f".flink-scripts-{host.name}"


def load(host: Host, names: Collection[str]) -> str:
    """Bash that defines what these parts define, if they are on the host as they are here; else it ends with 1."""
    used, digest = _digest(frozenset(names))
    where = f"~{host.ssh.user}/{place(host)}"
    # The parts are read once, and what runs is what was compared. The state has this text twice for each step
    return f"""\
_code=$(awk -v u=' {used} ' '/^{_HEAD}/{{p=index(u," "$2" ")}}p' {where}) || :
[ "$(sha256sum <<<"$_code")" = '{digest}  -' ] || {{
echo "$host: {where}: expected the scripts of this step; \\`repair: true\\` for one \\`up\\` restores them" >&2
exit 1
}}
eval "$_code"
"""


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
    path.write_text(whole())
    return path
