# shellcheck shell=bash disable=SC2154
# Writes the storage's credentials, readable only by the daemons' user. Prints a hash that shows that they changed, and
# nothing else: it includes this machine's id.

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
