"""The archives that hosts install, over HTTP on the lab's network: like a package mirror elsewhere.

`/x64/FILE` is FILE too, so that a URL may contain {arch}; no file is for another architecture. `FILE.sha256.txt` is
the digest of FILE, as Adoptium has it.
"""

import argparse
import hashlib
import io
import sys
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from typing import Any

PORT = 7481
"""First port that is tried."""


DIGEST = ".sha256.txt"


@cache
def digest(file: str) -> str:
    """The SHA-256 of a file in hex."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Handler(SimpleHTTPRequestHandler):
    """Static files. The kernel copies them to the socket (sendfile), as hosts download hundreds of MB at once."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def translate_path(self, path: str) -> str:
        """The file of a path."""
        return super().translate_path(path.removeprefix("/x64"))

    def send_head(self) -> Any:
        """Answer with a file or a digest."""
        name = self.translate_path(self.path).removesuffix(DIGEST)
        if not self.path.endswith(DIGEST) or not Path(name).is_file():
            return super().send_head()
        text = f"{digest(name)}  {Path(name).name}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        return io.BytesIO(text)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file; directory listings are in memory and are copied as usual."""
        if isinstance(source, BufferedReader):
            self.connection.sendfile(source)
        else:
            super().copyfile(source, outputfile)


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 128


def main(argv: list[str]) -> int:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("directory")
    args = parser.parse_args(argv)
    Server((args.address, args.port), partial(Handler, directory=args.directory)).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
