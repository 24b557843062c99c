# shellcheck shell=bash disable=SC2154
# What a host must know about the others: their names, who may connect to which port, and the keys for start-cluster.sh.
# It restarts nothing. Values: user, hosts_block, firewall, ssh_clients.
# Files: nftables rules and their unit, masters, workers, SSH trust.

apply() {
  if [ "$firewall" = true ]; then stays_reachable; fi
  cloud_init
  replace_block /etc/hosts "$hosts_block"
  own_directory 0700 "$user" "/var/lib/$user/.ssh"
  write_files
  if [ "$firewall" = true ]; then
    at_boot flink-firewall.service
    systemctl reload-or-restart flink-firewall.service
  fi
  report members
}

# cloud-init would write /etc/hosts anew at the next boot, and the names would be gone. User data outranks our file: with
# manage_etc_hosts there, our names go into the template that it writes /etc/hosts from.
cloud_init() {
  local template
  [ -d /etc/cloud/cloud.cfg.d ] || return 0
  echo "manage_etc_hosts: false" | write_file /etc/cloud/cloud.cfg.d/99-flink-hosts.cfg 0644 root:root
  grep -qs '^manage_etc_hosts:' /var/lib/cloud/instance/*cloud-config.txt || return 0
  for template in /etc/cloud/templates/hosts.*.tmpl; do
    [ ! -f "$template" ] || replace_block "$template" "$hosts_block"
  done
}

# The rules must not lock out the machine that applies them.
stays_reachable() {
  local type=ipv4_addr inside=true
  case $client in *:*) type=ipv6_addr ;; esac
  # Emptied first: an earlier run may have been interrupted
  nft -f - <<<"table inet flink_check; delete table inet flink_check; table inet flink_check { set clients { type $type; flags interval; auto-merge; }; }"
  local network
  for network in "${ssh_clients[@]}"; do
    case $network:$type in
      *.*:ipv4_addr | *:*:*:ipv6_addr) nft add element inet flink_check clients "{ $network }" ;;
    esac
  done
  nft get element inet flink_check clients "{ $client }" >/dev/null 2>&1 || inside=false
  nft delete table inet flink_check
  [ "$inside" = true ] || die "you connect from $client, which operatorCidrs does not contain: the firewall would lock you out"
}

check() {
  files_differ
  cloud_init
  replace_block /etc/hosts "$hosts_block"
  if [ "$firewall" = true ]; then check_firewall; elif nft list table inet flink >/dev/null 2>&1; then
    differs firewall "is loaded: expected none"
  fi
}

# A separate network namespace shows the rules that the kernel makes of the file.
check_firewall() {
  local expected found
  systemctl is-enabled -q flink-firewall.service 2>/dev/null || differs flink-firewall "is not enabled: there would be no rules after the next boot"
  if ! found=$(nft list table inet flink 2>/dev/null); then
    differs firewall "is not loaded"
  elif ! expected=$(unshare --net sh -c 'nft -f /etc/flink-firewall.nft && nft list table inet flink' 2>&1); then
    differs firewall "cannot be loaded from /etc/flink-firewall.nft: $expected"
  elif [ "$expected" != "$found" ]; then
    differs firewall "has other rules than /etc/flink-firewall.nft" \
      "$(diff -U 1 <(echo "$expected") <(echo "$found") | tail -n +3 | head -n 20)"
  fi
}
