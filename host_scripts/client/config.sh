# shellcheck shell=bash disable=SC2154
# Writes the configuration of a client with TLS: config.yaml has the passwords of this host's stores, so that only the
# group can read it, whose members may use the cluster.
# Values: group, options (a file with the passwords), tls (another one: the passwords may have changed).
# Files: config.yaml.declared and the rest of /etc/flink.

config=/etc/flink/config.yaml

apply() {
  write_files
  write_config
  report configuration
}

write_config() { write_file "$config" 0640 "root:$group" < <(cat "$config.declared" "$options"); }

check() {
  files_differ
  # shellcheck disable=SC2034  # for the library
  checking=true secret=true
  write_config
}
