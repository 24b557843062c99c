# shellcheck shell=bash disable=SC2154
# Waits until every server of the ensemble serves and one of them leads. Values: servers, port, seconds, generation.

declare -A mode

# The server's answer to srvr, over bash's own /dev/tcp: nothing to install for it.
ask() {
  # shellcheck disable=SC2016  # the inner shell expands
  timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf srvr >&3 && cat <&3' _ "$1" "$port" 2>/dev/null | sed -n 's/^Mode: //p'
}

complete() {
  local server leaders=0
  for server in "${servers[@]}"; do
    mode[$server]=$(ask "$server")
    [ -n "${mode[$server]}" ] || return 1
    [ "${mode[$server]}" != leader ] || leaders=$((leaders + 1))
  done
  [ "$leaders" -eq 1 ]
}

apply() {
  local server silent=()
  if wait_until "$seconds" complete; then
    say "zookeeper: ${#servers[@]} servers serve, one leads"
    return 0
  fi
  for server in "${servers[@]}"; do [ -n "${mode[$server]:-}" ] || silent+=("$server"); done
  journalctl -u zookeeper -n 20 --no-pager -o cat >&2 || true
  die "the ensemble is not complete after $seconds s (no answer from: ${silent[*]:-none}); above is the end of this server's log"
}

check() { complete || differs zookeeper "expected ${#servers[@]} servers that serve, one of which leads"; }
