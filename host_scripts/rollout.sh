# shellcheck shell=bash disable=SC2154
# Restarts the daemons that run something else than what is expected, in an order that keeps the jobs running: what the
# host tool does (host_tool/rollout.py). Values: values (JSON for it), generation.

apply() { flink_host rollout <<<"$values"; }

check() { flink_host rollout --check <<<"$values"; }
