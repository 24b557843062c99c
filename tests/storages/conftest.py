"""Flink's classes, for tests that need no cluster."""

import re
import tarfile
from pathlib import Path

import pytest

from stand_ins.builds import archives


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flink's classes and its configuration file."""
    home = tmp_path_factory.mktemp("flink")
    wanted = re.compile(r"[^/]+/(lib/(flink-dist|log4j)[^/]*\.jar|conf/config\.yaml)")
    with tarfile.open(archives.ensure().flink.path) as archive:
        members = [entry for entry in archive if wanted.fullmatch(entry.name)]
        archive.extractall(home, members, filter="data")
    return next(home.iterdir())
