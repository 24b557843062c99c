"""Two NameNodes: Flink's file system finds the one that is active, by the nameservice and through a mount table."""

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from components.storage import Hdfs
from lab import hdfs
from tests.measured import Measured
from tests.storages.looks import Look
from tests.storages.servers import Server, started

pytestmark = pytest.mark.exhaustive  # eight servers of Hadoop


def test_the_active_namenode_may_be_lost(flink: Path, tmp_path: Path, measured: Measured) -> None:
    dfs = hdfs.pair(tmp_path / "hdfs", "127.0.0.1")
    mounts = {"fs.viewfs.mounttable.all.link./state": f"{dfs.uri}/flink/state"}
    processes: dict[str, subprocess.Popen[bytes]] = {}

    def said(uri: str) -> str:
        return Look(tmp_path, flink).said(uri, dfs.client_site(mounts), Hdfs())

    with ExitStack() as kept:

        def serve(
            name: str, argv: list[str], environment: Mapping[str, str], problem: Callable[[], str | None]
        ) -> None:
            server = Server(name, argv, environment, problem)
            processes[name] = kept.enter_context(started(server, tmp_path / f"{name}.log"))

        dfs.start(serve)
        dfs.home("/flink", "flink")
        assert said(f"{dfs.uri}/flink") == ""
        lost = dfs.active()
        for name in (f"zkfc-{lost}", lost):  # its machine
            processes[name].kill()
        began = time.monotonic()
        assert said("viewfs://all/state") == ""
        measured(f"HDFS's active NameNode killed: a host could write again within {time.monotonic() - began:.1f} s")
        assert dfs.active() not in ("", lost)
        dfs.start_namenode(serve, lost)
        assert dfs.active() not in ("", lost), "it stands by"
        found = said("viewfs://all/none")
        assert found.startswith("cannot write: ") and "expected a link for this path in the mount table" in found, found
