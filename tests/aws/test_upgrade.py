"""Stacks on AWS that an earlier version of the program created, with today's program.

Their resources do not exist in the moto server: a preview does not read the resources in the state. Of AWS's other
answers (sizes, images, zones, running machines) only the running machines differ: there are none, as after an `up` that
was interrupted before its first machine.
"""

from pathlib import Path

import pytest

from stand_ins.plugins import AWS, TLS
from tests.aws import stack
from tests.aws.scale import moto
from tests.engine.compatibility import Earlier

OTHERS = [pytest.param(name, marks=pytest.mark.exhaustive) for name in ("prod", "ephemeral")]


@pytest.mark.parametrize("name", ["dev", *OTHERS])
def test_an_upgrade_of_the_program_replaces_nothing_and_restarts_nothing(name: str, tmp_path: Path) -> None:
    with moto() as endpoint:
        earlier = Earlier(name, tmp_path, endpoint=endpoint, plugins=(AWS, TLS), variables=stack.VARIABLES)
        earlier.check_nothing_is_lost()
        earlier.check_nothing_restarts()
