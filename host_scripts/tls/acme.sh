# shellcheck shell=bash disable=SC2154
# The front door's certificate by ACME, which Caddy gets and renews. For frontdoor.sh, and for the script that writes when it
# expires as a metric.
# Values besides those of frontdoor.sh: acme_name (which the server signs), directory (its URL), acme_seconds (until it has
# signed), acme_watch (the unit that writes the metric, and its timer; empty: none), acme_metric (the file with it).

run_acme() {
  wait_until "$acme_seconds" certified ||
    program_failed "$unit" "has no certificate for $acme_name from $directory after $acme_seconds s, and goes on asking for one. The server must reach port $port of that name"
  [ -n "$acme_watch" ] || return 0
  at_boot "$acme_watch.timer" "$acme_watch.service"
  # A running timer would keep the times of its unit's earlier text
  if [ ${#changed[@]} -gt 0 ]; then systemctl restart "$acme_watch.timer"; else systemctl start "$acme_watch.timer"; fi
}

# It would last without what writes it
declare_acme() { [ -z "$acme_watch" ] || declares file "$acme_metric"; }

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

# acme_newest: until when the newest certificate is valid, how many seconds before that it is reported, and its file; nothing
# if there is none. Caddy renews one when a third of its time is left: one with less than a quarter could not be renewed.
acme_newest() {
  local file from until newest="" began=0 last=0
  # One for each ACME server that there was
  while IFS= read -r file; do
    read -r from until < <(acme_valid "$file")
    if [ "${until:-0}" -gt "$last" ]; then newest=$file began=$from last=$until; fi
  done < <(find "${storage:-/var/lib/$user}" -path "*/$acme_name/$acme_name.crt")
  [ -z "$newest" ] || echo "$last $(((last - began) / 4)) $newest"
}

check_acme() {
  if certified; then
    check_acme_end
  else
    differs "$unit" "has no certificate for $acme_name from $directory"
  fi
  [ -z "$acme_watch" ] || systemctl is-active -q "$acme_watch.timer" || differs "$acme_watch.timer" "is not running"
}

check_acme_end() {
  local until notice file
  read -r until notice file < <(acme_newest) || return 0
  check_end "$file" "$(date -u -d "@$until" +"%Y-%m-%d %H:%M UTC")" "$notice" \
    "$directory does not renew it: \`journalctl -u $unit\` says why"
}
