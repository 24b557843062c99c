"""Keeps one host of a lab on: the parent process of `systemd-nspawn`, one for each host.

`hosts.boot` starts it in a separate mount namespace. So only this process and its children see the host's file system,
which is unmounted when they end: no mount is ever left behind.

A host that reboots, or ends unexpectedly, is booted again. SIGTERM powers it off; so does `poweroff` inside.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab import processes

POWER_OFF_SECONDS = 60
"""Maximum seconds for a host's services to end. Then its power is cut."""
POWER_ON = "power on\n"
"""Mark of the beginning of a boot in the console log."""
POWER_OFF = signal.SIGRTMIN + 4
"""Signal that systemd as pid 1 treats as `systemctl poweroff` (man systemd, SIGNALS)."""
_REBOOT = 133
"""nspawn's exit status under --keep-unit when the host reboots."""
_TOO_SHORT_SECONDS, _TOO_OFTEN = 5, 3
"""A host that ends within these seconds, this many times in a row, cannot boot."""
_SIGNALS = (signal.SIGTERM, signal.SIGCHLD)


def _join_cgroup(machine: str) -> None:
    """Move this process into a separate cgroup, which nspawn then delegates to the host.

    Only if systemd does not run the machine: otherwise nspawn requests a scope from it.
    """
    for directory in cgroups(machine):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text(str(os.getpid()))


def cgroups(machine: str) -> list[Path]:
    """The cgroups of a host, in each hierarchy that systemd uses; none if systemd runs the machine."""
    root = Path("/sys/fs/cgroup")
    if Path("/run/systemd/system").is_dir():
        return []
    hierarchies = [root] if (root / "cgroup.controllers").exists() else [root / "systemd", root / "unified"]
    return [hierarchy / "flink-lab" / machine for hierarchy in hierarchies if hierarchy.is_dir()]


def _nspawn(args: argparse.Namespace, root: Path) -> subprocess.Popen[bytes]:
    argv = [
        "systemd-nspawn",
        "--quiet",
        f"--directory={root}",
        f"--machine={args.machine}",
        f"--hostname={args.host}",
    ]
    argv += ["--boot", f"--network-bridge={args.bridge}", f"--kill-signal={POWER_OFF}"]
    argv += ["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--setenv=TERM=dumb"]
    argv += [f"--setenv={processes.mark(args.lab, args.host)}"]
    argv += [f"--bind={text}" for text in args.mount]
    if not Path("/run/systemd/system").is_dir():
        argv += ["--register=no", "--keep-unit"]
    else:
        argv += [f"--property={text}" for text in args.property]
    interface = f"vb-{args.machine}"
    if Path(f"/sys/class/net/{interface}").exists():  # the kernel has not yet removed the one of the last boot
        subprocess.run(["ip", "link", "delete", interface], check=False)
    print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {POWER_ON}", end="", flush=True)
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ())
    )


def _power_off(args: argparse.Namespace) -> None:
    """Signal the host's init repeatedly, because early in its boot it may ignore the signal."""
    if host := processes.init_of(args.lab, args.host):
        os.kill(host.pid, POWER_OFF)


def _pull_the_plug(args: argparse.Namespace) -> None:
    for process in processes.find(args.lab, args.host):
        if process.pid != os.getpid():
            os.kill(process.pid, signal.SIGKILL)


def _run_once(args: argparse.Namespace, root: Path, stopping: bool) -> tuple[int, bool]:
    """One boot, until the host has ended; returns nspawn's status, and whether the host was to stop."""
    deadline = time.monotonic() + POWER_OFF_SECONDS
    process = _nspawn(args, root)
    while process.poll() is None:
        if stopping and time.monotonic() > deadline:
            print("--- still on: cutting the power", flush=True)
            _pull_the_plug(args)
        elif stopping:
            _power_off(args)
        got = signal.sigtimedwait(_SIGNALS, 1) if stopping else signal.sigwaitinfo(_SIGNALS)
        if got and got.si_signo == signal.SIGTERM and not stopping:
            stopping, deadline = True, time.monotonic() + POWER_OFF_SECONDS
    _pull_the_plug(args)  # if nspawn was killed, the host's processes still exist
    return process.returncode, stopping


def main(argv: list[str]) -> int:
    """Keep the host on until it is stopped; 1 if it cannot boot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("lab", "host", "machine", "bridge"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--base", required=True, help="root directory of the base image")
    parser.add_argument("--directory", required=True, type=Path, help="the host's own files")
    parser.add_argument("--property", action="append", default=[], help="a setting of the host's systemd scope")
    parser.add_argument("--mount", action="append", default=[], help="FOLDER:POINT, a folder of this machine")
    args = parser.parse_args(argv)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    root = args.directory / "root"
    layers = f"lowerdir={args.base},upperdir={args.directory / 'upper'},workdir={args.directory / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", root], check=True)
    _join_cgroup(args.machine)
    stopping, short = False, 0
    while not stopping and short < _TOO_OFTEN:
        began = time.monotonic()
        status, stopping = _run_once(args, root, stopping)
        print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} off (status {status})", flush=True)
        if status == 0:
            return 0
        short = short + 1 if status != _REBOOT and time.monotonic() - began < _TOO_SHORT_SECONDS else 0
        stopping = stopping or signal.SIGTERM in signal.sigpending()
    return 0 if stopping else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
