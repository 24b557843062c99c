# shellcheck shell=bash disable=SC2154
# Runs our Java tool with Flink's classes, plugins, configuration and credentials, as Flink's user.
# Values: user. Files: the tool, at $tool.

tool=${tool:-/run/flink-tool/State.java}

# run_tool ARGUMENTS...: compiles and runs it; its output is the tool's.
run_tool() {
  install -d -m 0755 /run/flink-tool
  write_files
  # shellcheck disable=SC2016  # the inner shell expands
  runuser -u "$user" -- bash -c '
    set -a
    [ ! -r /etc/flink/credentials.env ] || . /etc/flink/credentials.env
    export FLINK_PLUGINS_DIR=/opt/flink/plugins
    cd /
    # A JVM that lives for seconds: what a long one gains from costs it more than it gives
    exec /opt/java/bin/java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx512m -Dlog4j2.statusLoggerLevel=OFF -cp "/opt/flink/lib/*" "$@"' _ "$tool" "$@" || return 1
  rm -rf "${tool%/*}"
}
