# shellcheck shell=bash disable=SC2154
# Removes from the storage what a cluster that goes has left there and nobody can use without it. It runs on a
# JobManager's host, with Flink's own code, so that every kind of storage and credentials works; all JobManagers have been
# stopped, and the host is as it was otherwise. Values: what (URIs).

remove() {
  if [ ! -e /opt/flink/lib ] || [ ! -e /etc/flink/config.yaml ]; then
    say "Flink is not installed here: if there is anything at ${what[*]}, it stays"
    return 0
  fi
  [ -x "$flink_host" ] || die "there is no $flink_host, which removes ${what[*]}: run \`pulumi up\`, and destroy again"
  flink_host leftovers purge "${what[@]}" ||
    die "cannot remove ${what[*]}; nothing else was removed from this host. When the storage can be reached, destroy again"
}
