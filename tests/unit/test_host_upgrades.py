"""Upgrades of packages on hosts: apt's own timers, needrestart, and which hosts wait for a reboot."""

import re
import subprocess
from pathlib import Path

import pytest

from components.aws import user_data
from components.sources import SCRIPTS
from components.templates import render
from ops.waiting import WAITS

APT = """#!/bin/sh
echo "$@" >>"$0.called"
case "$*" in
  # DPkg::Lock::Timeout does not concern the lock of the lists: `update` fails at once
  *update) [ "$(grep -c update "$0.called")" -gt 2 ] || { echo 'E: Could not get lock' >&2; exit 100; } ;;
esac
"""


def test_a_new_machine_gets_curl_although_apts_timers_run(tmp_path: Path) -> None:
    for name, text in {"apt-get": APT, "sleep": '#!/bin/sh\necho "$@" >>"$0.called"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "grep").symlink_to("/bin/grep")
    subprocess.run(["/bin/sh", "-c", user_data._CURL], env={"PATH": str(tmp_path)}, check=True, capture_output=True)
    called = (tmp_path / "apt-get.called").read_text().splitlines()
    assert [line.rpartition("DPkg::Lock::Timeout=60 ")[2] for line in called] == [
        *["update"] * 3, "install --no-install-recommends curl",
    ]  # fmt: skip
    assert (tmp_path / "sleep.called").read_text().split() == ["20"] * 2


def test_no_step_on_a_host_uses_apt() -> None:
    """It would have to wait for apt's locks."""
    for script in SCRIPTS.rglob("*.sh"):
        text = re.sub(r'problems\+=\(".*"\)', "", script.read_text())
        assert not re.search(r"\b(apt|apt-get|dpkg) ", text), script


def test_needrestart_restarts_no_daemon_of_ours(tmp_path: Path) -> None:
    """As needrestart reads its folder, and chooses what to restart."""
    (tmp_path / "60-flink.conf").write_text(render("needrestart.conf"))
    script = r"""
our %nrconf = (override_rc => { qr(^dbus) => 0 });
eval do { local(@ARGV, $/) = $ARGV[0]; <> }; die $@ if $@;
while (my $unit = <STDIN>) {
  chomp $unit; my $restart = 1;
  for my $re (keys %{$nrconf{override_rc}}) { next unless $unit =~ /$re/; $restart = $nrconf{override_rc}->{$re}; last }
  print "$unit\n" if $restart;
}
"""
    units = ["ssh", "dbus", "flink-jobmanager", "flink-taskmanager", "zookeeper", "zookeeper-exporter"]
    done = subprocess.run(
        ["perl", "-e", script, str(tmp_path / "60-flink.conf")],
        input="".join(f"{unit}.service\n" for unit in units), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["ssh.service", "zookeeper-exporter.service"]


def waits(root: Path, *, container: bool = False, runs: str = "6.1.0-9-amd64") -> str:
    """What a host with these files says."""
    text = WAITS.replace("/run/", f"{root}/run/").replace("/boot", f"{root}/boot").replace("/proc/", f"{root}/proc/")
    stubs = f"systemd-detect-virt() {{ {str(container).lower()}; }}\nuname() {{ echo {runs}; }}\npgrep() {{ :; }}\n"
    done = subprocess.run(
        ["bash", "-s"], input=f"set -u\n{stubs}{text}\nwaits", capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's files: two kernels, of which the newer one runs; process 1 and a JVM."""
    for folder in ("run/flink-taskmanager", "boot", "proc/1", "proc/77"):
        (tmp_path / folder).mkdir(parents=True)
    for version in ("6.1.0-9-amd64", "6.1.0-8-amd64", "0-rescue-abc"):
        (tmp_path / "boot" / f"vmlinuz-{version}").touch()
    (tmp_path / "run/flink-taskmanager/pid").write_text("77\n")
    for process, name, line in (("1", "systemd", "/usr/lib/x/libc.so.6"), ("77", "java", "/lib/x/libz.so.1")):
        (tmp_path / f"proc/{process}/comm").write_text(f"{name}\n")
        (tmp_path / f"proc/{process}/maps").write_text(f"7f00-7f01 r-xp 00000000 08:01 12    {line}\n")
    return tmp_path


def test_a_host_that_runs_what_is_installed_waits_for_nothing(root: Path) -> None:
    assert waits(root) == ""


def test_a_kernel_that_is_installed_and_does_not_run_waits_for_a_reboot(root: Path) -> None:
    (root / "boot/vmlinuz-6.1.0-10-amd64").touch()
    assert waits(root) == "kernel 6.1.0-10-amd64 is installed, 6.1.0-9-amd64 runs"
    assert waits(root, container=True) == "", "its machine's kernel"


def test_the_mark_of_the_distribution_counts_with_or_without_names(root: Path) -> None:
    (root / "run/reboot-required").touch()
    assert waits(root).endswith("/run/reboot-required exists")
    (root / "run/reboot-required.pkgs").write_text("linux-image-6.1\nlibc6\nlinux-image-6.1\n")
    assert waits(root) == "libc6 linux-image-6.1 was upgraded"


@pytest.mark.parametrize("process", ["1", "77"])
def test_a_library_that_was_replaced_below_a_process_waits_for_a_reboot(root: Path, process: str) -> None:
    maps = root / f"proc/{process}/maps"
    maps.write_text(maps.read_text() + "7f02-7f03 r-xp 00000000 08:01 13    /var/lib/flink/tmp/lib/libx.so (deleted)\n")
    assert waits(root) == "", "Java unpacks libraries for itself"
    maps.write_text(maps.read_text() + "7f04-7f05 r-xp 00000000 08:01 14    /usr/lib/x/libssl.so.3 (deleted)\n")
    assert waits(root).endswith("uses an earlier /usr/lib/x/libssl.so.3")
