# shellcheck shell=bash disable=SC2154
# Brings a declared job to its declared state, with the host tool (host_tool/declared_job.py), and prints what runs then, as JSON.
# Values: values (JSON for the tool).

apply() { flink_host job <<<"$values"; }

check() { flink_host job --check <<<"$values"; }

remove() {
  if [ ! -x "$flink_host" ] || [ ! -e /opt/flink/lib ] || ! systemctl is-active -q flink-jobmanager; then
    say "no JobManager runs here: the job is not stopped with a savepoint"
    return 0
  fi
  flink_host job <<<"$values"
}
