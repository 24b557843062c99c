# shellcheck shell=bash disable=SC2154
# Runs a daemon under systemd, and restarts it only if what it runs is not what is wanted: its unit, configuration, versions.
# Values: unit, inputs (paths), check (a bash condition that holds when the daemon is of use), seconds.
# Files: the unit.

apply() {
  local wanted running first=true unproven=/run/flink-steps/unproven-$unit
  systemctl is-enabled -q "$unit" 2>/dev/null && first=false
  write_files
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  systemctl enable -q "$unit"
  wanted=$(fingerprint "${inputs[@]}")
  running=$(cat "/run/$unit/fingerprint" 2>/dev/null || true)
  if systemctl is-active -q "$unit" && [ "$wanted" = "$running" ]; then
    # An earlier run restarted it and did not see it come back: the next host may not be touched before it has
    [ ! -e "$unproven" ] || prove
    say "$unit: runs what is wanted"
    return 0
  fi
  [ "$first" = true ] || touch "$unproven"
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl restart "$unit" || fail "$unit does not start"
  # The first start of all daemons happens side by side, and the cluster's own check waits for all of them at once. Later
  # the next host may only be touched when this one is of use again.
  if [ "$first" = true ]; then
    say "$unit: started"
    return 0
  fi
  prove
  say "$unit: restarted"
}

prove() {
  wait_until "$seconds" bash -c "$check" || fail "$unit was restarted and is of no use after $seconds s"
  rm -f "$unproven"
}

fail() {
  journalctl -u "$unit" -n 20 --no-pager -o cat >&2 || true
  die "$1; the end of its log is above, the rest in \`journalctl -u $unit\`"
}

remove() {
  systemctl disable -q --now "$unit" 2>/dev/null || true
  delete_files
  systemctl daemon-reload
  systemctl reset-failed "$unit" 2>/dev/null || true
}
