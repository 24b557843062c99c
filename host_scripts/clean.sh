# shellcheck shell=bash disable=SC2154
# Removes everything that the steps created on a host that leaves the cluster, and nothing else. The machine stays, and
# so does the data on the storage (see purge.sh). Values: user, unit (empty: no daemon), releases (names below /opt), login
# (the user who logs in).
#
# What stays on purpose is listed in tests/hosts/snapshot.py: the backups that useradd and userdel write of /etc/passwd and
# similar files, the journal, and the system's own network-online.target, which units of daemons require.

remove() {
  is_ours || return 0
  others_ended
  stop_daemons
  no_firewall
  no_front_door
  no_monitoring
  rm -rf /etc/flink-history /var/cache/flink-history
  rm -f /etc/systemd/system/flink-{classes,history}.service /etc/systemd/system/flink-{alive,jobs,superseded}.{service,timer}
  if [ -n "$unit" ]; then rm -rf "/etc/systemd/system/$unit.service" "/run/$unit"; fi
  systemctl daemon-reload
  # A unit that failed would otherwise be listed as failed without a file, and the system as degraded, until the next boot
  systemctl reset-failed ${unit:+"$unit"} flink-classes flink-history flink-alive flink-jobs flink-superseded flink-firewall flink-frontdoor flink-login flink-acme flink-storage flink-exporter flink-prometheus flink-alertmanager flink-grafana 2>/dev/null || true
  replace_block /etc/hosts ""
  local template
  for template in /etc/cloud/templates/hosts.*.tmpl; do [ ! -f "$template" ] || replace_block "$template" ""; done
  rm -f /etc/cloud/cloud.cfg.d/99-flink-hosts.cfg /etc/needrestart/conf.d/60-flink.conf /etc/profile.d/flink-storage.sh
  # The package has files there
  rmdir --ignore-fail-on-non-empty /etc/needrestart/conf.d /etc/needrestart 2>/dev/null || true
  restore_kernel
  local release
  for release in "${releases[@]}"; do remove_releases "$release"; done
  local environment
  for environment in /opt/pyflink-*; do [ ! -e "$environment/pyvenv.cfg" ] || rm -rf "$environment"; done
  rm -rf /var/cache/flink-python
  unmount_local_disks
  remove_tree "/etc/$user"
  remove_tree "/var/log/$user"
  remove_user
  no_scripts
  rm -rf /usr/local/lib/flink /run/flink-steps /run/flink-jobs /run/lock/flink-jobs /var/tmp/flink-download.*
  # Last, so that a retry after a failure above still finds the mark
  rm -f /etc/flink-owner
  say "removed everything of $owner"
}

# A host with a new name or role belongs to its new steps. Pulumi removes the old steps after it has created the new ones.
is_ours() {
  local found
  found=$(cat /etc/flink-owner 2>/dev/null || echo "$owner")
  [ "$found" = "$owner" ] && return 0
  say "this host is now $found: nothing of $owner is removed"
  [ "${found##* }" = "$host" ] || no_scripts
  return 1
}

# What components/scripts.py copies.
no_scripts() { rm -f "$(getent passwd "$login" | cut -d: -f6)/.flink-scripts-$host"; }

# A step that a cancelled `up` left running would continue to install files.
others_ended() {
  local lock
  for lock in /run/flink-steps/*; do
    [ -f "$lock" ] && [ "${lock##*/}" != clean ] || continue
    flock -w 60 "$lock" true || die "step ${lock##*/} is still running; see \`ps\` on the host, and try again when it has ended"
  done
}

no_process() { ! pgrep -u "$user" >/dev/null; }

# Gracefully: with SIGTERM a TaskManager releases its slots, and nothing has to wait for its heartbeat timeout.
stop_daemons() {
  local timer
  for timer in flink-{alive,jobs,superseded}.timer; do systemctl disable -q --now "$timer" 2>/dev/null || true; done
  [ -z "$unit" ] || systemctl disable -q --now "$unit" 2>/dev/null || true
  systemctl disable -q --now flink-history 2>/dev/null || true
  systemctl stop -q flink-classes 2>/dev/null || true # it may still work; the daemon's start has started it
  id "$user" >/dev/null 2>&1 || return 0
  # Processes of start-cluster.sh, and logins
  pkill -u "$user" || true
  wait_until 10 no_process || pkill -KILL -u "$user" || true
  wait_until 10 no_process || die "processes of user $user do not end"
}

no_firewall() {
  systemctl disable -q --now flink-firewall.service 2>/dev/null || true
  rm -f /etc/flink-firewall.nft /etc/systemd/system/flink-firewall.service
  if nft list table inet flink >/dev/null 2>&1; then nft delete table inet flink; fi
}

# Only what its step has declared: another proxy of this name may be installed.
no_front_door() {
  [ -e "$records/frontdoor" ] || return 0
  systemctl disable -q --now flink-frontdoor flink-login flink-acme.timer 2>/dev/null || true
  systemctl stop -q flink-acme.service 2>/dev/null || true
  rm -f /etc/systemd/system/flink-{frontdoor,login,acme}.service /etc/systemd/system/flink-acme.timer
  rm -rf /etc/flink-frontdoor /etc/flink-login /var/log/flink-frontdoor /var/lib/flink-frontdoor
  remove_releases caddy
  remove_releases oauth2proxy
  local one
  for one in flink-login flink-frontdoor; do
    ! id "$one" >/dev/null 2>&1 || userdel "$one"
  done
}

# The same: monitor.sh.
no_monitoring() {
  local name release
  systemctl disable -q --now flink-storage.timer 2>/dev/null || true
  systemctl stop -q flink-storage.service 2>/dev/null || true
  rm -f /etc/systemd/system/flink-storage.{service,timer}
  for name in exporter prometheus alertmanager grafana logs logstore; do
    [ -e "$records/monitor-$name" ] || continue
    systemctl disable -q --now "flink-$name" 2>/dev/null || true
    rm -rf "/etc/systemd/system/flink-$name.service" "/etc/flink-$name" "/run/flink-$name"
  done
  for release in nodeexporter prometheus alertmanager grafana otelcol victorialogs; do
    if compgen -G "/opt/$release-*/.installed-by-pulumi" >/dev/null; then remove_releases "$release"; fi
  done
  for name in exporter logs; do
    [ -e "$records/monitor-$name" ] || continue
    ! id "flink-$name" >/dev/null 2>&1 || userdel "flink-$name"
    rm -rf "/var/lib/flink-$name"
  done
}

# A setting that still has our value gets the one that it had before the first step. Without a record of it (steps of an
# earlier version made none) it keeps its value until the next boot.
restore_kernel() {
  local key value
  while read -r key _ value; do
    case $key in [a-z]*) [ "$(sysctl -n "$key" 2>/dev/null)" = "$value" ] || continue ;; *) continue ;; esac
    { grep "^$key = " "$kernel_before" | sysctl -q -e --load -; } 2>/dev/null || true
  done < <(cat /etc/sysctl.d/60-flink.conf 2>/dev/null)
  rm -f /etc/sysctl.d/60-flink.conf
}

# The disks of the machine itself, which have temporary data only (local_disks.sh).
unmount_local_disks() {
  local directory
  for directory in "/var/lib/$user"/local-[0-9]*; do
    [ -L "$directory" ] || ! mountpoint -q "$directory" || umount "$directory"
  done
}

# A user's mount point can be emptied but not removed.
remove_tree() {
  rm -rf "$1" 2>/dev/null && return 0
  [ -z "$(find "$1" ! -type d -print -quit)" ] || die "cannot remove $1"
  say "$1 is or contains a mount point: emptied, not removed"
}

remove_user() {
  local home=/var/lib/$user whose
  whose=$(cat "$group_owner.$user" 2>/dev/null || true)
  if id "$user" >/dev/null 2>&1; then
    [ "$(getent passwd "$user" | cut -d: -f6)" = "$home" ] || die "user $user has another home than $home: this program did not create it"
    # JVMs and logins leave files, which would belong to the next user with the same number
    find /tmp /var/tmp -xdev -mindepth 1 -user "$user" -delete 2>/dev/null || true
    # userdel would remove the group, too
    [ "$whose" != theirs ] || usermod --gid root "$user"
    userdel "$user"
  fi
  # userdel keeps the group where users have no group of their own by default (USERGROUPS_ENAB in login.defs)
  if [ "$whose" = ours ] && grep -q "^$user:" /etc/group; then groupdel "$user"; fi
  remove_tree "$home"
}
