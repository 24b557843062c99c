# shellcheck shell=bash disable=SC2154
# Runs our Java tool, which lists or deletes what dead clusters have left (ops/gc.py). Values: arguments.

apply() {
  [ -x "$flink_host" ] || die "$flink_host is missing: an earlier version installed this stack's hosts; run \`pulumi up\` first"
  flink_host leftovers "${arguments[@]}"
}
