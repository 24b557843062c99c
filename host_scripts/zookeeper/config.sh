# shellcheck shell=bash disable=SC2154
# Writes the configuration of a ZooKeeper server with TLS. While Flink's daemons still connect in plain text, it runs
# with both.cfg, which admits plain text as well; only_tls.sh ends that. The link serving.cfg points at what it runs with.
# Values: unit. Files: zoo.cfg, both.cfg, and the rest of the configuration.

serving=/etc/zookeeper/serving.cfg

apply() {
  declares file "$serving"
  write_files
  if runs_without_tls; then
    point both.cfg
    say "zookeeper: admits plain text until Flink's daemons use TLS"
  elif [ ! -L "$serving" ]; then
    point zoo.cfg
  fi
  report configuration
}

# A server with TLS is started with the link.
runs_without_tls() {
  local process
  process=$(systemctl show -p MainPID --value "$unit")
  [ "$process" != 0 ] && ! tr '\0' '\n' <"/proc/$process/cmdline" | grep -qxF "$serving"
}

point() {
  ln -sfn "$1" "$serving.new"
  mv -fT "$serving.new" "$serving"
}

check() {
  declares file "$serving"
  files_differ
}
