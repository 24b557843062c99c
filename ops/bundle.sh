# shellcheck shell=bash disable=SC2154
# Prints what a support bundle has of a host (bundle.py), and changes nothing. A line `@ NAME` begins a part, `| TEXT` is
# a line of it, `! WHY` says that it is not whole. Values: role, daemon (its unit, or nothing), units, configurations
# (folders), lines (of logs), urls (NAME=URL of what is asked for here), rest (the paths that a leading JobManager is asked
# for), tool (the host tool). In front of it is the function `ask` (units.py).
set -uo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin SYSTEMD_COLORS=0 SYSTEMD_PAGER=
limit=8000000
seconds=20

# part NAME CMD...: what a command prints, for at most so many seconds and bytes.
part() {
  local name=$1 status
  shift
  printf '@ %s\n' "$name"
  timeout -k 2 "$seconds" "$@" 2>&1 </dev/null | tail -c "$limit" | awk '{ print "| " $0 }'
  status=${PIPESTATUS[0]}
  case $status in
    0) ;;
    124) printf '! it did not end within %s s\n' "$seconds" ;;
    *) printf '! it exited with %s\n' "$status" ;;
  esac
}

# sh -c for several commands; none ends the others.
all() { part "$1" bash -c "$2"; }

# threads PID: the stacks of a JVM's threads, and its heap, which it prints to the journal. jcmd does not
# attach to a daemon whose unit is of an earlier version.
threads() {
  local pid=$1 cursor text=''
  if ! ((0x$(awk '/^SigCgt:/ { print $2 }' "/proc/$pid/status") & 4)); then
    echo "the process does not catch SIGQUIT, which would end it: is -Xrs in javaOptions?"
    return 1
  fi
  cursor=$(journalctl -n 1 --show-cursor --no-pager | sed -n 's/^-- cursor: //p')
  kill -QUIT "$pid"
  for _ in {1..60}; do
    sleep 0.2
    text=$(journalctl "_PID=$pid" --after-cursor="$cursor" -o cat --no-pager)
    # Its last part
    case $text in *$'\nHeap\n'*) break ;; esac
  done
  sleep 0.3
  journalctl "_PID=$pid" --after-cursor="$cursor" -o cat --no-pager
}

# Those that are there
known=()
for unit in $units; do [ ! -e "/etc/systemd/system/$unit.service" ] || known+=("$unit"); done

all system 'cat /etc/os-release; uname -a; uptime; date -u; hostname -f; nproc; timedatectl show'
all resources 'free -m; df -hT; df -i; ps -eo user,pid,ppid,rss,pcpu,nlwp,etimes,stat,comm --sort=-rss | head -100'
all network 'ip -br addr; ip route; cat /etc/hosts /etc/resolv.conf; ss -tlnp; ss -s'
part firewall nft list ruleset
part kernel journalctl -k -n 300 --no-pager -o short-iso
all releases 'ls -l /opt; /opt/java/bin/java -version; [ ! -e /etc/flink/daemon.json ] || '"$tool"' state'
part units systemctl status --no-pager -l -n 0 --failed
part unit-states systemctl show --no-pager "${known[@]}" \
  -p Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,ActiveEnterTimestamp,MemoryCurrent,MemoryMax,UnitFileState
part timers systemctl list-timers --no-pager --all

# Configuration as far as anybody on the host may read it: no secret is in that
for folder in $configurations; do
  [ -d "$folder" ] || continue
  while IFS= read -r file; do
    part "configuration$file" runuser -u nobody -- cat "$file"
  done < <(runuser -u nobody -- find "$folder" -xdev -type f -size -256k -readable 2>/dev/null | sort | head -200)
done
for unit in "${known[@]}"; do
  part "configuration/etc/systemd/system/$unit" systemctl cat --no-pager "$unit"
done

for unit in "${known[@]}"; do part "logs/$unit.journal" journalctl -u "$unit" -n "$lines" --no-pager -o short-iso-precise; done
part logs/sshd.journal journalctl -t sshd -n 100 --no-pager -o short-iso
for file in /var/log/flink/*.log /var/log/zookeeper/*.log /var/log/flink-frontdoor/*.log; do
  # The daemons' users could put links there
  [ ! -f "$file" ] || [ -L "$file" ] || part "logs/${file##*/}" tail -n "$lines" "$file"
done

pid=0
[ -z "$daemon" ] || pid=$(systemctl show -p MainPID --value "$daemon")
if [ "$pid" != 0 ]; then
  part threads bash -c "$(declare -f threads); threads $pid"
  part limits cat "/proc/$pid/limits" "/proc/$pid/status"
fi
for url in $urls; do part "${url%%=*}" bash -c "$(declare -f ask); ask -sS '${url#*=}'"; done

if [ "$role" = jobmanager ] && "$tool" leads 2>/dev/null; then
  printf '@ leads\n| yes\n'
  for path in $rest; do part "rest$path" "$tool" rest "$path"; done
  jobs=$("$tool" rest /jobs/overview 2>/dev/null | tr '{' '\n' | sed -n 's/.*"jid" *: *"\([0-9a-f]*\)".*/\1/p' | head -20)
  for job in $jobs; do
    for path in "" /exceptions /checkpoints /checkpoints/config /config; do
      part "rest/jobs/$job${path:-/job}" "$tool" rest "/jobs/$job$path"
    done
  done
fi

# What others may not read, for its removal from all of the above: it is not in the bundle
printf '@ secrets\n'
for folder in $configurations; do
  [ -d "$folder" ] || continue
  while IFS= read -r file; do
    runuser -u nobody -- test -r "$file" || printf '| %s\n' "$(base64 -w 0 "$file")"
  done < <(find "$folder" -xdev -type f -size -64k)
done
printf '@ .\n'
