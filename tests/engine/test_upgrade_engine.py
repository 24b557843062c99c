"""A stack that an earlier version of the program created, with today's program. For AWS: tests/aws/test_upgrade.py."""

from pathlib import Path

from tests.engine.compatibility import Earlier


def test_an_upgrade_of_the_program_replaces_nothing_and_restarts_nothing(tmp_path: Path) -> None:
    earlier = Earlier("existing", tmp_path)
    earlier.check_nothing_is_lost()
    earlier.check_nothing_restarts()
