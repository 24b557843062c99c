"""What a host that runs nothing answers to the steps of the program."""

import json
import re

from components import scripts, sources

HEAD = re.compile(r"# host (\S+), step (\S+)\n")
"""The beginning of a step's script: the host, and the script's name."""


def answer(script: str, *, taskmanagers: int) -> str:
    """The output of a step that other steps, or the outputs, use."""
    head = HEAD.match(script)
    host, step = head.groups() if head else ("", "")
    if step == "probe.sh":
        return '{"cpus": 4, "memoryMiB": 15800}'
    if step == "system.sh":
        return f"ssh-ed25519 AAAA{host} flink"
    if step == "cluster.sh":
        return json.dumps({"taskmanagers": taskmanagers, "slots-total": 4, "flink-version": "2.3.0"})
    return "ok"


_LOADED = re.compile(r"^(used=' ([^']+) '\n)_code=.*?^eval \"\$_code\"\n", re.MULTILINE | re.DOTALL)


def with_scripts(text: str) -> str:
    """A step's text with the parts of scripts.py in place of what reads them from the host: it runs on any machine. Of
    earlier versions the text is as it is.
    """
    return _LOADED.sub(lambda match: match[1] + scripts.picked(match[2].split()), text)


_SHIPPED = re.compile(r"^  (from_\w+) (write_file .*)$", re.MULTILINE)


def with_files(text: str) -> str:
    """A step's text with the files that it takes from parts of scripts.py as if they were its own."""
    names = {scripts.file(name): name for name in scripts.parts()}
    used = match[1].split() if (match := re.search("^used='(.*)'$", text, re.MULTILINE)) else []
    paths = {name: f"{scripts.FOLDER}/{name}" for name in used}
    own = [f"  {scripts.file(name)} write_file {path} 0644 root:root" for name, path in paths.items()
           if scripts.is_own(name, path)]  # fmt: skip
    text = text.replace("\n  write_own\n", "\n".join(["", *own, ""]))

    def whole(match: re.Match[str]) -> str:
        name = names[match[1]]
        return f"  {match[2]} <<'{scripts.END_OF_FILE}'\n{scripts.ended(name, scripts.text(name))}".rstrip("\n")

    return _SHIPPED.sub(whole, text)


def read_scripts_anew() -> None:
    """As if the program began: it reads its scripts once."""
    for known in (
        *(sources.host_script, sources.code, scripts.text, scripts.parts, scripts.whole),
        *(scripts._digest, scripts.local_file),
    ):
        known.cache_clear()
