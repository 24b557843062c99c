# shellcheck shell=bash disable=SC2154
# Keeps Flink's HistoryServer running, beside a JobManager. Another release, configuration, certificate or key restarts it.
# Values: unit, folder (of its configuration), inputs (files whose changes restart it), url (that answers when it is ready),
# tls (the folder of the host's identity for that; empty: no TLS), seconds (until it answers), wants (what is not in these
# texts and restarts it: the step runs again). Files: the unit, and the configuration. Uses program.sh.

apply() {
  declares tree "$folder"
  declares tree "/var/cache/$unit"
  install -d -m 0755 "$folder"
  write_files
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  keep_running "$unit" runs_the_inputs
  wait_until "$seconds" answers || program_failed "$unit" "does not answer at $url after $seconds s"
}

runs_the_inputs() { [ "$(fingerprint "${inputs[@]}")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]; }

answers() {
  local options=()
  [ -z "$tls" ] || options=(--cert "$tls/identity.pem" --key "$tls/identity.pem" --cacert "$tls/authorities.pem")
  curl -fs -o /dev/null --max-time 5 --noproxy '*' "${options[@]}" "$url"
}

check() {
  declares tree "$folder"
  declares tree "/var/cache/$unit"
  files_differ
  check_directory "$folder" 755 root:root
  check_program "$unit" answers "does not answer at $url" runs_the_inputs || true
}
