# shellcheck shell=bash disable=SC2154
# Writes configuration files. The service's own step decides what restarts because of them. Values: what.

apply() {
  write_files
  report "$what"
}

check() { files_differ; }
