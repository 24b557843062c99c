"""Stacks on AWS that an earlier version of the program made, in the hands of today's.

The moto server has nothing of them: a preview does not ask after what is in the state, and of what AWS is asked for
before (sizes, images, zones, which machines run) only the latter is another answer, which is one of an `up` that was
ended before its first machine.
"""

from pathlib import Path

import pytest

from stand_ins.plugins import AWS, TLS
from tests.aws import stack
from tests.aws.scale import moto
from tests.engine.compatibility import Earlier


@pytest.mark.parametrize("name", ["dev", "prod", "ephemeral"])
def test_an_upgrade_of_the_program_replaces_nothing_and_restarts_nothing(name: str, tmp_path: Path) -> None:
    with moto() as endpoint:
        earlier = Earlier(name, tmp_path, endpoint=endpoint, plugins=(AWS, TLS), variables=stack.VARIABLES)
        earlier.check_nothing_is_lost()
        earlier.check_nothing_restarts()
