# shellcheck shell=bash
# For steps that keep a program of a release running, in a unit of its own. Commands that they give: RUNS, whether it runs the
# release and unit that are installed; LOADED, whether it has loaded the configuration that is there; ANSWERS.

# own_user NAME HOME: creates a user that nobody logs in as.
own_user() {
  id "$1" >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin "$1"
}

# keep_running UNIT RUNS [LOADED]: starts, restarts or reloads it, or leaves it as it is.
keep_running() {
  at_boot "$1"
  systemctl reset-failed "$1" 2>/dev/null || true
  if ! systemctl is-active -q "$1" || ! "$2"; then
    systemctl restart "$1" || program_failed "$1" "does not start"
    say "$1: started"
  elif ! "${3:-true}"; then
    systemctl reload "$1" || program_failed "$1" "does not load its configuration"
    say "$1: loaded its configuration"
  else
    say "$1: runs what is expected"
  fi
}

# program_failed UNIT WHAT: ends the step with it and the end of the unit's log.
program_failed() {
  journalctl -u "$1" -n 20 --no-pager -o cat >&2 || true
  die "$1 $2; the end of its log is above, the rest in \`journalctl -u $1\`"
}

# check_program UNIT ANSWERS SILENT RUNS [LOADED]: reports what is wrong; SILENT is what is said if it does not answer. Succeeds
# if it runs what is expected and answers.
check_program() {
  systemctl is-enabled -q "$1" 2>/dev/null || differs "$1" "is not enabled: it will not start at the next boot"
  if ! systemctl is-active -q "$1"; then
    differs "$1" "is not running"
  elif ! "$4" || ! "${5:-true}"; then
    differs "$1" "runs with another unit, configuration or version than is installed"
  elif ! "$2"; then
    differs "$1" "$3"
  else
    return 0
  fi
  return 1
}
