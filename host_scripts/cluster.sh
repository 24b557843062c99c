# shellcheck shell=bash disable=SC2154
# Waits until the cluster works: every JobManager answers for a leader, and every TaskManager has registered with all its
# slots. If it does not, says who is missing and shows the end of the logs that tell why.
# One that is leaving may still be there: Pulumi takes it away after this.
# Values: rest_port, taskmanagers (names), slots, version, jobmanagers (names), seconds, user, generation. Prints /overview.

overview='{}' registered='{}'

field() { sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p" <<<"$overview"; }

complete() {
  overview=$(curl -fsS --max-time 5 "http://localhost:$rest_port/overview" 2>/dev/null) || return 1
  [ "$(field flink-version)" = "$version" ] || return 1
  [ "$(field slots-total)" -ge "$slots" ] && all_registered && others_answer
}

# A TaskManager's id is its name (the unit says so)
all_registered() {
  local name
  registered=$(curl -fsS --max-time 5 "http://localhost:$rest_port/taskmanagers" 2>/dev/null) || return 1
  for name in "${taskmanagers[@]}"; do
    [[ $registered == *"\"id\":\"$name\""* ]] || return 1
  done
}

# A standby that does not answer could not take over.
others_answer() {
  local jobmanager
  for jobmanager in "${jobmanagers[@]}"; do
    curl -fsS -o /dev/null --max-time 5 "http://$jobmanager:$rest_port/overview" 2>/dev/null || return 1
  done
}

apply() {
  if wait_until "$seconds" complete; then
    say "cluster: Flink $version, ${#taskmanagers[@]} TaskManagers, $slots slots"
    echo "$overview"
    return 0
  fi
  explain
  die "the cluster is not complete after $seconds s: expected Flink $version with ${#taskmanagers[@]} TaskManagers and $slots slots," \
    "found Flink $(field flink-version) with $(field taskmanagers) and $(field slots-total)"
}

explain() {
  local name shown=0
  echo "--- $host: end of the JobManager's log" >&2
  journalctl -u flink-jobmanager -n 25 --no-pager -o cat >&2 || true
  for name in "${jobmanagers[@]}" "${taskmanagers[@]}"; do
    if [ "$name" = "$host" ] || [[ $registered == *"\"id\":\"$name\""* ]]; then continue; fi
    # Enough to understand; hosts that are down take their time to say nothing
    shown=$((shown + 1))
    [ "$shown" -le 5 ] || break
    echo "--- $name: end of its log" >&2
    timeout 15 runuser -u "$user" -- ssh -n -o BatchMode=yes -o ConnectTimeout=5 "$name" /usr/local/lib/flink/daemon tell >&2 || echo "($name does not answer)" >&2
  done
}

check() {
  local expected="expected Flink $version with ${#taskmanagers[@]} TaskManagers and $slots slots, and every JobManager answering"
  complete && return 0
  if [ -z "$(field flink-version)" ]; then
    differs cluster "$expected; found nobody who answers for a leader"
  else
    differs cluster "$expected; found Flink $(field flink-version) with $(field taskmanagers) and $(field slots-total)"
  fi
}
