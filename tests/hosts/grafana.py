"""A release in place of Grafana's, which no registry has: a program that reads grafana.ini, and says who asks."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving import serving

VERSION = "12.0.2"
PROGRAM = '''#!/usr/bin/python3
"""grafana server --homepath=FOLDER --config=FILE"""
import configparser, http.server, json, pathlib, ssl, sys

given = dict(word[2:].split("=", 1) for word in sys.argv[2:])
ini = configparser.RawConfigParser()
ini.read_string("[none]\\n" + pathlib.Path(given["config"]).read_text())
server, proxy = ini["server"], ini["auth.proxy"]
pathlib.Path(ini["paths"]["data"], "grafana.db").touch()
dashboards = sorted(path.name for path in pathlib.Path(given["config"]).parent.glob("dashboards/*.json"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        user, role = (self.headers.get(name) for name in (proxy["header_name"], proxy["headers"].partition(":")[2]))
        text = json.dumps({"user": user, "role": role, "path": self.path, "dashboards": dashboards}).encode()
        self.send_response(200 if user or self.path.endswith("/api/health") else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


found = http.server.ThreadingHTTPServer(("", int(server["http_port"])), Handler)
if server["protocol"] == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server["cert_file"], server["cert_key"])
    found.socket = context.wrap_socket(found.socket, server_side=True)
found.serve_forever()
'''


@contextmanager
def released(folder: Path, address: str) -> Iterator[dict[str, str]]:
    """Keys of a stack that install it from a server at an address of this machine."""
    archive, program = folder / f"grafana-{VERSION}.tar.gz", PROGRAM.encode()
    with tarfile.open(archive, "w:gz") as made:
        entry = tarfile.TarInfo(f"grafana-v{VERSION}/bin/grafana")
        entry.size, entry.mode = len(program), 0o755
        made.addfile(entry, io.BytesIO(program))
    with serving(ThreadingHTTPServer((address, 0), partial(SimpleHTTPRequestHandler, directory=folder))) as server:
        yield {
            "flink:grafanaVersion": VERSION,
            "flink:grafanaUrl": f"http://{address}:{server.server_port}/{archive.name}",
            "flink:grafanaChecksum": f"sha512:{hashlib.sha512(archive.read_bytes()).hexdigest()}",
        }
