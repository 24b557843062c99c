# shellcheck shell=bash disable=SC2154
# Removes from the storage what only a cluster that is being destroyed can use. It runs on a JobManager's host, with
# Flink's own code, so that every kind of storage and credentials works. All JobManagers have been stopped; nothing else
# has been removed from the host yet. Values: what (URIs).

remove() {
  if [ ! -e /opt/flink/lib ] || [ ! -e /etc/flink/config.yaml ]; then
    say "Flink is not installed here: anything at ${what[*]} stays"
    return 0
  fi
  [ -x "$flink_host" ] || die "$flink_host, which removes ${what[*]}, is missing: run \`pulumi up\`, and destroy again"
  flink_host leftovers purge "${what[@]}" ||
    die "cannot remove ${what[*]}; nothing else was removed from this host. Destroy again when the storage is reachable"
}
