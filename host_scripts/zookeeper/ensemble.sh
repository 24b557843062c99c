# shellcheck shell=bash disable=SC2154
# Waits until every server of the ensemble serves and one of them leads, with the host tool (host_tool/ensemble.py).
# Values: values (JSON for the tool), generation.

apply() { flink_host ensemble <<<"$values"; }

check() { flink_host ensemble --check <<<"$values"; }
