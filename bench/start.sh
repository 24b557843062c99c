#!/bin/bash
# start.sh UNIT WAY ROLE ENTRYPOINT: see starts.py.
set -euo pipefail
unit=$1 way=$2 role=$3 entry=$4
sudo() { command sudo -n "$@"; }
launch=$(readlink /var/lib/flink/launch/current)
archive=/var/lib/flink/cds/$(cat "$launch/classes").jsa
set -- "$launch/start"
case $way in
  launch) hidden=$archive ;;
  bin*)
    hidden=
    mapfile -d '' words <"$launch/argv"
    arguments=() found=false
    # The unit's arguments for the script, which appends them to those that it derives itself
    for word in "${words[@]}"; do [ "$found" = false ] || arguments+=("$word"); [ "$word" != "$entry" ] || found=true; done
    set -- /opt/flink/bin/"$role".sh start-foreground
    if [ "$role" = jobmanager ]; then set -- "$@" "$(hostname)" 8081; else set -- "$@" "${arguments[@]: -4}"; fi
    ;;
  *) hidden= ;;
esac
sudo systemctl stop "$unit" flink-classes
while pgrep -u flink java >/dev/null; do sleep 0.05; done
[ -z "$hidden" ] || sudo mv "$hidden" "$hidden.hidden"
sync
trap '[ -z "$hidden" ] || sudo mv "$hidden.hidden" "$hidden"; sudo systemctl stop bench-start 2>/dev/null; sudo systemctl start "$unit"' EXIT
since=$(date +%s)
began=$(date +%s.%N)
sudo systemd-run -q --collect --unit bench-start --uid flink --gid flink -p EnvironmentFile=-/etc/flink/credentials.env -p RuntimeDirectory=bench-start \
  -p PrivateTmp=yes -p LimitNOFILE=1048576 -E FLINK_PID_DIR=/run/bench-start -E USER=flink -E HOME=/var/lib/flink "$@"
healthy() {
  if [ "$role" = jobmanager ]; then
    curl -fsS -o /dev/null --max-time 2 http://localhost:8081/config 2>/dev/null
  else
    sudo journalctl -u bench-start --since "@$since" -o cat | grep -q 'Successful registration at resource manager'
  fi
}
for ((i = 0; i < 1500; i++)); do
  if healthy; then
    seconds=$(awk '{print $1 - $2}' <<<"$(date +%s.%N) $began")
    pid=$(systemctl show -p MainPID --value bench-start)
    # CPU time of the process and of its reaped children, in hundredths of a second
    cpu=$(awk '{print ($14 + $15 + $16 + $17) / 100}' "/proc/$pid/stat")
    echo "{\"seconds\": $seconds, \"cpu\": $cpu}"
    exit 0
  fi
  sleep 0.05
done
exit 1
