# shellcheck shell=bash disable=SC2154
# Runs a daemon under systemd, and restarts it only if what it runs is not what is wanted: its unit, configuration, versions.
# Values: unit, inputs (paths), check (a bash condition that holds when the daemon is of use), seconds, others (HOST:PORT of
# daemons that there are already if this one comes to a running cluster).
# Files: the unit.

apply() {
  local wanted running known=true
  unproven=/run/flink-steps/unproven-$unit
  systemctl is-enabled -q "$unit" 2>/dev/null || known=false
  write_files
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  systemctl enable -q "$unit"
  wanted=$(fingerprint "${inputs[@]}")
  running=$(cat "/run/$unit/fingerprint" 2>/dev/null || true)
  if systemctl is-active -q "$unit" && [ "$wanted" = "$running" ]; then
    prove
    say "$unit: runs what is wanted"
    return 0
  fi
  if of_use || { [ "$known" = false ] && others_answer; }; then touch "$unproven"; fi
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl restart "$unit" || fail "$unit does not start"
  if [ -e "$unproven" ]; then
    prove
    say "$unit: started, and of use"
  elif [ "$known" = true ]; then
    # It was of no use before, so what it lacks may be the others, whose turn comes after this one's
    wait_until 30 of_use || say "$unit: of no use yet; going on, since it was of none before"
    say "$unit: restarted"
  else
    # The first start of all daemons happens side by side, and the cluster's own check waits for all of them at once
    say "$unit: started"
  fi
}

of_use() { timeout 10 bash -c "$check"; }

# Does this daemon come to a cluster that runs? Then it may be a machine's replacement, and the next machine's turn is after it.
others_answer() {
  local other
  for other in "${others[@]}"; do
    # shellcheck disable=SC2016  # the inner shell expands
    if timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "${other%:*}" "${other##*:}" 2>/dev/null; then return 0; fi
  done
  return 1
}

# A daemon that was of use and was restarted, or that comes to a running cluster, has to be of use before the next host may
# be touched, even if that is found out only by a later run.
prove() {
  [ -e "$unproven" ] || return 0
  wait_until "$seconds" of_use || fail "$unit was started and is of no use after $seconds s"
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
