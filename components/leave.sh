#!/bin/sh
# Runs on the machine that runs Pulumi, when hosts leave a cluster. It logs in to them with OpenSSH, and runs the script
# on stdin as root on the first reachable host. A host that is unreachable, or that is another machine now, is reported
# but is not an error, because it must not block the teardown of the others. Everything else is an error.
# Variables: LEAVE_HOSTS (names), LEAVE_CONFIG, LEAVE_KNOWN_HOSTS, LEAVE_KEY0… (files for ssh), LEAVE_BEFORE (a command
# for every reachable host; may be empty), LEAVE_RUN (the command that reads the script), LEAVE_LEFT (what is left behind
# if no host is reachable).
set -u
umask 077
command -v ssh >/dev/null || {
  echo "ssh is missing on this machine: install the OpenSSH client" >&2
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
    echo "$host: the login succeeds, but a command fails ($said): nothing is removed there" >&2
    exit 1
  fi
  case $said in
    *"Permission denied"*)
      echo "$host: $said: nothing is removed there; authorize that key again, or clean the host by hand" >&2
      exit 1
      ;;
    *"HOST IDENTIFICATION HAS CHANGED"* | *"Host key verification failed"*)
      why="it has another host key now, so it is another machine, without anything of this cluster"
      ;;
    *) why="it is unreachable ($(printf %s "$said" | tr -s '\r\n' '  '))" ;;
  esac
  missed="$missed $host: $why."
done
if [ -z "$reached" ]; then
  # On one line, because Pulumi shows the last line
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
