# shellcheck shell=bash disable=SC2154
# Keeps a daemon running under systemd. A daemon that does not run what is expected (its unit, configuration, versions)
# restarts: here and now, or, if it serves the cluster, in the rollout, a later step.
# Values: unit, inputs (paths), launch (true: it runs a launch, see launch.sh), restart (now or later), seconds,
# health (the arguments of the host tool's health check: kind, port, other hosts; host_tool/health.py). With a storage that the
# host tool can use also: look (JSON for it: it looks at the storage before the daemon starts, or restarts with what is new).
# Files: the unit. Prints `pending` if the rollout has to restart the daemon.

apply() {
  local known=true units=("$unit")
  # Its launch's step writes this one
  [ "$launch" = false ] || units+=(flink-classes.service)
  unproven=/run/flink-steps/unproven-$unit
  systemctl is-enabled -q "$unit" 2>/dev/null || known=false
  write_files
  if systemctl is-active -q "$unit" && runs_what_is_declared; then
    at_boot "${units[@]}"
    prove
    say "$unit: runs what is expected"
    return 0
  fi
  # A host that cannot use the storage is as it was before this step, and its next run is a first one again
  [ -z "${look:-}" ] || flink_host storage <<<"$look"
  at_boot "${units[@]}"
  if systemctl is-active -q "$unit"; then
    # It may not serve for a moment after a leader has failed
    if [ "$restart" = later ] && ! has_expired && it serves 10; then
      say "$unit: the rollout will restart it"
      echo pending
      return 0
    fi
  fi
  # Only the rollout can hand over the jobs to another release of Flink, so this step must not start it
  if [ "$known" = true ] && other_release; then
    systemctl start "$unit" || true
    say "$unit: another release of Flink: the rollout will restart it"
    echo pending
    return 0
  fi
  if has_expired; then
    say "$unit: its certificates have expired: restarting it now"
    rm -f "$unproven"
  else
    stop_is_safe
    if it healthy 0 || { [ "$known" = false ] && it joins 0; }; then touch "$unproven"; fi
  fi
  [ "$launch" = false ] || as_holder /var/lib/flink/launch \
    ln -sfnT "$(readlink /var/lib/flink/launch/expected)" /var/lib/flink/launch/current
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl restart "$unit" || fail "$unit does not start"
  if [ -e "$unproven" ]; then
    prove
    say "$unit: started and healthy"
  elif [ "$known" = true ]; then
    # It was not healthy before: it may need the other hosts, which restart after this one
    it healthy 30 || say "$unit: not healthy yet; continuing, it was unhealthy before the restart"
    say "$unit: restarted"
  else
    # At first, all daemons start in parallel, and the cluster check waits for all of them at once
    say "$unit: started"
  fi
}

other_release() {
  local launches=/var/lib/flink/launch
  [ "$launch" = true ] && [ -e "$launches/current/release" ] && ! cmp -s "$launches/current/release" "$launches/expected/release"
}

# If a member of the ensemble is already missing, stopping another could end the quorum.
stop_is_safe() {
  systemctl is-active -q "$unit" || return 0
  it stoppable "$seconds" ||
    die "$unit must restart, but was not restarted: other members are missing or behind after $seconds s; repair them first"
}

# Whether the certificates with which it was started have expired. It keeps the connections that it has, and may answer, but
# no other daemon opens a new one: one that restarted alone, in a rollout, would not find it. So all of them restart at once.
has_expired() {
  local input began from until ends=""
  began=$(stat -c %Y "/run/$unit/fingerprint" 2>/dev/null) || return 1
  for input in "${inputs[@]}"; do
    case $input in */keystore.p12) ;; *) continue ;; esac
    while read -r from until _; do
      [ "$from" -gt "$began" ] || ends=$until
    done < <(cat "${input%/*/*}/valid" 2>/dev/null)
    break
  done
  [ -n "$ends" ] && [ "$ends" -le "$(date +%s)" ]
}

# The unit records the fingerprint that it starts with. The expected one may have another launch.
runs_what_is_declared() {
  [ "$(fingerprint --expected "${inputs[@]}")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]
}

# it QUESTION SECONDS: whether the answer becomes yes within that time (healthy, serves, stoppable, joins).
it() { timeout $(($2 + 20)) "$flink_host" "$1" --within "$2" "${health[@]}"; }

# A daemon that was healthy before its restart, or that joins a running cluster (it may be on a replaced machine, with the
# next machine waiting), must be healthy before the next host changes. If this run is interrupted, the next run checks it.
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
  # The other step of this daemon checks it
  [ "$restart" = later ] || return 0
  files_differ
  systemctl is-enabled -q "$unit" 2>/dev/null || differs "$unit" "is not enabled: it will not start at the next boot"
  if ! systemctl is-active -q "$unit"; then
    differs "$unit" "is not running"
  elif ! runs_what_is_declared; then
    differs "$unit" "runs with another unit, configuration or version than is installed"
  fi
  [ -z "${look:-}" ] || flink_host storage --check <<<"$look"
}
