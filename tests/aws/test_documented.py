"""The README's commands for AWS, word for word: in a fresh clone, by the real engine, against moto without machines.
Those of docs/, which are the same and more, run on machines (test_rehearsal.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tests.aws import stack
from tests.aws.inventory import everything
from tests.aws.scale import moto
from tests.documented.blocks import Story
from tests.documented.clone import Clone

REGION = "eu-central-1"


def test_the_readmes_commands_for_aws_work_as_they_are_written(tmp_path: Path) -> None:
    story = Story("aws", {}, page="README.md")
    clone = Clone.make(tmp_path, stack.WITHOUT_HOSTS, stack.VARIABLES)
    with moto() as endpoint:
        before = everything(endpoint, REGION)
        file = clone.folder / "Pulumi.dev.yaml"
        # `auto` would ask AWS for the address of this machine; and there are no hosts that make keys and requests
        only_here = {**stack.at(endpoint), "flink:operatorCidrs": ["198.51.100.0/24"], "flink:tls": False}
        file.write_text(yaml.safe_dump({"config": {**stack.base("dev"), **only_here}}))
        said = clone.run(story.take("README.md", "On AWS"))
        created, deleted = re.findall(r"[+-] (\d+) (?:created|deleted)", said)
        assert f"+ {created} to create" in said and created == deleted
        assert '["https://' in said, "webUi"
        assert len(re.findall(r"^password, shown only now: \S{43}$", said, re.MULTILINE)) == 1
        assert everything(endpoint, REGION) == before
    assert story.left() == []
