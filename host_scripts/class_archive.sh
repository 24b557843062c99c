#!/bin/bash
# classes: makes the archive of classes (CDS, https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html) with
# which this host's Flink daemon starts faster, unless there is one of the same JDK and jars. Managed by Pulumi.
# Run by flink-classes.service, in the background, after the daemon has started. Nothing depends on its success.
set -eu
launch=$(readlink /var/lib/flink/launch/current)
folder=/var/lib/flink/cds
needed_mib=768

mapfile -d '' words <"$launch/argv"
archive=$folder/$(cat "$launch/classes").jsa

# What the JVM compares, too: a jar that is another one makes it ignore the archive
jars() {
  local word paths
  for word in "${words[@]}"; do case $word in *.jar:*) paths=$word ;; esac; done
  "$java" -version 2>&1
  tr ':' '\n' <<<"$paths" | grep '\.jar$' | xargs stat -c '%n %s %Y'
}

lives() { kill -0 "$pid" 2>/dev/null; }
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat" 2>/dev/null || echo 0; }

# It has worked, and works no more: less than a twentieth of a CPU for 2 s
quiet() {
  local before
  before=$(ticks)
  [ "$before" -ge 100 ] || { sleep 0.5 && return 1; }
  sleep 2 # that is what is measured
  [ $(($(ticks) - before)) -lt 10 ]
}

# Jiffies of all CPUs, and those without work
idle() { awk '/^cpu / {for (i = 2; i <= 9; i++) all += $i; print all, $5 + $6}' /proc/stat; }

# While less than half of the machine is idle this waits: the idle scheduling class is not enough, since the kernel shares
# CPUs between sessions and control groups, whatever the class of their threads.
calm() {
  local all free now_all now_free
  read -r all free < <(idle)
  sleep 5 # that is what is measured
  read -r now_all now_free < <(idle)
  [ $((2 * (now_free - free))) -ge $((now_all - all)) ]
}

give_up() {
  echo "no archive of classes: $1; what the JVM said:"
  grep -v '\[cds' "$TMPDIR/said" | tail -n 5
  exit 0
}

java=$(cat "$launch/java")/bin/java
found=$(jars | sha256sum)
if [ -r "$archive" ] && [ "$(cat "$archive.of" 2>/dev/null)" = "$found" ]; then exit 0; fi
/usr/local/lib/flink/flink-host proves 600 || exit 0 # it has other worries
until calm || [ "$SECONDS" -gt "${PATIENCE:-300}" ]; do :; done
available=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
if [ "$available" -lt "$needed_mib" ]; then
  echo "no archive of classes: $available MiB of memory are free, expected $needed_mib"
  exit 0
fi

# The daemon once more, small, alone and on other ports: it loads its classes, finds nobody, and ends.
arguments=()
for word in "${words[@]}"; do
  case $word in -Xm[sx]* | -XX:Max* | -Dlog*) continue ;; esac
  arguments+=("$word")
done
# A JobManager takes any port; a TaskManager wants one of a JobManager, and there is none
case " ${words[*]} " in *.TaskManagerRunner\ *) port=1 ;; *) port=0 ;; esac
arguments+=(-D high-availability.type=NONE -D jobmanager.rpc.address=localhost -D "jobmanager.rpc.port=$port")
arguments+=(-D rest.bind-port=0 -D blob.server.port=0 -D metrics.internal.query-service.port=0 -D metrics.reporter.prom.port=0)
arguments+=(-D taskmanager.rpc.port=0 -D taskmanager.data.port=0 -D taskmanager.resource-id=classes -D taskmanager.host=localhost)
arguments+=(-D taskmanager.memory.network.min=16mb -D taskmanager.memory.network.max=16mb)
arguments+=(-D "io.tmp.dirs=$TMPDIR" -D "web.upload.dir=$TMPDIR" -D "process.working-dir=$TMPDIR")
set -a
# shellcheck source=/dev/null
. "$launch/environment"
set +a
"$java" -Xmx192m -XX:ArchiveClassesAtExit="$TMPDIR/classes.jsa" "${arguments[@]}" >"$TMPDIR/said" 2>&1 &
pid=$!
SECONDS=0
until quiet; do
  lives || give_up "it ended by itself"
  [ "$SECONDS" -lt 300 ] || break
done
lives || give_up "it ended by itself"
kill -TERM "$pid"
wait "$pid" || true
[ -s "$TMPDIR/classes.jsa" ] || give_up "it left none"
cp "$TMPDIR/classes.jsa" "$archive.new"
echo "$found" >"$archive.of"
mv -f "$archive.new" "$archive"
find "$folder" -type f ! -path "$archive*" -mtime +30 -delete
echo "made $archive, $(($(stat -c %s "$archive") / 1048576)) MiB"
