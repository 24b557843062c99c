"""The archives that hosts install, over HTTP on the lab's network: like a package mirror elsewhere."""

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any

PORT = 7481
"""First port that is tried."""


class Handler(SimpleHTTPRequestHandler):
    """Static files. The kernel copies them to the socket (sendfile), as hosts download hundreds of MB at once."""

    protocol_version = "HTTP/1.1"
    timeout = 60

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
