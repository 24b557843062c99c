# shellcheck shell=bash disable=SC2154
# Writes the storage's credentials, readable by the daemons' user alone. Prints a hash that tells a change and, since it
# includes this machine's own id, nothing else.

apply() {
  write_files
  [ ${#changed[@]} -eq 0 ] || say "credentials: written"
  cat /etc/machine-id /etc/flink/credentials.env | sha256sum | cut -c1-16
}

check() {
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
}
