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
  id "$login_unit" >/dev/null 2>&1 ||
    useradd --system --user-group --no-create-home --home-dir "$login_folder" --shell /usr/sbin/nologin "$login_unit"
  install -d -m 0750 -o root -g "$login_unit" "$login_folder"
}

run_login() {
  systemctl enable -q "$login_unit"
  systemctl reset-failed "$login_unit" 2>/dev/null || true
  if systemctl is-active -q "$login_unit" && runs_this_login; then
    say "$login_unit: runs what is expected"
  else
    systemctl restart "$login_unit" || login_failed "does not start"
    say "$login_unit: started"
  fi
  wait_until "$seconds" login_answers || login_failed "does not answer after $seconds s: expected that this host reaches $login_issuer, and trusts its certificate (trustedCertificates)"
}

runs_this_login() {
  [ "$(fingerprint /opt/oauth2proxy "/etc/systemd/system/$login_unit.service" "$login_folder"/{oauth2-proxy.toml,authorities.pem})" = "$(cat "/run/$login_unit/fingerprint" 2>/dev/null || true)" ]
}

# Only after it has read from the issuer where people log in, and with which keys tokens are signed.
login_answers() { curl -fs -o /dev/null --max-time 5 --unix-socket "$login_socket" http://localhost/ping; }

login_failed() {
  journalctl -u "$login_unit" -n 20 --no-pager -o cat >&2 || true
  die "$login_unit $1; the end of its log is above, the rest in \`journalctl -u $login_unit\`"
}

check_login() {
  check_directory "$login_folder" 750 "root:$login_unit"
  systemctl is-enabled -q "$login_unit" 2>/dev/null || differs "$login_unit" "is not enabled: it will not start at the next boot"
  if ! systemctl is-active -q "$login_unit"; then
    differs "$login_unit" "is not running"
  elif ! runs_this_login; then
    differs "$login_unit" "runs with another unit, configuration or version than is installed"
  elif ! login_answers; then
    differs "$login_unit" "does not answer"
  fi
}
