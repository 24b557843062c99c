# shellcheck shell=bash disable=SC2154
# Writes the secrets that jobs read, each as a file that only the daemons' user reads. No daemon restarts.

apply() {
  write_files
  [ ${#changed[@]} -eq 0 ] || say "job secrets: written"
}

check() {
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
}
