# shellcheck shell=bash disable=SC2154
# Installs the certificate of a host's daemon, with the key of tls_request.sh: its key store and trust store, and the
# options with their passwords, which only the daemon's user can read. Prints a hash of what is public.
# Values: user (of the daemon), folder, ends (when the certificate expires), warn_days (before that is reported).
# Files: certificate.pem (with its authority's), authorities.pem.

keytool=/opt/java/bin/keytool

apply() {
  declares tree "$folder"
  write_files
  if ! complete; then make_stores; fi
  report "tls"
  public
}

public() { cat "$folder/certificate.pem" "$folder/authorities.pem" | sha256sum | cut -c1-16; }

# What the stores are made from, so that an interrupted run makes them again.
origin() { cat "$folder/certificate.pem" "$folder/authorities.pem" "$folder/next.p12" | sha256sum | cut -c1-16; }

complete() { [ "$(cat "$folder/installed" 2>/dev/null || true)" = "$(origin)" ]; }

make_stores() {
  local work=$folder/installing file number=0
  rm -rf "$work"
  install -d -m 0700 "$work"
  install -m 0600 "$folder/next.password" "$work/password"
  install -m 0600 "$folder/next.p12" "$work/keystore.p12"
  store keystore -importcert -alias host -file "$folder/certificate.pem"
  awk -v prefix="$work/authority-" '/BEGIN CERTIFICATE/ { n++ } { print > (prefix n ".pem") }' "$folder/authorities.pem"
  for file in "$work"/authority-*.pem; do
    number=$((number + 1))
    store truststore -importcert -alias "authority-$number" -file "$file" -storetype PKCS12
  done
  options >"$work/options.yaml"
  for file in keystore.p12 truststore.p12 options.yaml; do
    chown "$user:$user" "$work/$file"
    chmod 0600 "$work/$file"
    mv -f "$work/$file" "$folder/$file"
  done
  # Last
  origin >"$folder/installed"
  rm -rf "$work"
  say "tls: installed a certificate that is valid until $ends"
}

options() {
  local password
  password=$(cat "$folder/installing/password")
  printf 'security.ssl.internal.%s: %s\n' keystore-password "$password" key-password "$password" truststore-password "$password"
}

# store NAME ARGUMENT...: keytool with a store in the work folder.
store() {
  local name=$1 said
  shift
  said=$(umask 077 && "$keytool" "$@" -noprompt -keystore "$folder/installing/$name.p12" -storepass:file "$folder/installing/password" 2>&1) ||
    die "tls: keytool $1 of $name: $said"
}

check() {
  local left file
  declares tree "$folder"
  files_differ
  for file in keystore.p12 truststore.p12 options.yaml; do
    if [ -e "$folder/$file" ]; then
      expect "mode and owner of $folder/$file" "600:$user:$user" "$(stat -c %a:%U:%G "$folder/$file")"
    else
      differs "$folder/$file" "is missing"
    fi
  done
  complete || differs "$folder/installed" "the key store was not made from this certificate and key"
  left=$((($(date -d "$ends" +%s) - $(date +%s)) / 86400))
  [ "$left" -ge "$warn_days" ] || differs "$folder/certificate.pem" "expires on $ends: \`up\` renews it"
}
