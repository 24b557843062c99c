# shellcheck shell=bash disable=SC2154
# Proves that this host's daemons' user can log in to the others, with the host tool (host_tool/logins.py).
# Values: values (JSON for the tool), generation.

apply() { flink_host logins <<<"$values"; }

check() { flink_host logins --check <<<"$values"; }
