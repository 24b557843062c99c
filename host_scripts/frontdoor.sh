# shellcheck shell=bash disable=SC2154
# Keeps the front door running: Caddy with its own user, certificate, key and Caddyfile. A change of one of these is loaded
# without closing connections; another release or unit restarts it.
# Values: user, unit, folder (of its configuration), port, version (of Caddy), seconds (until it answers); ends (when the
# certificate expires, or the first of those in its file), notice_seconds (before that it is reported), renewal (what to do
# then); rest_ends and rest_notice_seconds of the one for JobManagers, empty without; with an ACME server also the library
# tls/acme.sh and its values; with a login by OpenID Connect also login=true, the library login.sh and its values.
# Files: the unit, certificate.pem, key.pem, Caddyfile; with TLS inside of the cluster also those in rest/. Uses program.sh.

caddy=/opt/caddy/caddy

apply() {
  declare_all
  own_user "$user" "/var/lib/$user"
  with_login prepare_login
  install -d -m 0750 -o root -g "$user" "$folder" "$folder/rest"
  write_files
  valid
  with_login run_login
  keep_running "$unit" runs_the_release loaded_the_configuration
  wait_until "$seconds" answers || program_failed "$unit" "does not answer on port $port after $seconds s"
  with_acme run_acme
}

# The release is installed by another step, which keeps it: without a front door both are removed.
declare_all() {
  declares file "/etc/systemd/system/$unit.service"
  declares tree "$folder"
  declares file /opt/caddy
  declares tree "/opt/caddy-$version"
  with_login declare_login
  with_acme declare_acme
}

with_login() { [ "${login:-false}" != true ] || "$@"; }

with_acme() { [ -z "${acme_name:-}" ] || "$@"; }

# Before anything is loaded. As its user, and without creating its log.
valid() {
  local said
  said=$(runuser -u "$user" -- "$caddy" adapt --adapter caddyfile --config "$folder/Caddyfile" 2>&1 >/dev/null) ||
    die "$folder/Caddyfile: $(tail -n 1 <<<"$said" | sed -E 's/[$]2[abxy][$][^[:space:]"]*/a password hash/g')"
}

runs_the_release() {
  [ "$(fingerprint /opt/caddy "/etc/systemd/system/$unit.service")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]
}

loaded_the_configuration() {
  [ "$(fingerprint "$folder/Caddyfile" "$folder"/*.pem "$folder"/rest/*.pem)" = "$(cat "/run/$unit/loaded" 2>/dev/null || true)" ]
}

# With the certificate that it should have, and no other. Any answer of it will do: without a login it is 401.
answers() {
  local name
  name=$(sed -n 's/^\tdefault_sni //p' "$folder/Caddyfile")
  curl -s -o /dev/null --max-time 5 --noproxy '*' --cacert "$folder/certificate.pem" \
    --connect-to "::127.0.0.1:$port" "https://$name:$port/v1/config"
}

check() {
  declare_all
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
  check_end "$folder/certificate.pem" "$ends" "$notice_seconds" "$renewal"
  [ -z "$rest_ends" ] || check_end "$folder/rest/certificate.pem" "$rest_ends" "$rest_notice_seconds" "\`up\` renews it"
  check_directory "$folder" 750 "root:$user"
  check_directory "$folder/rest" 750 "root:$user"
  with_login check_login
  check_program "$unit" answers "does not answer on port $port with its certificate" runs_the_release loaded_the_configuration ||
    return 0
  with_acme check_acme
}
