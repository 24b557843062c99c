"""Files on the storage, with Flink's own file systems: a Java process (Store.java) that lives as long as its user."""

from __future__ import annotations

import base64

from .java import Conversation
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


class Store:
    """The storage. `start` starts the process, at the first request. Methods raise Failure if the storage refuses or
    does not answer; URIs have neither tabs nor line ends.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._java = Conversation(start)

    def read(self, uri: str) -> str | None:
        """The text of a file; None if there is none."""
        found = self._ask("read", uri)
        return base64.b64decode(found[0]).decode() if found is not None else None

    def write(self, uri: str, text: str) -> None:
        """Write a file, or replace it as a whole."""
        self._ask("write", uri, base64.b64encode(text.encode()).decode())

    def put(self, file: str, uri: str) -> None:
        """Copy a file of this host to the storage."""
        self._ask("put", file, uri)

    def fetch(self, uri: str, file: str) -> bool:
        """Copy a file from the storage to this host; False if there is none."""
        return self._ask("fetch", uri, file) is not None

    def files(self, uri: str) -> dict[str, int]:
        """The files below a folder: their relative names, and when they were written, in milliseconds."""
        found = self._ask("list", uri) or []
        return {name: int(time) for name, time in zip(found[::2], found[1::2])}

    def delete(self, uri: str) -> None:
        """Delete a file, or a folder with all in it; nothing if there is none."""
        self._ask("delete", uri)

    def size(self, uri: str) -> int:
        """Bytes of all files below a folder."""
        return int((self._ask("size", uri) or ["0"])[0])

    def claim(self, what: str, who: str) -> str:
        """Take the right to change something, of which the cluster grants one at a time (Claim.java); returns who has
        it, in the words that they gave, or nothing if it is taken now. If it is lost later, methods that write fail.
        """
        found = self._ask("claim", what, who)
        return found[0] if found else ""

    def release(self) -> None:
        """Give back what was claimed."""
        self._ask("release")

    def close(self) -> None:
        """End the process."""
        self._java.close()

    def _ask(self, *words: str) -> list[str] | None:
        answer = next(self._java.ask("\t".join(words)), "")
        what, *fields = answer.rstrip("\n").split("\t")
        if what == "none":
            return None
        if what != "ok":
            reason = fields[0] if fields else "the Java process has ended; its output is above"
            raise Failure(f"the storage cannot {' '.join(words[:2])}: {reason}")
        return fields
