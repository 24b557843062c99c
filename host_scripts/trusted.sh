# shellcheck shell=bash disable=SC2154
# Makes the trust store of JVMs from the certificates of the JDK and those of the stack. Prints a hash of what is in it.
# Values: folder, store (in it), java (the JDK). Files: certificates.pem.

apply() {
  declares tree "$folder"
  write_files
  if ! complete; then make_store; fi
  report "trusted certificates"
  origin
}

# What the store is made from, so that an interrupted run makes it again.
origin() { cat "$java/lib/security/cacerts" "$folder/certificates.pem" | sha256sum | cut -c1-16; }

complete() { [ -e "$store" ] && [ "$(cat "$folder/installed" 2>/dev/null || true)" = "$(origin)" ]; }

make_store() {
  local work=$folder/installing file number=0
  rm -rf "$work"
  install -d -m 0755 "$work"
  # JKS: a JVM reads it without a password, and PKCS12 not on all versions
  tool -importkeystore -srckeystore "$java/lib/security/cacerts" -srcstorepass changeit -deststoretype JKS \
    -destkeystore "$work/store" -deststorepass changeit
  awk -v prefix="$work/one-" '/BEGIN CERTIFICATE/ { n++ } { print > (prefix n ".pem") }' "$folder/certificates.pem"
  for file in "$work"/one-*.pem; do
    number=$((number + 1))
    tool -importcert -alias "stack-$number" -file "$file" -keystore "$work/store" -storepass changeit
  done
  chmod 0644 "$work/store"
  mv -f "$work/store" "$store"
  # Last
  origin >"$folder/installed"
  rm -rf "$work"
  say "trusted certificates: made $store with $number more than the JDK has"
}

# tool ARGUMENT...: keytool, which warns of the format.
tool() {
  local said
  said=$("$java/bin/keytool" "${short_lived[@]/#/-J}" "$@" -noprompt 2>&1) || die "trusted certificates: keytool $1: $said"
}

check() {
  declares tree "$folder"
  files_differ
  complete || differs "$store" "is missing, or was not made from these certificates and this JDK"
}
