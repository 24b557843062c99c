#!/bin/sh
# Runs on the machine that Pulumi runs on, when hosts leave a cluster: logs in to them by OpenSSH and runs there, as root,
# the script that comes on stdin, on the first host that can be reached. A host that cannot be, or that is another machine
# now, is told of and is no failure: it must not keep the rest from being taken down. Everything else that goes wrong is.
# Variables: LEAVE_HOSTS (names), LEAVE_CONFIG, LEAVE_KNOWN_HOSTS, LEAVE_KEY0… (files for ssh), LEAVE_BEFORE (a command
# for every host that can be reached; may be empty), LEAVE_RUN (the command that takes the script), LEAVE_LEFT (what is
# left behind otherwise).
set -u
umask 077
command -v ssh >/dev/null || {
  echo "ssh is missing on this machine: install OpenSSH's client" >&2
  exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT
trap 'exit 143' TERM
cd "$work" || exit 1
printf '%s\n' "$LEAVE_CONFIG" >config
printf '%s\n' "$LEAVE_KNOWN_HOSTS" >known_hosts
count=0
while eval "key=\${LEAVE_KEY$count-}" && [ -n "$key" ]; do
  printf '%s\n' "$key" >"key$count"
  unset "LEAVE_KEY$count"
  count=$((count + 1))
done
unset key

reached='' missed=''
for host in $LEAVE_HOSTS; do
  if said=$(ssh -F config "$host" true 2>&1 </dev/null); then
    reached="$reached $host"
    continue
  elif [ $? -ne 255 ]; then
    echo "$host: the login works, a command does not ($said): nothing is removed there" >&2
    exit 1
  fi
  case $said in
    *"Permission denied"*)
      echo "$host: $said: nothing is removed there; let that key in again, or take the host's own away by hand" >&2
      exit 1
      ;;
    *"HOST IDENTIFICATION HAS CHANGED"* | *"Host key verification failed"*)
      why="it has another host key now, so it is another machine, which has nothing of this cluster"
      ;;
    *) why="it cannot be reached ($(printf %s "$said" | tr -s '\r\n' '  '))" ;;
  esac
  missed="$missed $host: $why."
done
if [ -z "$reached" ]; then
  # In one line: Pulumi shows the last one
  echo "NOT CLEANED:$missed Left behind: $LEAVE_LEFT" >&2
  exit 0
fi
[ -z "$missed" ] || echo "without$missed" >&2
if [ -n "${LEAVE_BEFORE-}" ]; then
  waiting=
  for host in $reached; do
    ssh -F config "$host" "$LEAVE_BEFORE" </dev/null &
    waiting="$waiting $!"
  done
  for one in $waiting; do wait "$one" || exit 1; done
fi
first=${reached# }
ssh -F config "${first%% *}" "$LEAVE_RUN"
