# shellcheck shell=bash disable=SC2154
# The user that daemons run as, its directories, and kernel settings. On a JobManager also the key with which
# start-cluster.sh logs in: it is created here and never leaves the host; its public half is printed.
# Values: user, directories (the user's), shared_directories (world-writable), configuration (a directory of root's),
# logs_in (true: create a key), units (of all roles), kernel (names of sysctl settings), absent (records of steps that this
# host does not have, but may have had). Files: tools, sysctl settings.

apply() {
  local previous gone
  adopt
  declare_tools
  previous=$(cat /etc/flink-owner 2>/dev/null || echo "$owner")
  [ "$previous" = "$owner" ] || retire "$previous"
  echo "$owner" | write_file /etc/flink-owner 0644 root:root
  create_user
  local directory
  for directory in "${directories[@]}"; do own_directory 0755 "$user" "$directory"; done
  for directory in "${shared_directories[@]}"; do install -d -m 1777 -o root -g root "$directory"; done
  install -d -m 0755 "$configuration"
  remember_kernel
  write_files
  rm -f /usr/local/lib/flink/daemon /etc/flink/daemon.conf # of an earlier version
  for gone in "${absent[@]}"; do forget "$gone"; done
  # A container may not set vm.*: then the kernel's value stays
  sysctl -q -e --load /etc/sysctl.d/60-flink.conf 2>/dev/null || true
  [ "$logs_in" = true ] || return 0
  local ssh=/var/lib/$user/.ssh
  own_directory 0700 "$user" "$ssh"
  [ -s "$ssh/id_ed25519" ] || as_holder "$ssh" ssh-keygen -q -t ed25519 -N '' -C "$user@$host" -f "$ssh/id_ed25519"
  as_holder "$ssh" cat "$ssh/id_ed25519.pub"
}

create_user() {
  local whose=ours
  if [ ! -e "$group_owner.$user" ]; then
    # Before the group is created, so that an interrupted run is no reason to take it for theirs
    if getent group "$user" >/dev/null && ! id "$user" >/dev/null 2>&1; then whose=theirs; fi
    echo "$whose" | put_file "$group_owner.$user" 0644 root:root
  fi
  # useradd does not create a group with the user's name everywhere (USERGROUPS_ENAB in login.defs)
  getent group "$user" >/dev/null || groupadd --system "$user"
  ! id "$user" >/dev/null 2>&1 || return 0
  useradd --system --gid "$user" --create-home --home-dir "/var/lib/$user" --shell /bin/bash "$user"
  # A home that was there, on a disk of an earlier machine, say, is of a number that is nobody's or somebody else's now
  [ ! -d "/var/lib/$user" ] || [ "$(stat -c %U "/var/lib/$user")" = "$user" ] || chown -hR "$user:$user" "/var/lib/$user"
}

# Records the kernel settings for clean.sh, before they have our values for the first time.
remember_kernel() {
  local key
  mkdir -p "${kernel_before%/*}"
  for key in "${kernel[@]}"; do
    ! grep -qs "^$key = " "$kernel_before" /etc/sysctl.d/60-flink.conf || continue
    sysctl -e "$key" >>"$kernel_before" 2>/dev/null || true
  done
}

# What this step has others make.
declare_tools() {
  [ "$logs_in" = true ] || return 0
  declares file "/var/lib/$user/.ssh/id_ed25519"
  declares file "/var/lib/$user/.ssh/id_ed25519.pub"
  declares tree /usr/local/lib/flink/java
}

# Earlier versions kept no records: what they may have left that a host need not have.
adopt() {
  [ -e /etc/flink-owner ] && [ ! -d "$records" ] || return 0
  remember credentials file /etc/flink/credentials.env
  remember members file /etc/flink-firewall.nft
  remember members file /etc/systemd/system/flink-firewall.service
}

# The host had another name or role before, whose steps no longer change it (clean.sh, is_ours). What they declared is
# removed; releases and data stay.
retire() {
  local unit one
  for unit in "${units[@]}"; do
    systemctl disable -q --now "$unit" 2>/dev/null || true
    rm -f "/etc/systemd/system/$unit.service"
  done
  systemctl daemon-reload
  mkdir -p "$records"
  for one in "$records"/*; do
    # These two every host has: they remove themselves what they do not declare any more, and the firewall stays up
    case ${one##*/} in system | members | former | '*') continue ;; esac
    cat "$one" >>"$records/former"
    rm -f "$one"
  done
  forget former
  rm -f "$records/former"
  say "this host was $1: stopped its daemon"
}

check() {
  local directory gone
  declare_tools
  files_differ
  echo "$owner" | write_file /etc/flink-owner 0644 root:root
  if ! id "$user" >/dev/null 2>&1; then
    differs "user $user" "is missing"
    return 0
  fi
  expect "home of user $user" "/var/lib/$user" "$(getent passwd "$user" | cut -d: -f6)"
  expect "group of user $user" "$user" "$(id -gn "$user")"
  for directory in "${directories[@]}"; do check_directory "$directory" 755 "$user:$user"; done
  for directory in "${shared_directories[@]}"; do check_directory "$directory" 1777 root:root; done
  check_directory "$configuration" 755 root:root
  check_kernel
  for gone in "${absent[@]}"; do report_left_over "$gone"; done
  [ "$logs_in" = true ] || return 0
  check_directory "/var/lib/$user/.ssh" 700 "$user:$user"
  [ -s "/var/lib/$user/.ssh/id_ed25519" ] || differs "/var/lib/$user/.ssh/id_ed25519" "is missing"
}

# A container may not set the kernel settings of its machine.
check_kernel() {
  local key value
  ! systemd-detect-virt --quiet --container || return 0
  while read -r key _ value; do
    case $key in [a-z]*) expect "sysctl $key" "$value" "$(sysctl -n "$key" 2>/dev/null || true)" ;; esac
  done </etc/sysctl.d/60-flink.conf
}
