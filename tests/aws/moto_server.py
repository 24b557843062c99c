"""moto as a server of its own, without machines: for what only asks AWS and creates there.

`python -m tests.aws.moto_server PORT` serves on the loopback.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from components.aws.facts import IMAGE_PARAMETER
from lab.paths import REPO

ACCOUNT = "123456789012"
"""moto's own."""

REGIONS = ("eu-central-1", "us-east-1")
BOUND = 60.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running() -> Iterator[str]:
    """The server's URL, for as long as the context lasts."""
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.aws.moto_server", str(port)], cwd=REPO)
    try:
        end = time.monotonic() + BOUND
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("moto does not start")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def publish_image(region: str, parameter: str) -> None:
    """Make an image, and a public parameter that names it, in the moto of this process.

    By moto's own classes: its API refuses names of AWS's own parameters, as AWS does.
    """
    from moto.core.utils import utcnow
    from moto.ec2.models import ec2_backends
    from moto.ssm.models import Parameter, ssm_backends

    image = ec2_backends[ACCOUNT][region].register_image(name="debian-12")
    found = Parameter(
        ACCOUNT, parameter, image.id, "String", None, None, None, utcnow(), version=1, data_type="aws:ec2:image"
    )
    ssm_backends[ACCOUNT][region]._parameters[parameter].append(found)


def main() -> None:
    """Serve on the port that the command line says."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    for region in REGIONS:
        publish_image(region, IMAGE_PARAMETER.format(architecture="amd64"))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)


if __name__ == "__main__":
    main()
