# shellcheck shell=bash disable=SC2154
# What a host must know of the others: names, who may connect to which port, and whose key start-cluster.sh uses.
# Nothing restarts because of it. Values: user, hosts_block, firewall, ssh_clients.
# Files: nftables rules and their unit, masters, workers, SSH trust.

apply() {
  if [ "$firewall" = true ]; then stays_reachable; fi
  replace_block /etc/hosts "$hosts_block"
  install -d -m 0700 -o "$user" -g "$user" "/var/lib/$user/.ssh"
  write_files
  if [ "$firewall" = true ]; then
    systemctl daemon-reload
    systemctl enable -q flink-firewall.service
    systemctl reload-or-restart flink-firewall.service
  fi
  report members
}

# The rules must not lock out whoever applies them.
stays_reachable() {
  local type=ipv4_addr inside=true
  case $client in *:*) type=ipv6_addr ;; esac
  nft -f - <<<"table inet flink_check { set clients { type $type; flags interval; auto-merge; }; }"
  local network
  for network in "${ssh_clients[@]}"; do
    case $network:$type in
      *.*:ipv4_addr | *::*:ipv6_addr) nft add element inet flink_check clients "{ $network }" ;;
    esac
  done
  nft get element inet flink_check clients "{ $client }" >/dev/null 2>&1 || inside=false
  nft delete table inet flink_check
  [ "$inside" = true ] || die "you connect from $client, which operatorCidrs does not contain: the firewall would lock you out"
}

remove() {
  systemctl disable -q --now flink-firewall.service 2>/dev/null || true
  delete_files
  systemctl daemon-reload
  replace_block /etc/hosts ""
}
