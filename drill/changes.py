"""Changes by `up` while the job runs: complete ones, and one that is killed in the middle."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from drill.scene import Scene
from lab import group, stack
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from stand_ins.builds import archives

_UP_SECONDS = 600.0
SETTINGS: dict[str, Any] = {
    "flink:jobManagerConfig": {"jobmanager.execution.attempts-history-size": 17},
    "flink:taskManagerConfig": {"taskmanager.network.retries": 3},
}
"""One setting for each kind of daemon; a job notices only the restart."""


def setting(what: str, settings: dict[str, Any]) -> Callable[[Scene], None]:
    """A fault that runs `up` with these settings changed; `what` describes it."""

    def make(scene: Scene) -> None:
        overrides = _changed(scene, settings)
        scene.happens()
        _up(scene.cluster, overrides)
        scene.is_over()

    make.__doc__ = what
    return make


config = setting("`up` with a changed setting of JobManagers and one of TaskManagers.", SETTINGS)
nothing = setting("`up` with nothing changed.", {})
jobmanagers = setting(
    "`up` with a changed setting of JobManagers.",
    {"flink:jobManagerConfig": SETTINGS["flink:jobManagerConfig"]},
)
taskmanagers = setting(
    "`up` with a changed setting of TaskManagers.",
    {"flink:taskManagerConfig": SETTINGS["flink:taskManagerConfig"]},
)
zookeeper = setting(
    "`up` with a changed setting of ZooKeeper.", {"flink:zookeeperConfig": {"autopurge.purgeInterval": 12}}
)


def java(scene: Scene) -> None:
    """`up` to the next long-term release of Java, on every host."""
    overrides = _changed(scene, stack.release(scene.cluster.lab, "java", archives.later_java()))
    scene.happens()
    _up(scene.cluster, overrides)
    scene.is_over()


def one_more(scene: Scene) -> None:
    """Boot the host of one more worker."""
    lab = scene.cluster.lab
    workers = lab.workers()
    scene.undo.callback(scene.cluster.wait_until_whole)
    scene.undo.callback(lab.up, workers=workers)
    scene.undo.callback(_up, scene.cluster, scene.cluster.overrides)
    lab.up(workers=workers + 1)
    scene.expected = {**scene.cluster.overrides, "flink:workers": workers + 1}


def one_more_in_use(scene: Scene) -> None:
    """Add one more worker to the cluster."""
    before = scene.cluster.overrides
    one_more(scene)
    _up(scene.cluster, scene.expected)
    scene.cluster.wait_until_whole()
    scene.expected = before


def earlier_version(scene: Scene) -> None:
    """Have the cluster run the previous Flink release, and compile the job for it."""
    cluster, expected = scene.cluster, scene.cluster.overrides
    earlier = archives.earlier_flink()
    scene.undo.callback(_up, cluster, expected)
    _up(cluster, {**expected, **stack.release(cluster.lab, "flink", earlier)})
    cluster.wait_until_whole()
    scene.compiled_for = replace(cluster.archives, flink=earlier)
    scene.expected = expected


def expected(what: str) -> Callable[[Scene], None]:
    """A fault that runs `up` with the settings of the set-up; `what` describes it."""

    def make(scene: Scene) -> None:
        scene.happens()
        _up(scene.cluster, scene.expected)
        scene.is_over()

    make.__doc__ = what
    return make


worker_joins = expected("`up` with one worker more.")
worker_leaves = expected("`up` with one worker fewer.")


def upgrade(scene: Scene) -> None:
    """`up` from the previous Flink release to the present one; the job continues from its state."""
    scene.happens()
    _up(scene.cluster, scene.expected)
    scene.is_over()
    cluster = scene.cluster
    running = {cluster.ask(name, "/overview")["flink-version"] for name in cluster.hosts("jobmanager")}
    if running != {scene.cluster.archives.flink.version}:
        raise LabError(f"the JobManagers run Flink {', '.join(sorted(running))}")


def killed_up(scene: Scene) -> None:
    """The `up` of `config-rollout`, killed as soon as it has restarted the first daemon, and run again."""
    cluster, overrides = scene.cluster, _changed(scene, SETTINGS)
    before = _starts(cluster)
    scene.happens()
    with _process(cluster, overrides) as process:

        def restarted() -> bool:
            if process.poll() is not None:
                raise LabError(f"up ended with {process.returncode} before it had restarted anything")
            return _starts(cluster) != before

        wait_for("the first restart", _UP_SECONDS, restarted)
    changed = sorted(name for name, start in _starts(cluster).items() if start != before[name])
    scene.notes.append(f"killed when {' '.join(changed)} had been restarted")
    _up(cluster, overrides)
    scene.is_over()


def _changed(scene: Scene, settings: dict[str, Any]) -> dict[str, Any]:
    """The cluster's settings with these changed; at the end the present ones are restored."""
    before = scene.cluster.overrides
    scene.undo.callback(_up, scene.cluster, before)
    return {**before, **settings}


def _up(cluster: Cluster, overrides: dict[str, Any]) -> None:
    cluster.overrides = overrides
    cluster.stack.up()


def _starts(cluster: Cluster) -> dict[str, str]:
    """Flink host → time of the start of its running daemon."""
    names = [*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")]
    ask = "systemctl show -p ExecMainStartTimestampMonotonic --value flink-jobmanager flink-taskmanager"
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(lambda name: cluster.lab.ssh(name, ask).stdout, names), strict=True))


def _process(cluster: Cluster, overrides: dict[str, Any]) -> AbstractContextManager["subprocess.Popen[Any]"]:
    """`up` in a separate process group, which is killed (SIGKILL) at the end of the block."""
    return group.started([sys.executable, "-m", "drill.up", cluster.lab.name, json.dumps(overrides)])
