"""Secrets of jobs on the hosts where jobs run: files, so that a change of one restarts nothing."""

from collections.abc import Mapping

import pulumi
from pulumi_command import remote

from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES
from .settings import ClusterSettings

FOLDER = "/etc/flink/job-secrets"


def job_secrets(host: Host, settings: ClusterSettings, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """The step that writes them. None if there are none: then the step `system` removes those that there were."""
    if settings.job_secrets is None:
        return None
    owner = f"{ROLES[host.role].user}:{ROLES[host.role].user}"

    def text(known: Mapping[str, str]) -> str:
        files = [
            File(path=f"{FOLDER}/{name}", text=f"{value}\n", mode="0600", owner=owner)
            for name, value in sorted(known.items())
        ]
        return script_text(host, "job_secrets.sh", files=files)

    return step(host, "job-secrets", settings.job_secrets.apply(text), opts=opts)
