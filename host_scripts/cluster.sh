# shellcheck shell=bash disable=SC2154
# Waits until the cluster is complete, with the host tool (host_tool/cluster.py), and prints Flink's /overview. It runs when
# another step has run: with a monitoring host, plots mark the time (components/monitoring/dashboards.py).
# Values: values (JSON for the tool), generation.

metrics=/etc/flink-exporter/metrics

apply() {
  flink_host cluster <<<"$values"
  [ -d "$metrics" ] || return 0
  cat >"$metrics/.up" <<METRIC
# HELP flink_up_run_timestamp_seconds When up last changed something, in seconds since the epoch.
# TYPE flink_up_run_timestamp_seconds gauge
flink_up_run_timestamp_seconds $(date +%s)
METRIC
  mv -f "$metrics/.up" "$metrics/up.prom"
}

check() { flink_host cluster --check <<<"$values"; }
