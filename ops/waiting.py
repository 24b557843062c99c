"""Which hosts wait for a reboot, because their kernel or libraries were upgraded."""

WAITS = r"""
waits() {
  local kernel newest process earlier packages
  if [ -e /run/reboot-required ]; then
    packages=$(sort -u /run/reboot-required.pkgs 2>/dev/null | paste -sd' ')
    echo "${packages:-/run/reboot-required exists}${packages:+ was upgraded}"
    return 0
  fi
  # A container has the kernel of its machine
  if ! systemd-detect-virt --quiet --container; then
    kernel=$(uname -r)
    newest=$(find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' | grep -v rescue | sort -V | tail -n 1)
    if [ -n "$newest" ] && [ "$newest" != "vmlinuz-$kernel" ]; then
      echo "kernel ${newest#vmlinuz-} is installed, $kernel runs"
      return 0
    fi
  fi
  # Not what Java unpacks for itself and deletes
  for process in 1 $(cat /run/flink-*/pid 2>/dev/null) $(pgrep -u zookeeper -x java 2>/dev/null); do
    earlier=$(grep -oE ' /(usr/)?lib[^ ]*/[^ ]+\.so[^ ]* \(deleted\)$' "/proc/$process/maps" 2>/dev/null | head -n 1)
    if [ -n "$earlier" ]; then
      earlier=${earlier% (deleted)}
      echo "$(cat "/proc/$process/comm") uses an earlier ${earlier# }"
      return 0
    fi
  done
}
"""
"""Says why a host waits for a reboot; says nothing if it does not. Debian's unattended-upgrades and Ubuntu's packages
create /run/reboot-required, others nothing.
"""
