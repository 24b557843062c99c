# shellcheck shell=bash disable=SC2154
# Runs the watch for AWS's notices to a spot instance (host_tool/spot.py). Values: none. Files: the module, its facts, the
# unit.

apply() {
  write_files
  report "watch for notices"
  at_boot flink-spot
  if [ ${#changed[@]} -gt 0 ] || ! systemctl is-active -q flink-spot; then
    systemctl restart flink-spot || die "flink-spot does not start: \`journalctl -u flink-spot\`"
  fi
}

check() {
  files_differ
  systemctl is-enabled -q flink-spot 2>/dev/null || differs flink-spot "is not enabled: it will not start at the next boot"
  systemctl is-active -q flink-spot || differs flink-spot "is not running"
}
