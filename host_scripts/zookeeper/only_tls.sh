# shellcheck shell=bash disable=SC2154
# After all Flink daemons use TLS: the ZooKeeper server refuses plain text from now on.
# Values: unit, inputs (paths), seconds, health (the arguments of the host tool's health check).

serving=/etc/zookeeper/serving.cfg

apply() {
  # The second condition: an earlier run may have been interrupted
  if [ "$(readlink "$serving")" = zoo.cfg ] && [ "$(fingerprint "${inputs[@]}")" = "$(cat "/run/$unit/fingerprint")" ]; then
    say "zookeeper: admits TLS only"
    return 0
  fi
  it stoppable || die "$unit must restart, but was not restarted: other members are missing or behind after $seconds s; repair them first"
  ln -sfn zoo.cfg "$serving.new"
  mv -fT "$serving.new" "$serving"
  systemctl restart "$unit"
  it healthy || die "$unit was started and is not healthy after $seconds s; see \`journalctl -u $unit\`"
  say "zookeeper: restarted, admits TLS only"
}

it() { timeout $((seconds + 20)) "$flink_host" "$1" --within "$seconds" "${health[@]}"; }

check() { [ "$(readlink "$serving" || true)" = zoo.cfg ] || differs "$serving" "the server still admits plain text: run up again"; }
