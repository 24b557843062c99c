# shellcheck shell=bash disable=SC2154
# Installs a release: /opt/NAME-VERSION, and the link /opt/NAME to it. Values: name, version, url, checksum, check (a file
# that it must contain).

apply() {
  fetch_release "$name" "$version" "$url" "$checksum" "$check"
  use_release "$name" "$version"
  forget_releases "$name"
}

check() { check_release "$name" "$version" "$check"; }
