#!/bin/bash
# daemon VERB [SECONDS]: what this host's Flink daemon runs, and whether it is healthy; for rollout.sh, which comes from
# the first JobManager as the daemons' user. Managed by Pulumi.
#   state          prints: current, pending or down; the release that it runs; the release that it should run
#   switch         ends it, so that systemd starts it with what is expected
#   hold           lets the next start wait, for 10 minutes at most, until `go`
#   back           ends it, so that it starts again with what it ran before `switch`
#   proves SECONDS waits until it runs what is expected and is healthy
#   leads          is it the leading JobManager?
#   tell           the end of its log
set -u
unit='' inputs=() check='' metrics_port=''
# shellcheck source=/dev/null
. /etc/flink/daemon.conf
launches=/var/lib/flink/launch

runs() { cat "/run/$unit/fingerprint" 2>/dev/null; }
pid() { cat "/run/$unit/pid" 2>/dev/null; }
lives() { [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }
release() { cat "$launches/$1/release" 2>/dev/null || echo none; }
ended() { ! kill -0 "$1" 2>/dev/null; }

expected() { /usr/local/lib/flink/fingerprint --expected "${inputs[@]}"; }

is_healthy() { [ "$(expected)" = "$(runs)" ] && lives && timeout 10 bash -c "$check"; }

# restart_with LAUNCH: ends the process, and systemd starts it again.
restart_with() {
  local process
  process=$(pid)
  ln -sfn "$1" "$launches/.current"
  mv -fT "$launches/.current" "$launches/current"
  [ -n "$process" ] && kill -TERM "$process" 2>/dev/null || return 0
  # As long as systemd would wait
  within 60 ended "$process" || kill -KILL "$process"
}

within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2 # between two looks
  done
}

case $1 in
  state)
    what=pending
    [ "$(expected)" != "$(runs)" ] || what=current
    lives || what=down
    held=go
    [ ! -e "$launches/hold" ] || held=held
    echo "$what $(release current) $(release expected) $held"
    ;;
  switch)
    previous=$(readlink "$launches/current")
    restart_with "$(readlink "$launches/expected")"
    ln -sfnT "$previous" "$launches/previous"
    ;;
  back) restart_with "$(readlink "$launches/previous")" ;;
  hold) touch "$launches/hold" ;;
  go) rm -f "$launches/hold" ;;
  proves) within "$2" is_healthy ;;
  # A standby has no resource manager, and so no metrics of one
  leads) curl -fsS --max-time 5 "http://localhost:$metrics_port/metrics" 2>/dev/null | grep -q '^flink_jobmanager_numRegisteredTaskManagers' ;;
  tell)
    # shellcheck disable=SC2012  # names of Flink's
    tail -n 25 "$(ls -t /var/log/flink/*.log | head -n 1)"
    ;;
  *)
    echo "daemon: expected state, switch, back, hold, go, proves, leads or tell, found '$1'" >&2
    exit 2
    ;;
esac
