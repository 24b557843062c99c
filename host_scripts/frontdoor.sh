# shellcheck shell=bash disable=SC2154
# Keeps the front door running: Caddy with its own user, certificate, key and Caddyfile. A change of one of these is loaded
# without closing connections; another release or unit restarts it.
# Values: user, unit, folder (of its configuration), port, version (of Caddy), seconds (until it answers); ends (when the
# certificate expires, or the first of those in its file), notice_seconds (before that it is reported), renewal (what to do
# then); rest_ends and rest_notice_seconds of the one for JobManagers, empty without; with an ACME server also acme_name
# (which it signs), directory (its URL), acme_seconds (until it has signed); with a login by OpenID
# Connect also login=true, the library login.sh and its values.
# Files: the unit, certificate.pem, key.pem, Caddyfile; with TLS inside of the cluster also those in rest/. Uses program.sh.

caddy=/opt/caddy/caddy

apply() {
  declare_all
  own_user "$user" "/var/lib/$user"
  with_login prepare_login
  install -d -m 0750 -o root -g "$user" "$folder" "$folder/rest"
  write_files
  valid
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  with_login run_login
  keep_running "$unit" runs_the_release loaded_the_configuration
  wait_until "$seconds" answers || program_failed "$unit" "does not answer on port $port after $seconds s"
  [ -z "${acme_name:-}" ] || wait_until "$acme_seconds" certified ||
    program_failed "$unit" "has no certificate for $acme_name from $directory after $acme_seconds s, and goes on asking for one. The server must reach port $port of that name"
}

# The release is installed by another step, which keeps it: without a front door both are removed.
declare_all() {
  declares file "/etc/systemd/system/$unit.service"
  declares tree "$folder"
  declares file /opt/caddy
  declares tree "/opt/caddy-$version"
  with_login declare_login
}

with_login() { [ "${login:-false}" != true ] || "$@"; }

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

# Whether the ACME server has signed: until then Caddy refuses connections for that name. The host does not have to trust
# that server's authority, so what counts is that another certificate is shown than the host's own: then curl says
# which error of OpenSSL's that is (20, for example), otherwise 0, or 1 if there was no connection.
certified() {
  local found
  found=$(curl -s -o /dev/null -w '%{ssl_verify_result}' --max-time 5 --noproxy '*' --cacert "$folder/certificate.pem" \
    --connect-to "::127.0.0.1:$port" "https://$acme_name:$port/" || true)
  [ "${found:-0}" -gt 1 ]
}

# acme_valid CERTIFICATE: from when to when it is valid, in seconds since 1970. The JDK reads it: not every host has openssl.
acme_valid() {
  local from until
  read -r from until < <(
    LC_ALL=C "${java:-/opt/java}/bin/keytool" "${short_lived[@]/#/-J}" -J-Duser.language=en -J-Duser.timezone=UTC -printcert -file "$1" |
      sed -n 's/^Valid from: \(.*\) until: \(.*\)$/\1\n\2/p' | head -2 | while IFS= read -r time; do date -d "$time" +%s; done |
      paste -sd' '
  )
  echo "$from $until"
}

# Caddy renews a certificate when a third of its time is left: one with less than a quarter could not be renewed.
check_acme_end() {
  local file from until newest="" began=0 last=0
  # One for each ACME server that there was
  while IFS= read -r file; do
    read -r from until < <(acme_valid "$file")
    if [ "${until:-0}" -gt "$last" ]; then newest=$file began=$from last=$until; fi
  done < <(find "${storage:-/var/lib/$user}" -path "*/$acme_name/$acme_name.crt")
  [ -n "$newest" ] || return 0
  check_end "$newest" "$(date -u -d "@$last" +"%Y-%m-%d %H:%M UTC")" "$(((last - began) / 4))" \
    "$directory does not renew it: \`journalctl -u $unit\` says why"
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
  [ -n "${acme_name:-}" ] || return 0
  if certified; then
    check_acme_end
  else
    differs "$unit" "has no certificate for $acme_name from $directory"
  fi
}
