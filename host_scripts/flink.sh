# shellcheck shell=bash disable=SC2154
# Installs Flink: a release with /etc/flink as its configuration, and the file system plugin for the storage.
# Values: name (flink), version, url, checksum, check, plugin.

apply() {
  fetch_release flink "$version" "$url" "$checksum" "$check"
  local home=/opt/flink-$version jar
  # The configuration outlives versions, and scripts of every version find it
  if [ ! -L "$home/conf" ]; then
    [ ! -d "$home/conf" ] || mv -T "$home/conf" "$home/conf.shipped"
    ln -sfn /etc/flink "$home/conf"
  fi
  jar=$plugin-$version.jar
  if [ ! -e "$home/plugins/$plugin/$jar" ]; then
    [ -e "$home/opt/$jar" ] || die "storagePlugin $plugin is not part of Flink $version: opt/$jar is missing"
    install -D -m 0644 "$home/opt/$jar" "$home/plugins/$plugin/.$jar"
    mv "$home/plugins/$plugin/.$jar" "$home/plugins/$plugin/$jar"
    say "flink: plugin $plugin added"
  fi
  # Two plugins for s3:// would conflict
  find "$home/plugins" -maxdepth 1 -name 'flink-s3-fs-*' ! -name "$plugin" -exec rm -rf {} +
  # Last: a daemon that restarts in the meantime must find a version that works
  use_release flink "$version"
  forget_releases flink
}

check() {
  local home=/opt/flink-$version jar=$plugin-$version.jar other
  check_release flink "$version" "$check"
  check_link "$home/conf" /etc/flink
  cmp -s "$home/opt/$jar" "$home/plugins/$plugin/$jar" ||
    differs "$home/plugins/$plugin/$jar" "is missing, or differs from the release's jar in opt"
  for other in "$home"/plugins/flink-s3-fs-*; do
    [ ! -e "$other" ] || [ "${other##*/}" = "$plugin" ] || differs "$other" "is installed in addition to $plugin"
  done
}
