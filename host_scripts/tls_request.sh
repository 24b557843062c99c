# shellcheck shell=bash disable=SC2154
# The key of a host's daemon for TLS. It is created here and never leaves the host; the request for its certificate is
# printed. The daemon uses the earlier key until tls.sh has the certificate.
# Values: user (of the daemon), folder, names (of the host, as keytool takes them), period (another one needs another key).

keytool=/opt/java/bin/keytool

apply() {
  # It stays when TLS is switched off: until the rollout, daemons may still start with it
  declares tree "$folder"
  install -d -m 0750 -o root -g "$user" "$folder"
  if ! requested; then request; fi
  cat "$folder/request.pem"
}

requested() { [ "$(cat "$folder/requested" 2>/dev/null || true)" = "$names $period" ]; }

request() {
  local work=$folder/requesting
  rm -rf "$work"
  install -d -m 0700 "$work"
  # Also in options.yaml: with a letter first no number in YAML
  (umask 077 && echo "p$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')" >"$work/password")
  # -groupname, which newer ones prefer, is unknown to Java 11
  key -genkeypair -keyalg EC -keysize 256 -dname "CN=$host,O=Flink" -storetype PKCS12
  key -certreq -ext "san=$names" -file "$work/request.pem"
  # keytool's older name in front, which Pulumi's provider refuses (RFC 7468, section 7)
  sed -i 's/ NEW CERTIFICATE REQUEST/ CERTIFICATE REQUEST/' "$work/request.pem"
  mv -f "$work/password" "$folder/next.password"
  mv -f "$work/key.p12" "$folder/next.p12"
  mv -f "$work/request.pem" "$folder/request.pem"
  # Last: only a complete request is one
  echo "$names $period" >"$folder/requested"
  rm -rf "$work"
  say "tls: created a key"
}

# key ARGUMENT...: keytool, without what it says of its own defaults.
key() {
  local said
  said=$(umask 077 && "$keytool" "$@" -alias host -keystore "$folder/requesting/key.p12" -storepass:file "$folder/requesting/password" 2>&1) ||
    die "tls: keytool $1: $said"
}

check() {
  declares tree "$folder"
  check_directory "$folder" 750 "root:$user"
  requested || differs "$folder/requested" "the key is missing, or was created for another name or period"
}
