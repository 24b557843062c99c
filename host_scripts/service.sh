# shellcheck shell=bash disable=SC2154
# Keeps a daemon running under systemd. One that runs something else than what is expected (its unit, configuration,
# versions) restarts: here and now, or, unless it does nothing for the cluster, in a later step, when its turn comes.
# Values: unit, inputs (paths), launch (true: what it runs is a launch, see launch.sh), restart (now or later), seconds,
# health (how the host tool asks for it: kind, port, other hosts; host_tool/health.py).
# Files: the unit. Prints `pending` if the restart is left to the later step.

apply() {
  local known=true
  unproven=/run/flink-steps/unproven-$unit
  systemctl is-enabled -q "$unit" 2>/dev/null || known=false
  write_files
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  systemctl enable -q "$unit"
  if systemctl is-active -q "$unit"; then
    if runs_what_is_declared; then
      prove
      say "$unit: runs what is declared"
      return 0
    fi
    # A leader's death may leave it without use for a moment
    if [ "$restart" = later ] && it serves 10; then
      say "$unit: to be restarted when its turn comes"
      echo pending
      return 0
    fi
  fi
  # Only the rollout can hand the jobs over to another release of Flink, so it is no use to start it here
  if [ "$known" = true ] && other_release; then
    systemctl start "$unit" || true
    say "$unit: another release of Flink: for the rollout"
    echo pending
    return 0
  fi
  stop_is_safe
  if it healthy 0 || { [ "$known" = false ] && it joins 0; }; then touch "$unproven"; fi
  [ "$launch" = false ] || ln -sfnT "$(readlink /var/lib/flink/launch/expected)" /var/lib/flink/launch/current
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl restart "$unit" || fail "$unit does not start"
  if [ -e "$unproven" ]; then
    prove
    say "$unit: started and healthy"
  elif [ "$known" = true ]; then
    # It was not healthy before, so what it lacks may be the others, whose turn comes after this one's
    it healthy 30 || say "$unit: not healthy yet; continuing, it was unhealthy before the restart"
    say "$unit: restarted"
  else
    # The first start of all daemons happens side by side, and the cluster's own check waits for all of them at once
    say "$unit: started"
  fi
}

other_release() {
  local launches=/var/lib/flink/launch
  [ "$launch" = true ] && [ -e "$launches/current/release" ] && ! cmp -s "$launches/current/release" "$launches/expected/release"
}

# To stop one of an ensemble that another one is missing of already could be the end of its quorum.
stop_is_safe() {
  systemctl is-active -q "$unit" || return 0
  it stoppable "$seconds" ||
    die "$unit is to be restarted, and was not: others of the same kind are missing or behind after $seconds s; mend these first"
}

# What it was started with is written down by the unit; what it should run is the same with another launch.
runs_what_is_declared() {
  [ "$(fingerprint --expected "${inputs[@]}")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]
}

# it QUESTION SECONDS: whether the answer about the daemon becomes yes within that time.
it() { timeout $(($2 + 20)) "$flink_host" "$1" --within "$2" "${health[@]}"; }

# A daemon that was healthy and was restarted, or that comes to a running cluster (it may be a machine's replacement, and
# the next machine's turn is after it), has to be healthy before the next host may be touched, even if that is found out
# only by a later run.
prove() {
  [ -e "$unproven" ] || return 0
  it healthy "$seconds" || fail "$unit was started and is not healthy after $seconds s"
  rm -f "$unproven"
}

fail() {
  journalctl -u "$unit" -n 20 --no-pager -o cat >&2 || true
  die "$1; the end of its log is above, the rest in \`journalctl -u $unit\`"
}

check() {
  # The other step of this daemon looks
  [ "$restart" = later ] || return 0
  files_differ
  systemctl is-enabled -q "$unit" 2>/dev/null || differs "$unit" "is not enabled: it would not start at the next boot"
  if ! systemctl is-active -q "$unit"; then
    differs "$unit" "does not run"
  elif ! runs_what_is_declared; then
    differs "$unit" "runs something else than what is on the disk"
  fi
}
