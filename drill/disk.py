"""A full disk: TaskManagers keep their files on a small file system, so that no other disk fills up."""

from concurrent.futures import ThreadPoolExecutor

import yaml

from drill.scene import Scene

_SIZE_MIB = 48
"""Enough for RocksDB's library, which each TaskManager unpacks there, and for several times the job's state."""

_MOUNT = """
set -eu
systemctl stop flink-taskmanager
mkdir -p {folder}
mount -t tmpfs -o size={size}m,mode=0750,uid=flink,gid=flink drill {folder}
systemctl start flink-taskmanager
"""
_UNMOUNT = """
systemctl stop flink-taskmanager
umount {folder}
systemctl start flink-taskmanager
"""
_FILL = """
dd if=/dev/zero of={folder}/full bs=64k 2>/dev/null
[ -s {folder}/full ] && [ "$(df --output=avail {folder} | tail -n 1)" -eq 0 ]
"""


def limit(scene: Scene) -> None:
    """Mount a small file system at io.tmp.dirs of every TaskManager, since any of them may run the job."""
    lab, names = scene.cluster.lab, scene.cluster.hosts("taskmanager")

    def do(script: str) -> None:
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: _run(scene, name, script), names))

    scene.undo.callback(scene.cluster.wait_until_whole)
    scene.undo.callback(do, _UNMOUNT)
    do(_MOUNT)
    scene.cluster.wait_until_whole()
    for name in names:
        lab.ssh(name, f"findmnt -n -t tmpfs {_folder(scene, name)}")


def full(scene: Scene) -> None:
    """The file system of a TaskManager that runs tasks is filled to the last byte for 30 s."""
    victim = scene.job.taskmanager()
    scene.undo.callback(_run, scene, victim, "rm -f {folder}/full")
    scene.happens()
    _run(scene, victim, _FILL)
    scene.lasts()
    _run(scene, victim, "rm -f {folder}/full")
    scene.is_over()


def _folder(scene: Scene, host: str) -> str:
    return str(yaml.safe_load(scene.cluster.lab.ssh(host, "cat /etc/flink/config.yaml").stdout)["io.tmp.dirs"])


def _run(scene: Scene, host: str, script: str) -> None:
    text = script.format(folder=_folder(scene, host), size=_SIZE_MIB)
    scene.cluster.lab.ssh(host, "sudo -n bash -s", text)
