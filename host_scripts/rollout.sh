# shellcheck shell=bash disable=SC2154
# Restarts the daemons that do not run what is expected, in an order that keeps the jobs running, with the host tool
# (host_tool/rollout.py). Values: values (JSON for the tool), generation.

apply() { flink_host rollout <<<"$values"; }

check() { flink_host rollout --check <<<"$values"; }
