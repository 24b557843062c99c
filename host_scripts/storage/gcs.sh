# shellcheck shell=bash disable=SC2154
# The key of a service account, which only the daemons' user can read. File: the key.

apply() {
  write_files
  report "the service account's key"
}

check() {
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
}
