# shellcheck shell=bash disable=SC2154
# Restarts the daemons that run something else than what is expected, from the first JobManager, over the SSH that the
# JobManagers have for start-cluster.sh: first the standby JobManagers, then the leader, so that there is one failover at
# most, then the TaskManagers; another release of Flink all at once (change_release). The next is touched only when the
# one before is healthy again, and so are the jobs that ran. It ends at the first that is not, and leaves the rest as they
# were.
# Values: pending (hosts whose daemons may have to be restarted), jobmanagers, taskmanagers (all of the cluster's),
# strategy (rolling or parallel), max_unavailable, ha (true or false), seconds, user, rest_port, generation.
# Files: java/Jobs.java, at $tool.

declare -A state
held=() left=() restarted=0 total=0

apply() {
  if [ ${#pending[@]} -eq 0 ]; then
    say "rollout: nothing to restart"
    return 0
  fi
  local standbys=() leader=() workers=() name
  look_at_all
  for name in "${pending[@]}"; do case ${state[$name]} in *held) held+=("$name") ;; esac; done
  if [ ${#held[@]} -gt 0 ]; then
    say "rollout: an earlier one ended in the middle of a change of Flink's release; going on"
    hand_over
  fi
  for name in "${jobmanagers[@]}"; do
    case ${state[$name]:-} in "" | current*) continue ;; esac
    if leads "$name"; then leader=("$name"); else standbys+=("$name"); fi
  done
  for name in "${taskmanagers[@]}"; do
    case ${state[$name]:-} in pending* | down*) workers+=("$name") ;; esac
  done
  left=("${standbys[@]}" "${leader[@]}" "${workers[@]}")
  total=${#left[@]}
  if [ "$total" -gt 0 ] && other_release "${standbys[@]}" "${leader[@]}"; then
    change_release "${standbys[@]}" "${leader[@]}"
    return 0
  fi
  # Of an earlier rollout, which ended here: not before they are healthy
  for name in "${pending[@]}"; do case ${state[$name]} in current*) proven "$name" || stop "$name" ;; esac; done
  if [ "$total" -eq 0 ]; then
    say "rollout: all run what is expected"
    return 0
  fi
  remember_jobs
  for name in "${standbys[@]}"; do restart "$name"; done
  for name in "${leader[@]}"; do restart "$name"; done
  roll "${workers[@]}"
  say "rollout: restarted $restarted daemons"
}

# change_release JOBMANAGER...: releases of Flink do not work together, and one cannot read the jobs that another has
# written down. So the JobManagers stop, the new release writes the jobs down anew, and all start with it. If it cannot,
# the old one goes on, and the TaskManagers have noticed no more than a failover.
change_release() {
  local name
  remember_jobs
  say "rollout: another release of Flink (${state[$1]}): all daemons at once, ${#jobs[@]} jobs go on from their last checkpoint"
  [ "$ha" = false ] || run_tool check ||
    die "rollout: the jobs cannot be handed over to the other release of Flink (why is above); nothing was restarted." \
      "Stop each that is refused with a savepoint, run up again, and start it from the savepoint"
  for name; do on "$name" hold && held+=("$name"); done
  for name; do on "$name" switch || stop "$name"; done
  hand_over
  restart "${left[@]}"
  say "rollout: restarted $restarted daemons"
}

hand_over() {
  local name
  if [ "$ha" = true ] && ! run_tool; then
    for name in "${held[@]}"; do on "$name" back && on "$name" go; done
    die "rollout: the jobs cannot be handed over to the other release of Flink (why is above), and the old one goes on." \
      "Stop each job with a savepoint, run up again, and start it from the savepoint"
  fi
  for name in "${held[@]}"; do on "$name" go; done
}

roll() {
  local at_once=$max_unavailable
  # The second: a change of release that ended in the middle
  if [ "$strategy" = parallel ] || { [ $# -gt 0 ] && other_release "$1"; }; then at_once=$#; fi
  while [ $# -gt 0 ]; do
    restart "${@:1:at_once}"
    shift $((at_once < $# ? at_once : $#))
  done
}

# restart HOST...: all of them at once; back only when each is healthy.
restart() {
  local name
  for name; do
    # In a change of release, some have been switched already
    case " ${held[*]} " in *" $name "*) ;; *) on "$name" switch || stop "$name" ;; esac
    left=("${left[@]:1}")
  done
  for name; do
    proven "$name" || stop "$name"
    restarted=$((restarted + 1))
    say "rollout: ${name%%.*} restarted and healthy ($restarted of $total)"
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
  local name running expected
  for name; do
    read -r _ running expected _ <<<"${state[$name]}"
    [ "$running" = "$expected" ] || return 0
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
  ask /jobs/overview | sed 's/"jid":/\n&/g' | while IFS= read -r line || [ -n "$line" ]; do
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

# A leader recovers all jobs before it answers, and knows none that has ended under another one.
has_gone() {
  local name
  for name in "${jobmanagers[@]}"; do
    case $(curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://$name:$rest_port/jobs/$1") in
      404) return 0 ;;
      200) return 1 ;;
    esac
  done
  return 1
}

# Those that ran before run again, or have ended by themselves
jobs_run() {
  local now job
  [ ${#jobs[@]} -gt 0 ] || return 0
  now=" $(running_jobs | tr '\n' ' ') $(ended_jobs | tr '\n' ' ') "
  for job in "${jobs[@]}"; do [[ $now == *" $job "* ]] || has_gone "$job" || return 1; done
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
