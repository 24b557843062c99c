# shellcheck shell=bash disable=SC2154
# Keeps a program of monitoring running. Another release or unit restarts it; what it can load without a restart it loads.
# Values: name (of the record), release (below /opt) and version, unit, user, own_user (true: a user of its own), folder (of
# its configuration), folders (further ones, empty or not), data (folders that the user owns), loaded (files and folders that it
# loads on a reload; empty: none), valid (a command that checks them before), url (that answers when it is ready), identity
# (certificate, key and authorities for that; empty: no TLS), seconds (until it answers); keeper only if this step adds files to
# a program of another step: that one, which reports whether it runs.
# Files: the unit, and its configuration. Uses program.sh.

apply() {
  local directory
  declare_all
  [ "$own_user" = false ] || own_user "$user" "/var/lib/$user"
  for directory in "$folder" "${folders[@]}"; do install -d -m 0755 "$directory"; done
  for directory in "${data[@]}"; do own_directory 0750 "$user" "$directory"; done
  write_files
  # Before a reload, which would read what is not declared any more
  forget "$record"
  valid
  keep_running "$unit" runs_the_release loaded_the_configuration
  wait_until "$seconds" answers || program_failed "$unit" "does not answer at $url after $seconds s"
}

# The release is installed by another step, which keeps it: without a monitoring host both are removed.
declare_all() {
  declares file "/etc/systemd/system/$unit.service"
  declares tree "$folder"
  declares file "/opt/$release"
  declares tree "/opt/$release-$version"
}

valid() {
  local said
  [ ${#valid[@]} -gt 0 ] || return 0
  said=$(runuser -u "$user" -- "${valid[@]}" 2>&1) || die "$unit: ${valid[*]} refuses its configuration: $(tail -n 5 <<<"$said")"
}

runs_the_release() {
  [ "$(fingerprint "/opt/$release" "/etc/systemd/system/$unit.service")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]
}

loaded_the_configuration() {
  local files
  [ ${#loaded[@]} -gt 0 ] || return 0
  mapfile -t files < <(find "${loaded[@]}" -type f 2>/dev/null | LC_ALL=C sort)
  [ "$(cat "${files[@]}" | sha256sum)" = "$(cat "/run/$unit/loaded" 2>/dev/null || true)" ]
}

answers() {
  local options=()
  [ ${#identity[@]} -eq 0 ] || options=(--cert "${identity[0]}" --key "${identity[1]}" --cacert "${identity[2]}")
  curl -fs -o /dev/null --max-time 5 --noproxy '*' "${options[@]}" "$url"
}

check() {
  local directory
  declare_all
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
  for directory in "$folder" "${folders[@]}"; do check_directory "$directory" 755 root:root; done
  for directory in "${data[@]}"; do check_directory "$directory" 750 "$user:$user"; done
  # Otherwise it would be reported twice
  [ -z "${keeper:-}" ] || return 0
  check_program "$unit" answers "does not answer at $url" runs_the_release loaded_the_configuration || true
}
