# shellcheck shell=bash disable=SC2154
# Brings a declared job to its declared state, with the host tool (host_tool/declared_job.py), and prints what runs then, as JSON.
# Values: values (JSON for the tool). With a jar on a web server also: url, copy (where it is downloaded to), kept (where the
# host has it afterwards), and those of proxy.sh.

apply() {
  [ -z "${url:-}" ] || [ -e "$kept" ] || download_jar
  flink_host job <<<"$values"
}

# If it fails, the storage may have the jar: the host tool decides.
download_jar() {
  mkdir -p "${copy%/*}"
  fetch -fsSL --retry 3 --connect-timeout 20 --speed-limit 10000 --speed-time 60 -o "$copy" "$url" && return 0
  rm -f "$copy"
  say "cannot fetch $url"
}

check() { flink_host job --check <<<"$values"; }

remove() {
  if [ ! -x "$flink_host" ] || [ ! -e /opt/flink/lib ] || ! systemctl is-active -q flink-jobmanager; then
    say "no JobManager runs here: the job is not stopped with a savepoint"
    return 0
  fi
  flink_host job <<<"$values"
}
