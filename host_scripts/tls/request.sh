# shellcheck shell=bash disable=SC2154
# The keys of a host for TLS, one for each circle. They are created here and never leave the host; the requests for their
# certificates are printed. Daemons use the earlier keys until identity.sh has the certificates.
# Values: group (that may enter the folder), folder, circles, names (of the host, as keytool takes them), period (another
# one needs other keys).

keytool=/opt/java/bin/keytool

apply() {
  # It stays when TLS is switched off: until the rollout, daemons may still start with it
  declares tree "$folder"
  install -d -m 0750 -o root -g "$group" "$folder"
  if ! requested; then request; fi
  cat "$folder/next/requests.pem"
}

asked() { echo "$names $period ${circles[*]}"; }

requested() { [ "$(cat "$folder/next/requested" 2>/dev/null || true)" = "$(asked)" ]; }

request() {
  local work=$folder/requesting circle
  rm -rf "$work"
  install -d -m 0700 "$work"
  # Also in options.yaml: with a letter first no number in YAML
  (umask 077 && echo "p$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')" >"$work/password")
  for circle in "${circles[@]}"; do
    # -groupname, which newer ones prefer, is unknown to Java 11
    key "$circle" -genkeypair -keyalg EC -keysize 256 -dname "CN=$host,O=Flink" -storetype PKCS12
    key "$circle" -certreq -ext "san=$names" -file "$work/request.pem"
    # keytool's older name in front, which Pulumi's provider refuses (RFC 7468, section 7)
    sed 's/ NEW CERTIFICATE REQUEST/ CERTIFICATE REQUEST/' "$work/request.pem" >>"$work/requests.pem"
  done
  rm "$work/request.pem"
  asked >"$work/requested"
  # Only a complete folder has this name
  rm -rf "$folder/next"
  mv -T "$work" "$folder/next"
  say "tls: created ${#circles[@]} keys"
}

# key CIRCLE ARGUMENT...: keytool, without what it says of its own defaults.
key() {
  local circle=$1 said
  shift
  said=$(umask 077 && "$keytool" "${short_lived[@]/#/-J}" "$@" -alias host -keystore "$folder/requesting/$circle.p12" -storepass:file "$folder/requesting/password" 2>&1) ||
    die "tls: keytool $1: $said"
}

check() {
  declares tree "$folder"
  check_directory "$folder" 750 "root:$group"
  requested || differs "$folder/next/requested" "the keys are missing, or were created for another name or period"
}
