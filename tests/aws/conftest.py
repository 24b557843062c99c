"""What the tests of a file share: a moto server, or a rehearsal. Made when the first asks, and always removed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from lab.lab import Lab
from stand_ins.aws_cloud import Cloud
from tests.aws.aws_client import Moto, moto
from tests.aws.inventory import everything
from tests.aws.rehearsal import NAME, Rehearsal

if TYPE_CHECKING:
    from tests.aws.thing import Make


@pytest.fixture(scope="session", autouse=True)
def nobodys_account() -> Iterator[None]:
    """Without what the user has set for AWS: a profile, a session, a region."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def cloud() -> Iterator[Moto]:
    """A moto server without machines."""
    with moto() as it:
        yield it


@pytest.fixture(scope="module")
def make(cloud: Moto) -> Iterator[Make]:
    """Makes things of the AWS stand-in, against that server."""
    # It loads the whole SDK, which the rehearsal does in processes of their own
    from tests.aws.thing import things

    with things(cloud) as it:
        yield it


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    """A data centre without a machine, and the stack that is to create them."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        with Cloud(lab) as cloud:
            yield Rehearsal(lab, cloud)
    finally:
        lab.down()


@pytest.fixture(scope="module")
def before(rehearsal: Rehearsal) -> set[str]:
    """What there is in an account that nothing was created in."""
    return everything(rehearsal.cloud.endpoint, rehearsal.cloud.region)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With a test that fails, show what the daemons logged."""
    report = yield
    rehearsal = getattr(item, "funcargs", {}).get("rehearsal")
    if report.when == "call" and report.failed and rehearsal:
        for name, text in rehearsal.logs().items():
            report.sections.append((name, text))
    return report
