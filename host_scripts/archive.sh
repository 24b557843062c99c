# shellcheck shell=bash disable=SC2154
# Installs a release: /opt/NAME-VERSION, and /opt/NAME pointing at it. Values: name, version, url, checksum, check (a file
# that it must have).

apply() {
  fetch_release "$name" "$version" "$url" "$checksum" "$check"
  use_release "$name" "$version"
}

check() { check_release "$name" "$version" "$check"; }
