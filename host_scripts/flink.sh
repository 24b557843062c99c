# shellcheck shell=bash disable=SC2154
# Installs Flink: a release with /etc/flink as its configuration, and the file system plugins for the storage.
# Values: name (flink), version, url, checksum, check, plugin (one or more). For plugins whose Hadoop needs options that
# Flink does not pass on to it also: sites (name of the plugin, core-site.xml, …).

[ -n "${sites+x}" ] || sites=()

apply() {
  fetch_release flink "$version" "$url" "$checksum" "$check"
  local home=/opt/flink-$version each jar
  # The configuration outlives versions, and scripts of every version find it
  if [ ! -L "$home/conf" ]; then
    [ ! -d "$home/conf" ] || mv -T "$home/conf" "$home/conf.shipped"
    ln -sfn /etc/flink "$home/conf"
  fi
  for each in "${plugin[@]}"; do
    jar=$each-$version.jar
    [ ! -e "$home/plugins/$each/$jar" ] || continue
    [ -e "$home/opt/$jar" ] || die "the storage's plugin $each is not part of Flink $version: opt/$jar is missing (flinkUrl)"
    install -D -m 0644 "$home/opt/$jar" "$home/plugins/$each/.$jar"
    mv "$home/plugins/$each/.$jar" "$home/plugins/$each/$jar"
    say "flink: plugin $each added"
  done
  install_sites
  while read -r each; do rm -rf "$each"; done < <(others)
  # Last: a daemon that restarts in the meantime must find a version that works
  use_release flink "$version"
  forget_releases flink
}

# Flink's plugins read their own jars alone, so that the file is in one.
install_sites() {
  local i jar
  for ((i = 0; i < ${#sites[@]}; i += 2)); do
    jar=/opt/flink-$version/plugins/${sites[i]}/hadoop-site.jar
    ! same_site "$jar" "${sites[i + 1]}" || continue
    python3 - "$jar.new" "${sites[i + 1]}" <<'END'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as jar:
    jar.writestr("core-site.xml", sys.argv[2])
END
    chmod 0644 "$jar.new"
    mv -f "$jar.new" "$jar"
  done
}

# same_site JAR TEXT
same_site() {
  [ -e "$1" ] && python3 - "$@" <<'END'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as jar:
    sys.exit(jar.read("core-site.xml").decode() != sys.argv[2])
END
}

# The library's leaves out the plugins for S3 alone.
list_release() {
  (cd "$1" && find . ! -type d ! -path ./.installed-by-pulumi ! -path './conf*' ! -path './plugins/flink-*-fs-*' \
    -printf '%P %s %T@\n' | LC_ALL=C sort)
}

# Two plugins for s3:// would conflict. Without one of ours, another one is somebody's for a job.
others() {
  local each
  for each in "/opt/flink-$version"/plugins/flink-s3-fs-*; do
    [ -e "$each" ] || continue
    case " ${plugin[*]} " in *" ${each##*/} "*) ;; *" flink-s3-fs-"*) echo "$each" ;; esac
  done
}

check() {
  local home=/opt/flink-$version each jar
  check_release flink "$version" "$check"
  check_link "$home/conf" /etc/flink
  for each in "${plugin[@]}"; do
    jar=$each-$version.jar
    cmp -s "$home/opt/$jar" "$home/plugins/$each/$jar" ||
      differs "$home/plugins/$each/$jar" "is missing, or differs from the release's jar in opt"
  done
  local i
  for ((i = 0; i < ${#sites[@]}; i += 2)); do
    jar=$home/plugins/${sites[i]}/hadoop-site.jar
    same_site "$jar" "${sites[i + 1]}" || differs "$jar" "is missing, or has another core-site.xml"
  done
  while read -r each; do differs "$each" "is installed in addition to ${plugin[*]}"; done < <(others)
}
