# shellcheck shell=bash disable=SC2154
# Waits until the cluster is complete, with the host tool (host_tool/cluster.py), and prints Flink's /overview.
# Values: values (JSON for the tool), generation.

apply() { flink_host cluster <<<"$values"; }

check() { flink_host cluster --check <<<"$values"; }
