# shellcheck shell=bash disable=SC2154
# Lets our Java tool list or delete what clusters have left (ops/gc.py). Values: arguments.

apply() {
  [ -x "$flink_host" ] || die "there is no $flink_host: run \`pulumi up\` first, this stack's hosts are as an earlier version made them"
  flink_host leftovers "${arguments[@]}"
}
