# shellcheck shell=bash disable=SC2154
# Installs oauth2-proxy as archive.sh installs a release, whose values it has. Each of its archives has a file of its own with
# the checksum, named after the processor.

apply() {
  checksum=${checksum//\{goarch\}/$(uname -m | sed 's/^x86_64$/amd64/; s/^aarch64$/arm64/')}
  fetch_release "$name" "$version" "$url" "$checksum" "$check"
  use_release "$name" "$version"
  forget_releases "$name"
}

check() { check_release "$name" "$version" "$check"; }
