# shellcheck shell=bash disable=SC2154
# Installs a release: /opt/NAME-VERSION, and /opt/NAME pointing at it. Values: name, version, url, checksum, check.

apply() {
  install_archive "$name" "$version" "$url" "$checksum"
  "/opt/$name/$check" >/dev/null 2>&1 || [ -e "/opt/$name/$check" ] || die "$url is not what it should be: /opt/$name/$check is not there"
}

remove() { remove_archive "$name"; }
