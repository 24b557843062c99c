"""One operation on a stack of many machines, in a separate process that has loaded nothing else.

`python -m tests.aws.operation preview|up FOLDER ENDPOINT WORKERS` prints what it did, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from automation.steps import Steps
from lab.stack import Stack
from tests.aws import stack

BASE = "prod"
REGION = "eu-central-1"
ZONES = 3

PARALLEL = 32
"""Parallel steps when the stack is created: this only has to complete; the number of connections does not matter."""


WRITES = "FLINK_SCALE_WRITES"
"""The environment variable with one of `VARIABLES`; none: `end`."""

VARIABLES = {
    # By default the engine writes all of the state after each of 1,300 resources. Here nothing could be lost
    "end": {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"},
    "each": {},
    "compressed": {"PULUMI_DIY_BACKEND_GZIP": "true"},
}
"""For the engine, by when and how it writes the state."""


def configuration(workers: int) -> dict[str, Any]:
    """The differences to Pulumi.prod.yaml."""
    return {
        **stack.PLAIN,
        "aws:region": REGION,
        "flink:workers": workers,
        "flink:zones": ZONES,
        "flink:owner": "scale",
        # It must be destroyed later
        "flink:ephemeral": True,
        "flink:operatorCidrs": ["198.51.100.0/24"],
        # Route 53 throttles: docs/aws.md, "Many hosts"
        "aws:maxRetries": 25,
    }


def the_stack(folder: Path, endpoint: str, workers: int) -> Stack:
    """The stack with this number of TaskManagers."""
    settings = configuration(workers)
    variables = {**stack.VARIABLES, **VARIABLES[os.environ.get(WRITES, "end")]}
    return stack.stack(BASE, folder, endpoint, settings, variables=variables, parallel=PARALLEL)


def run(folder: Path, endpoint: str, workers: int, what: str) -> dict[str, Any]:
    """Run one operation in this process; returns what it did, as JSON."""
    one = the_stack(folder, endpoint, workers)
    # Excludes the search for the official plugins, which happens once in a stack's life
    one.prepare()
    began = time.monotonic()
    steps: Steps = one.preview() if what == "preview" else one.up()
    return {
        "seconds": time.monotonic() - began,
        "resources": len(steps.done),
        "commands": len(steps.commands),
        "changed": sorted(name for _, name in steps.changes()),
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[1])))
