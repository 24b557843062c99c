"""A real OpenID Connect server (openid/server.mjs, which says what it is given)."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stand_ins.builds import node_packages
from tests.engine.test_front_door import until

SERVER = Path(__file__).parent / "openid/server.mjs"


@contextmanager
def issuing(folder: Path, given: Mapping[str, Any]) -> Iterator[None]:
    """The server, while it runs; the folder gets its configuration and its log."""
    node = shutil.which("node")
    assert node, "tests need Node.js"
    configuration, log = folder / "issuer.json", folder / "issuer.log"
    configuration.write_text(json.dumps(given))
    with log.open("wb") as output:
        words: list[str | Path] = [node, SERVER, configuration, node_packages.openid_provider()]
        process = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        until(lambda: "listens" in log.read_text(), 60)
        yield
    finally:
        process.kill()
        process.wait()
