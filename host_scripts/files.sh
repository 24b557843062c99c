# shellcheck shell=bash disable=SC2154
# Writes configuration files. What restarts because of them is for the service's own step to say. Values: what.

apply() {
  write_files
  report "$what"
}

check() { files_differ; }
