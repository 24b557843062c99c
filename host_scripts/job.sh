# shellcheck shell=bash disable=SC2154
# Brings a declared job to its declared state, with the host tool (host_tool/declared_job.py), and prints what runs then, as JSON.
# Values: name (of the job), values (JSON for the tool). With files on a web server also: urls, copies (where they are
# downloaded to), kept (where the host has them afterwards), and those of proxy.sh.

apply() {
  local i
  for i in "${!urls[@]}"; do [ -e "${kept[$i]}" ] || download "${urls[$i]}" "${copies[$i]}"; done
  flink_host job <<<"$values"
}

# download URL FILE. If it fails, the storage may have the file: the host tool decides.
download() {
  local new
  new=$(mktemp /var/tmp/flink-download.XXXXXX)
  # shellcheck disable=SC2064  # the file of now
  trap "rm -f '$new'" EXIT
  if fetch -fsSL --retry 3 --connect-timeout 20 --speed-limit 10000 --speed-time 60 -o "$new" "$1"; then
    chmod 0644 "$new"
    # shellcheck disable=SC2016  # that shell expands it
    as_holder "${2%/*}" sh -euc 'mkdir -p "${2%/*}" && cp -fT "$1" "$2"' sh "$new" "$2"
  else
    say "cannot fetch $1"
  fi
  rm -f "$new"
}

check() { flink_host job --check <<<"$values"; }

remove() {
  if [ ! -x "$flink_host" ] || [ ! -e /opt/flink/lib ] || ! systemctl is-active -q flink-jobmanager; then
    say "no JobManager runs here: the job is not stopped with a savepoint"
    return 0
  fi
  flink_host job <<<"$values"
}
