# shellcheck shell=bash disable=SC2154
# Lets the JobManagers log in as the daemons' user, for start-cluster.sh. Values: user. Files: SSH trust.

apply() {
  own_directory 0700 "$user" "/var/lib/$user/.ssh"
  write_files
  report trust
}

check() {
  check_directory "/var/lib/$user/.ssh" 700 "$user:$user"
  files_differ
}
