# shellcheck shell=bash disable=SC2154
# Keeps a systemd timer running that starts a service of the same name. Values: unit (the name). Files: both units.

apply() {
  write_files
  at_boot "$unit.timer" "$unit.service"
  # A running timer would keep the times of its unit's earlier text
  if [ ${#changed[@]} -gt 0 ]; then systemctl restart "$unit.timer"; else systemctl start "$unit.timer"; fi
  report "$unit.timer"
}

check() {
  files_differ
  systemctl is-enabled -q "$unit.timer" 2>/dev/null || differs "$unit.timer" "is not enabled: it will not start at the next boot"
  systemctl is-active -q "$unit.timer" || differs "$unit.timer" "is not running"
}
