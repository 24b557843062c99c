# shellcheck shell=bash disable=SC2154
# Installs the certificates of a host, with the keys of request.sh: in a folder for each circle a key store, a trust store
# and the same as PEM, and the options of Flink with the stores' password. Prints a hash of what is public.
# Values: folder, circles, owned_by and mode (of what is secret), options (keys of Flink's whose value is the password), ends
# (when the certificates expire), authority (the number of the one that signed them; 0: not of the stack), notice_seconds
# (before that is reported), program (the path of IdentityStores.java).
# Files: program, and declared/CIRCLE/certificate.pem (with its authority's) and authorities.pem in the folder.

java=/opt/java/bin/java
stores=(keystore.p12 truststore.p12 identity.pem)

apply() {
  declares tree "$folder"
  write_files
  if ! complete; then
    install_stores
  elif [ ! -e "$folder/valid" ]; then
    # An earlier version of this step made none
    note_end 0
  fi
  report "tls"
  public
}

# note_end TIME: a daemon that starts after this TIME, in seconds since 1970, has certificates that are valid until $ends, of
# this authority. service.sh and probe.sh read it.
note_end() {
  { tail -n 9 "$folder/valid" 2>/dev/null || true; echo "$1 $(date -d "$ends" +%s) $authority"; } >"$folder/valid.new"
  mv -f "$folder/valid.new" "$folder/valid"
}

declared() { for circle in "${circles[@]}"; do cat "$folder/declared/$circle/certificate.pem" "$folder/declared/$circle/authorities.pem"; done; }

public() { declared | sha256sum | cut -c1-16; }

# What the stores are made from, so that an interrupted run makes them again.
origin() { { declared && cat "$folder"/next/*.p12 "$program" && echo "$owned_by $mode ${options[*]}"; } | sha256sum | cut -c1-16; }

complete() { [ "$(cat "$folder/installed" 2>/dev/null || true)" = "$(origin)" ]; }

install_stores() {
  local work=$folder/installing circle file said
  rm -rf "$work"
  install -d -m 0700 "$work"
  cp -r "$folder/declared/." "$folder/next/." "$work/"
  said=$(umask 077 && "$java" "${short_lived[@]}" "$program" "$work" "${circles[@]}" 2>&1) || die "tls: $said"
  for circle in "${circles[@]}"; do
    install -d -m 0750 -o root -g "${owned_by#*:}" "$folder/$circle"
    for file in "${stores[@]}"; do place "$work/$circle/$file" "$folder/$circle/$file"; done
    install -m 0644 "$work/$circle/authorities.pem" "$folder/$circle/.new"
    mv -f "$folder/$circle/.new" "$folder/$circle/authorities.pem"
  done
  if [ "${#options[@]}" -gt 0 ]; then
    (umask 077 && printf "%s: $(cat "$work/password")\n" "${options[@]}" >"$work/options.yaml")
    place "$work/options.yaml" "$folder/options.yaml"
  fi
  note_end "$(date +%s)"
  # Last
  origin >"$folder/installed"
  rm -rf "$work"
  say "tls: installed certificates that are valid until $ends"
}

# place FILE PATH: moves it there, for its owner only.
place() {
  chown "$owned_by" "$1"
  chmod "$mode" "$1"
  mv -f "$1" "$2"
}

check() {
  local circle file
  declares tree "$folder"
  files_differ
  for circle in "${circles[@]}"; do
    for file in "${stores[@]}"; do check_secret "$folder/$circle/$file"; done
  done
  [ "${#options[@]}" -eq 0 ] || check_secret "$folder/options.yaml"
  complete || differs "$folder/installed" "the key stores were not made from these certificates and keys"
  check_end "$folder/declared" "$ends" "$notice_seconds" "\`up\` renews its certificates"
}

check_secret() {
  if [ -e "$1" ]; then
    expect "mode and owner of $1" "${mode#0}:$owned_by" "$(stat -c %a:%U:%G "$1")"
  else
    differs "$1" "is missing"
  fi
}
