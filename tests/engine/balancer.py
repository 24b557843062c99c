"""A load balancer in front of a front door, which does what an Application Load Balancer does with a request.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html: it ends TLS, keeps the
Host of the request, adds the client's address to the end of X-Forwarded-For, and says X-Forwarded-Proto and -Port. To
its targets it speaks TLS without a server name, and verifies no certificate.
"""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving import serving

ADDRESS = "127.77.0.1"
"""From which it connects to the doors."""
_OF_A_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


@contextmanager
def balancing(port: int, target: int, certificate: Path, key: Path) -> Iterator[None]:
    """A load balancer at https://localhost:`port` for the door at the port `target`."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = ", ".join([*self.headers.get_all("X-Forwarded-For", []), self.client_address[0]])
            own = {"X-Forwarded-For": said, "X-Forwarded-Proto": "https", "X-Forwarded-Port": str(port)}
            # By its address: without a server name
            door = http.client.HTTPSConnection(
                "127.0.0.1", target, context=unverified, timeout=60, source_address=(ADDRESS, 0)
            )
            try:
                door.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in {*_OF_A_CONNECTION, *map(str.lower, own)}:
                        door.putheader(name, value)
                for name, value in own.items():
                    door.putheader(name, value)
                door.endheaders(body)
                answer = door.getresponse()
                text = answer.read()
            finally:
                door.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {*_OF_A_CONNECTION, "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = forward

        def log_message(self, *words: object) -> None:
            """Nothing."""

    ended = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ended.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.socket = ended.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield
