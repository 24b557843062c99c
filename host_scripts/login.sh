# shellcheck shell=bash disable=SC2154
# The login by OpenID Connect beside the front door (frontdoor.sh): oauth2-proxy with a user and a socket of its own. Another
# configuration, unit or release restarts it; sessions are in people's cookies and continue.
# Values: login_unit (also the name of its user), login_folder, login_socket, login_issuer, login_version (of oauth2-proxy).
# Files: its unit and configuration; with certificates of the stack's own also authorities.pem.

declare_login() {
  declares file "/etc/systemd/system/$login_unit.service"
  declares tree "$login_folder"
  declares file /opt/oauth2proxy
  declares tree "/opt/oauth2proxy-$login_version"
}

prepare_login() {
  own_user "$login_unit" "$login_folder"
  install -d -m 0750 -o root -g "$login_unit" "$login_folder"
}

run_login() {
  keep_running "$login_unit" runs_this_login
  wait_until "$seconds" login_answers || program_failed "$login_unit" "does not answer after $seconds s: expected that this host reaches $login_issuer, and trusts its certificate (trustedCertificates)"
}

runs_this_login() {
  [ "$(fingerprint /opt/oauth2proxy "/etc/systemd/system/$login_unit.service" "$login_folder"/{oauth2-proxy.toml,authorities.pem})" = "$(cat "/run/$login_unit/fingerprint" 2>/dev/null || true)" ]
}

# Only after it has read from the issuer where people log in, and with which keys tokens are signed.
login_answers() { curl -fs -o /dev/null --max-time 5 --unix-socket "$login_socket" http://localhost/ping; }

check_login() {
  check_directory "$login_folder" 750 "root:$login_unit"
  check_program "$login_unit" login_answers "does not answer" runs_this_login || true
}
