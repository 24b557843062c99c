"""The Python environment of jobs: an interpreter of the hosts with `apache-flink` and what else jobs import, the same
on all hosts with Flink. JobManagers run the clients of jobs in it, TaskManagers their functions.
"""

from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import script_text, step
from . import trusted
from .settings import ClusterSettings

INSTALL_SECONDS = 1800
LIBRARIES = "apache-flink-libraries"
"""Flink's distribution as a package, 250 MB: hosts have it already."""
BUILDER = "setuptools"
"""Builds the packages that have no wheel."""


def python_environment(host: Host, settings: ClusterSettings, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """The step that installs it. None if there is none: then the step `system` removes one that there was."""
    found = settings.python
    if found is None:
        return None
    packages = [line for line in found.requirements if not line.startswith(f"{LIBRARIES}==")]
    builder = [line for line in packages if line.startswith(f"{BUILDER}==")]
    values: dict[str, str | int | Sequence[str]] = {
        "version": found.version,
        "home": found.home,
        "index": found.index,
        "libraries": LIBRARIES,
        "builder": builder,
        "packages": [line for line in packages if line not in builder],
        **trusted.download_values(settings),
    }
    text = script_text(host, "python.sh", values, uses=trusted.download_libraries(settings))
    return step(host, "python", text, seconds=INSTALL_SECONDS, opts=opts)
