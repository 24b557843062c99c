# shellcheck shell=bash disable=SC2154
# Mounts the disks of the machine itself, which are for temporary data. The daemon's unit does the same whenever it starts.
# Values: tool (the path of local_disks_tool.sh on the host), user, directories (a mount point for each disk).

apply() {
  write_files
  "$tool" "$user" "${directories[@]}" || die "cannot mount the disks of the machine itself, see above"
  report local-disks
}

check() {
  local directory
  files_differ
  for directory in "${directories[@]}"; do
    expect "$directory" "a file system of its own" "$(! mountpoint -q "$directory" || echo "a file system of its own")"
    check_directory "$directory" 755 "$user:$user"
  done
}
