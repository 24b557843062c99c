# shellcheck shell=bash disable=SC2154
# Whether this host can write, list, read and delete on the storage, with Flink's file systems, as the daemons do it.
# Values: user, keys (of the configuration) and uris of the places, options (of the JVM), patterns (extended regular
# expressions for what a storage says) and hints (what is expected then), seconds, generation. File: the Java program, which
# the JVM compiles in memory.

program=/usr/local/lib/flink/storage/Access.java

apply() {
  local said i
  write_files
  for i in "${!uris[@]}"; do
    said=$(ask "${uris[i]}") || die "cannot use the storage at ${uris[i]} (${keys[i]}): ${said:-its program has ended: see above}$(hint "$said")"
  done
  say "the storage: writes, lists, reads and deletes at ${uris[*]}"
}

# ask URI: says what is wrong on stdout.
ask() {
  (
    set -a
    # shellcheck source=/dev/null
    [ ! -r /etc/flink/credentials.env ] || . /etc/flink/credentials.env
    set +a
    export FLINK_PLUGINS_DIR=/opt/flink/plugins
    cd /
    exec timeout -k 5 $((seconds + 90)) runuser -u "$user" -- /opt/java/bin/java "${short_lived[@]}" -Xmx256m "${options[@]}" \
      -cp "/opt/flink/lib/*${HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH:$HADOOP_CONF_DIR}" "$program" "$1" "$host" "$seconds"
  )
}

hint() {
  local i
  for i in "${!patterns[@]}"; do
    if grep -qE -e "${patterns[i]}" <<<"$1"; then
      echo "; ${hints[i]}"
      return
    fi
  done
}

check() { files_differ; }
