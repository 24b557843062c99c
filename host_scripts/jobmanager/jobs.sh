# shellcheck shell=bash disable=SC2154
# Keeps the watch over declared jobs running (host_tool/job_watch.py), with timer.sh. Values: name, unit (flink-jobs). Files:
# both units, and the jobs.

remove() {
  systemctl disable -q --now "$unit.timer" 2>/dev/null || true
  # A start under way would continue without its watch
  systemctl stop "$unit.service" 2>/dev/null || true
  rm -f /etc/systemd/system/"$unit".{service,timer} /etc/flink/jobs.json "$records/$record"
  rm -rf "/run/$unit"
  systemctl daemon-reload
  systemctl reset-failed "$unit.service" "$unit.timer" 2>/dev/null || true
}
