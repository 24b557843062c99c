# shellcheck shell=bash disable=SC2154
# Hadoop's client for Flink: links to its jars by names without a version, and its configuration. An earlier release's
# links stay while the release is there, because a daemon may still run with them.
# Values: home (of the release), jars (the folder of the links), needed (names of jars), keytab (its path; empty without
# Kerberos). Files: Hadoop's configuration; on hosts that use the storage also the keytab in base64, as $keytab.base64.

# jar_of NAME: of the client's folder, or of the libraries.
jar_of() {
  local place
  for place in "$home"/share/hadoop/{client,common/lib}/"$1"-[0-9]*.jar; do
    [ ! -e "$place" ] || { echo "$place" && return; }
  done
}

apply() {
  local name jar folder
  declare_made
  write_files
  write_keytab
  mkdir -p "$jars"
  for name in "${needed[@]}"; do
    jar=$(jar_of "$name")
    [ -n "$jar" ] || die "$home has no share/hadoop/*/$name-VERSION.jar: expected a release of Apache Hadoop 3 (hadoopUrl, hadoopHome)"
    [ "$(readlink "$jars/$name.jar" || true)" = "$jar" ] || ln -sfn "$jar" "$jars/$name.jar"
  done
  for folder in "${jars%/*}"/*/; do
    [ -e "$folder/${needed[0]}.jar" ] || rm -rf "$folder"
  done
  report hadoop
}

# What this step makes of its files.
declare_made() {
  declares tree "${jars%/*}"
  [ -z "$keytab" ] || declares file "$keytab"
}

write_keytab() {
  [ -n "$keytab" ] && [ -e "$keytab.base64" ] || return 0
  base64 -d "$keytab.base64" | cmp -s - "$keytab" || (umask 077 && base64 -d "$keytab.base64" >"$keytab.new" &&
    chown "$(stat -c %U:%G "$keytab.base64")" "$keytab.new" && mv -f "$keytab.new" "$keytab")
}

check() {
  local name
  declare_made
  # shellcheck disable=SC2034  # lib.sh uses it
  secret=true
  files_differ
  [ -z "$keytab" ] || [ ! -e "$keytab.base64" ] || base64 -d "$keytab.base64" | cmp -s - "$keytab" || differs "$keytab" "differs from $keytab.base64"
  for name in "${needed[@]}"; do
    [ -e "$jars/$name.jar" ] || differs "$jars/$name.jar" "is missing, or its jar in $home"
  done
}
