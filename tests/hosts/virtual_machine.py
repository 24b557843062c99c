"""A virtual machine with node_exporter, whose clock, memory and processor are its own, and can be troubled: those of a
lab's hosts, which are namespaces of one machine, are all the same.

QEMU emulates its processor: a guest has its own clock and memory on every machine, also on one that is virtual itself.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import processes
from lab.cluster import wait_for
from lab.errors import LabError
from stand_ins.builds import linux

NAME = "guest"
"""Of its process, among those of a lab."""
AHEAD = 30
"""Seconds that its clock is ahead while it is troubled."""
BOOT_SECONDS = 240
"""Maximum seconds of a boot. It takes 7 s, and 40 s at a load of 14 (measured, 2 cores)."""
_ANSWER_SECONDS = 60
MIB = 512
"""Its memory."""
_LEFT = 3.5
"""Percent of the memory that are available while it is troubled. node_exporter runs already, and needs less."""
_PORT = 9100
_COLLECTORS = "cpu", "meminfo", "time"
"""Those that the rules read: its processor is slow."""
_OPTIONS = " ".join(["--collector.disable-defaults", *(f"--collector.{name}" for name in _COLLECTORS)])
_READY, _DONE = "the guest is ready", "the guest has done"


def _init(options: str) -> str:
    """The first program that it runs, and the last: with the options of node_exporter."""
    return f"""\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /full
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=100% full /full
for module in {" ".join(linux.MODULES)}; do insmod /modules/$module.ko; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
# Who asks keeps its address
ip route add default via 10.0.2.2

/node_exporter --web.listen-address=:{_PORT} {options} &
until nc 127.0.0.1 {_PORT} </dev/null 2>/dev/null; do sleep 0.2; done

of() {{ awk "/^$1:/ {{print \\$2}}" /proc/meminfo; }}
left=$(($(of MemTotal) * {int(_LEFT * 10)} / 1000))
# In pieces, so that one that is on its way when it is killed is small
fill() {{
    while sleep 0.1; do
        more=$((($(of MemAvailable) - left) / 1024))
        [ $more -le 16 ] || more=16
        [ $more -le 0 ] || dd if=/dev/zero bs=1M count=$more >>/full/file 2>/dev/null
    done
}}

echo {_READY}
while read -r order now; do
    case $order in
        trouble)
            while :; do :; done &
            burner=$!
            renice -n 19 -p $burner
            fill &
            filler=$!
            ;;
        end) kill $burner $filler ;;
    esac
    date -s "@$now"
    if [ $order = end ]; then
        until rm -f /full/file && [ $(of MemAvailable) -gt $((left * 2)) ]; do sleep 0.2; done
    fi
    echo "{_DONE} $order"
done </dev/ttyS1
"""


@dataclass
class VirtualMachine:
    """It runs, and nothing is wrong with it. Its node_exporter is reached only while a port is forwarded to it."""

    folder: Path

    @contextmanager
    def forwarded(self, port: int) -> Iterator[None]:
        """A port of all addresses is forwarded to its node_exporter."""
        self._manage(f"hostfwd_add net tcp::{port}-:{_PORT}", "")
        try:
            yield
        finally:
            self._manage(f"hostfwd_remove net tcp::{port}", f"host forwarding rule for tcp::{port} removed")

    def trouble(self) -> None:
        """Its clock is ahead from now on, its processor busy, and soon its memory full."""
        self.order("trouble", AHEAD)

    def end_trouble(self) -> None:
        """Memory and processor are free from now on, and its clock is this machine's."""
        self.order("end")

    def order(self, what: str, ahead: int = 0) -> None:
        """Give an order to its first program, which sets its clock, too: to this machine's, and seconds ahead."""
        with _connected(self.folder / "orders") as orders:
            # It sets its clock to whole seconds
            now = int(time.time()) + 1
            while time.time() < now:
                time.sleep(0.01)  # between two looks
            orders.sendall(f"{what} {now + ahead}\n".encode())
            _wait(self.folder, f"{_DONE} {what}", _ANSWER_SECONDS)

    def _manage(self, order: str, expected: str) -> None:
        """Give an order to QEMU's monitor, by its protocol QMP."""
        with _connected(self.folder / "monitor") as monitor, monitor.makefile("rw") as lines:
            lines.readline()  # it says who it is
            for command in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": order}},
            ):
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
            assert answer.get("return", "").strip() == expected, f"{order}: {answer}"


@contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
        yield connection


def _wait(folder: Path, said: str, seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the guest has said this on its console; not any longer if QEMU, this process, has ended."""

    def console() -> str:
        path = folder / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def look() -> bool:
        if process and process.poll() is not None:
            raise LabError(f"QEMU ended with status {process.returncode}")
        return said in console()

    try:
        wait_for(said, seconds, look)
    except LabError as error:
        error.add_note(f"{(folder / 'log').read_text()}\n{console()[-2000:]}")
        raise


@contextmanager
def running(
    lab_id: str, pid: int, folder: Path, exporter: Path, options: str, files: Mapping[str, Path]
) -> Iterator[VirtualMachine]:
    """A virtual machine in the network of a process of this machine, as a process of a lab; `folder` is made for it.
    `exporter` is node_exporter, with these options, and files for it by their paths in the guest.
    """
    qemu, kernel = linux.qemu(), linux.home() / "kernel"
    folder.mkdir(mode=0o700)  # some files are secret
    try:
        _pack(folder / "initramfs", _init(f"{_OPTIONS} {options}"), {"/node_exporter": exporter, **files})
        argv = ["nsenter", f"--target={pid}", "--net", "--", qemu]
        argv += ["-accel", "tcg", "-cpu", "max", "-m", str(MIB), "-nodefaults", "-display", "none", "-no-reboot"]
        argv += ["-kernel", str(kernel), "-initrd", str(folder / "initramfs")]
        argv += ["-append", "console=ttyS0 quiet panic=-1"]
        argv += ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net,romfile="]
        argv += ["-serial", f"file:{folder / 'console'}"]
        argv += ["-serial", f"unix:{folder / 'orders'},server=on,wait=off"]
        argv += ["-qmp", f"unix:{folder / 'monitor'},server=on,wait=off"]
        process = processes.spawn(lab_id, NAME, argv, folder / "log")
        try:
            _wait(folder, _READY, BOOT_SECONDS, process)
            made = VirtualMachine(folder)
            # It has read its own clock in whole seconds
            made.order("begin")
            yield made
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder)


def _pack(to: Path, init: str, files: Mapping[str, Path]) -> None:
    """Make the file system that the kernel begins with, and its only one."""
    home, tree = linux.home(), to.with_name("tree")
    found: dict[str, Path] = {
        "/bin/busybox": home / "busybox",
        **{f"/modules/{name}.ko": home / f"modules/{name}.ko" for name in linux.MODULES},
        **{path: Path(path) for source in files.values() for path in _libraries(source)},
        **files,
    }
    for path, source in found.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (tree / "init").write_text(init)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = [str(home / "busybox"), "cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"]
    with to.open("wb") as file:
        subprocess.run(packed, cwd=tree, input=names.encode(), stdout=file, check=True)
    shutil.rmtree(tree)


def _libraries(program: Path) -> list[str]:
    """Paths of the libraries that a program needs here; none of one that is linked statically."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", listed.stdout)
