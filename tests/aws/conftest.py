"""Fixtures that a file's tests share: a moto server, or a rehearsal. Created on first use, and always removed."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from lab.lab import Lab
from stand_ins.aws_cloud import Cloud
from tests.aws import scale
from tests.aws.aws_client import Moto, moto
from tests.aws.inventory import everything
from tests.aws.rehearsal import NAME, Rehearsal

if TYPE_CHECKING:
    from tests.aws.thing import Make


@pytest.fixture(scope="session", autouse=True)
def nobodys_account() -> Iterator[None]:
    """Without the user's AWS settings: a profile, a session, a region."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def cloud() -> Iterator[Moto]:
    """A moto server without machines."""
    with moto() as it:
        yield it


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The address of a moto server of the test's own, in a separate process, without machines."""
    with scale.moto() as it:
        yield it


@pytest.fixture(scope="module")
def make(cloud: Moto) -> Iterator[Make]:
    """Creates resources by the AWS stand-in, on that server."""
    # It loads the complete SDK; the rehearsal does so in separate processes
    from tests.aws.thing import things

    with things(cloud) as it:
        yield it


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    """A data center without machines, and the stack that will create them."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        with Cloud(lab) as cloud:
            yield Rehearsal(lab, cloud)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def before(rehearsal: Rehearsal) -> set[str]:
    """The inventory of an empty account."""
    return everything(rehearsal.cloud.endpoint, rehearsal.cloud.region)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If a test fails, show the daemons' logs."""
    report = yield
    rehearsal = getattr(item, "funcargs", {}).get("rehearsal")
    if report.when == "call" and report.failed and rehearsal:
        for name, text in rehearsal.logs().items():
            report.sections.append((name, text))
    return report
