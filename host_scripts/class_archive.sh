#!/bin/bash
# classes: creates the class archive (CDS, https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html) with
# which this host's Flink daemon starts faster, unless one for the same JDK and jars exists. Managed by Pulumi.
# flink-classes.service runs it in the background after the daemon has started; and when launch.sh asks for it, before a
# rollout starts the daemon with another release or JDK. Nothing depends on its success.
set -eu
launches=/var/lib/flink/launch
launch=$(readlink "$launches/current") ahead=false
if [ -e "$launches/ahead" ]; then launch=$(readlink "$launches/expected") ahead=true; fi
folder=/var/lib/flink/cds
needed_mib=768

mapfile -d '' words <"$launch/argv"
archive=$folder/$(cat "$launch/classes").jsa

# The JVM compares the same: it ignores the archive if a jar has changed
jars() {
  local word paths
  for word in "${words[@]}"; do case $word in *.jar:*) paths=$word ;; esac; done
  "$java" -version 2>&1
  tr ':' '\n' <<<"$paths" | grep '\.jar$' | xargs stat -c '%n %s %Y'
}

lives() { kill -0 "$pid" 2>/dev/null; }
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat" 2>/dev/null || echo 0; }

# It has finished its work: less than a twentieth of a CPU for 2 s
quiet() {
  local before
  before=$(ticks)
  [ "$before" -ge 100 ] || { sleep 0.5 && return 1; }
  sleep 2 # the interval that is measured
  [ $(($(ticks) - before)) -lt 10 ]
}

# Jiffies of all CPUs, and the idle ones
idle() { awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6}' /proc/stat; }

# Wait while less than half of the machine is idle. The idle scheduling class is not enough: the kernel shares CPUs
# between sessions and control groups, whatever the class of their threads.
calm() {
  local all free now_all now_free
  read -r all free < <(idle)
  sleep 5 # the interval that is measured
  read -r now_all now_free < <(idle)
  [ $((2 * (now_free - free))) -ge $((now_all - all)) ]
}

give_up() {
  echo "no class archive: $1; output of the JVM:"
  grep -v '\[cds' "$TMPDIR/said" | tail -n 5
  exit 0
}

java=$(cat "$launch/java")/bin/java
found=$(jars | sha256sum)
if [ -r "$archive" ] && [ "$(cat "$archive.of" 2>/dev/null)" = "$found" ]; then exit 0; fi
if [ "$ahead" = true ]; then
  # Jobs need the machine, and an `up` waits
  until [ "${PATIENCE:-}" = 0 ] || calm; do [ "$SECONDS" -lt 30 ] || exit 0; done
else
  /usr/local/lib/flink/flink-host proves 600 || exit 0 # not healthy: this can wait
  until calm || [ "$SECONDS" -gt "${PATIENCE:-300}" ]; do :; done
fi
available=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
if [ "$available" -lt "$needed_mib" ]; then
  echo "no class archive: $available MiB of memory free, expected $needed_mib"
  exit 0
fi

# Run the daemon again, small, alone and on other ports: it loads its classes, finds no peer, and ends.
# With TLS, or secret options, its configuration is the daemon's copy in memory: only that has the passwords. For the classes
# of another release it is good enough.
conf=$launch/conf arguments=()
for own in /run/flink-*manager/conf; do [ ! -r "$own/config.yaml" ] || conf=$own; done
for word in "${words[@]}"; do
  case $word in
    -Xm[sx]* | -XX:Max* | -Dlog*) continue ;;
    "$launch/conf") word=$conf ;;
  esac
  arguments+=("$word")
done
# A JobManager takes any port; a TaskManager needs the port of a JobManager, and there is none
case " ${words[*]} " in *.TaskManagerRunner\ *) port=1 ;; *) port=0 ;; esac
arguments+=(-D high-availability.type=NONE -D jobmanager.rpc.address=localhost -D "jobmanager.rpc.port=$port")
arguments+=(-D rest.bind-port=0 -D blob.server.port=0 -D metrics.internal.query-service.port=0 -D metrics.reporter.prom.port=0)
arguments+=(-D taskmanager.rpc.port=0 -D taskmanager.data.port=0 -D taskmanager.resource-id=classes -D taskmanager.host=localhost)
arguments+=(-D taskmanager.memory.network.min=16mb -D taskmanager.memory.network.max=16mb)
arguments+=(-D "io.tmp.dirs=$TMPDIR" -D "web.upload.dir=$TMPDIR" -D "process.working-dir=$TMPDIR")
set -a
# shellcheck source=/dev/null
. "$launch/environment"
# shellcheck disable=SC2034  # exported
FLINK_CONF_DIR=$conf
set +a
"$java" -Xmx192m -XX:ArchiveClassesAtExit="$TMPDIR/classes.jsa" "${arguments[@]}" >"$TMPDIR/said" 2>&1 &
pid=$!
SECONDS=0
until quiet; do
  lives || give_up "the JVM exited early"
  [ "$SECONDS" -lt 300 ] || break
done
lives || give_up "the JVM exited early"
kill -TERM "$pid"
wait "$pid" || true
[ -s "$TMPDIR/classes.jsa" ] || give_up "the JVM did not write it"
cp "$TMPDIR/classes.jsa" "$archive.new"
echo "$found" >"$archive.of"
mv -f "$archive.new" "$archive"
used=()
for name in current previous expected; do
  [ ! -r "$launches/$name/classes" ] || used+=(! -path "$folder/$(cat "$launches/$name/classes").jsa*")
done
find "$folder" -type f "${used[@]}" -mtime +30 -delete
echo "made $archive, $(($(stat -c %s "$archive") / 1048576)) MiB"
