# shellcheck shell=bash disable=SC2154
# Restarts the daemons that run something else than what is wanted, from the first JobManager, over the SSH that the
# JobManagers have for start-cluster.sh: first the standby JobManagers, then the leader, so that there is one failover at
# most, then the TaskManagers. The next is touched only when the one before is of use again, and so are the jobs that
# ran. It ends at the first that is not, and leaves the rest as they were.
# Values: pending (hosts whose daemons may have to be restarted), jobmanagers, taskmanagers (all of the cluster's),
# strategy (rolling or parallel), max_unavailable, seconds, user, rest_port, generation.

declare -A state
left=() restarted=0 total=0

apply() {
  if [ ${#pending[@]} -eq 0 ]; then
    say "rollout: nothing to restart"
    return 0
  fi
  local standbys=() leader=() workers=() name
  look_at_all
  for name in "${jobmanagers[@]}"; do
    case ${state[$name]:-} in "" | current*) continue ;; esac
    if leads "$name"; then leader=("$name"); else standbys+=("$name"); fi
  done
  for name in "${taskmanagers[@]}"; do
    case ${state[$name]:-} in pending* | down*) workers+=("$name") ;; esac
  done
  # Of an earlier rollout, which ended here: not before they are of use
  for name in "${pending[@]}"; do case ${state[$name]} in current*) proven "$name" || stop "$name" ;; esac; done
  left=("${standbys[@]}" "${leader[@]}" "${workers[@]}")
  total=${#left[@]}
  if [ "$total" -eq 0 ]; then
    say "rollout: all run what is wanted"
    return 0
  fi
  remember_jobs
  for name in "${standbys[@]}"; do restart "$name"; done
  if [ ${#leader[@]} -gt 0 ] && [ ${#workers[@]} -gt 0 ] && other_release "${leader[0]}" "${workers[0]}"; then
    # Daemons of different releases do not work together: the jobs stop once, and go on when all are there
    say "rollout: another release of Flink: the leader and all TaskManagers at once"
    restart "${leader[@]}" "${workers[@]}"
  else
    for name in "${leader[@]}"; do restart "$name"; done
    roll "${workers[@]}"
  fi
  say "rollout: restarted $restarted daemons"
}

roll() {
  local at_once=$max_unavailable
  if [ "$strategy" = parallel ] || { [ $# -gt 0 ] && other_release "$1"; }; then at_once=$#; fi
  while [ $# -gt 0 ]; do
    restart "${@:1:at_once}"
    shift $((at_once < $# ? at_once : $#))
  done
}

# restart HOST...: all of them at once; back only when each is of use.
restart() {
  local name
  for name; do
    on "$name" switch || stop "$name"
    left=("${left[@]:1}")
  done
  for name; do
    proven "$name" || stop "$name"
    restarted=$((restarted + 1))
    say "rollout: ${name%%.*} restarted, and of use ($restarted of $total)"
  done
  wait_until "$seconds" jobs_run || die "rollout: the jobs that ran before do not run $seconds s after the restart on $*; left as they were: ${left[*]:-none}"
}

stop() {
  on "$1" tell || true
  die "rollout: ${1%%.*} does not come back (the end of its log is above); left as they were: ${left[*]:-none}." \
    "Mend it, and run up again: that goes on from there"
}

proven() {
  on "$1" proves "$seconds" || return 1
  case " ${taskmanagers[*]} " in *" $1 "*) wait_until "$seconds" registered "${1%%.*}" ;; esac
}

# What runs there

look_at_all() {
  local name work asked=0
  work=$(mktemp -d)
  for name in "${pending[@]}"; do
    on "$name" state >"$work/$name" &
    asked=$((asked + 1))
    # Each is a process here
    [ $((asked % 20)) -ne 0 ] || wait
  done
  wait
  for name in "${pending[@]}"; do
    state[$name]=$(cat "$work/$name")
    [ -n "${state[$name]}" ] || die "rollout: cannot log in to $name as $user; nothing was restarted"
  done
  rm -rf "$work"
}

other_release() {
  local name running wanted
  for name; do
    read -r _ running wanted <<<"${state[$name]}"
    [ "$running" = "$wanted" ] || return 0
  done
  return 1
}

leads() { on "$1" leads; }

registered() { ask "/taskmanagers" | grep -q "\"id\":\"$1\""; }

# ask PATH: what the first JobManager that answers says.
ask() {
  local name
  for name in "${jobmanagers[@]}"; do
    curl -fsS --max-time 5 "http://$name:$rest_port$1" 2>/dev/null && return 0
  done
  return 1
}

# Jobs, by id, that have all their tasks running. (`"jid"` cannot be in a job's name: its quotes would be escaped.)
running_jobs() {
  ask /jobs/overview | sed 's/"jid":/\n&/g' | while IFS= read -r line; do
    [[ $line =~ ^\"jid\":\"([0-9a-f]+)\".*\"state\":\"RUNNING\".*\"tasks\":\{([^}]*)\} ]] || continue
    local id=${BASH_REMATCH[1]} tasks=${BASH_REMATCH[2]}
    [ "$(count running "$tasks")" -gt 0 ] || continue
    [ $(($(count running "$tasks") + $(count finished "$tasks"))) -eq "$(count total "$tasks")" ] && echo "$id"
  done
}

count() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$2"; }

ended_jobs() {
  ask /jobs/overview | sed 's/"jid":/\n&/g' | sed -nE 's/^"jid":"([0-9a-f]+)".*"state":"(FINISHED|FAILED|CANCELED)".*/\1/p'
}

remember_jobs() { mapfile -t jobs < <(running_jobs); }

# Those that ran before run again, or have ended by themselves
jobs_run() {
  local now job
  [ ${#jobs[@]} -gt 0 ] || return 0
  now=" $(running_jobs | tr '\n' ' ') $(ended_jobs | tr '\n' ' ') "
  for job in "${jobs[@]}"; do [[ $now == *" $job "* ]] || return 1; done
}

# on HOST VERB [SECONDS]: see daemon.sh.
on() {
  runuser -u "$user" -- timeout $((seconds + 120)) ssh -n -o BatchMode=yes -o ConnectTimeout=10 "$1" /usr/local/lib/flink/daemon "${@:2}"
}

check() {
  local name
  look_at_all
  for name in "${pending[@]}"; do case ${state[$name]} in pending*) differs "$name" "waits for a restart: run up again" ;; esac; done
}
