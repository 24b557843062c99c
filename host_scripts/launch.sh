# shellcheck shell=bash disable=SC2154
# Writes Flink's configuration, and creates the daemon's launch from it: an immutable folder with a copy of the
# configuration and the java command line that Flink's own start scripts derive from it. They run several JVMs for this:
# once here instead of at every start. The link `expected` points at the launch; service.sh and rollout.sh decide what runs.
# Values: user, script (bin/NAME.sh), arguments (of the script), entrypoint (the daemon's class), home (of Flink's
# release), java (the JDK), plugin, keep (how many launches are kept, so that a rollout can go back).
# With a storage that Flink's scripts have to know of also: storage_environment (NAME=VALUE, of the scripts).
# Files: config.yaml and the rest of /etc/flink. With secret options also: secrets (true). With TLS also: tls_options (a
# file with options that contain its passwords).

launches=/var/lib/flink/launch
recipe=3 # increase it when this script creates something else from the same configuration

apply() {
  local launch
  remember_files
  write_files
  report configuration
  launch=$launches/$(digest)
  if [ ! -e "$launch/start" ]; then make_launch "$launch"; fi
  point expected "$launch"
  forget_old_launches
}

# What Flink's scripts refuse must not stay: nothing would write the earlier files again, because their step is the same as
# in the state once the user takes the refused setting back.
remember_files() {
  before=$(mktemp -d)
  # shellcheck disable=SC2064  # the path of now
  trap "rm -rf '$before'" EXIT
  # Other steps write here at the same time: not their files that are not complete yet (put_file)
  [ ! -e /etc/flink/config.yaml ] ||
    find /etc/flink -maxdepth 1 -type f ! -name credentials.env ! -name '*.??????' -exec cp -a -t "$before" {} +
}

take_back() {
  local path
  for path in "${changed[@]}"; do
    # Another folder's file is the same for all configurations
    if [ "${path%/*}" = /etc/flink ] && [ -e "$before/${path##*/}" ]; then
      cp -a "$before/${path##*/}" "$path.before"
      mv -f "$path.before" "$path"
    fi
  done
}

# The inputs of a launch. The same digest is the same launch, so that going back needs no new one.
digest() {
  {
    [ -z "${secrets:-}" ] || echo secrets
    [ -z "${tls_options:-}" ] || echo "$tls_options"
    [ -z "${storage_environment[*]:-}" ] || printf '%s\n' "${storage_environment[@]}"
    printf '%s\n' "$recipe" "$home" "$java" "$plugin" "$script" "${arguments[@]}"
    cat /etc/flink/config.yaml /etc/flink/log4j-console.properties
  } | sha256sum | cut -c1-12
}

# Replaces the link atomically.
point() {
  [ "$(readlink "$launches/$1" || true)" != "$2" ] || return 0
  ln -sfn "$2" "$launches/.$1"
  mv -fT "$launches/.$1" "$launches/$1"
}

make_launch() {
  local launch=$1 work=$1/work
  rm -rf "$launch"
  mkdir -p "$launch/conf" "$work/bin"
  chmod 0755 "$launch" "$launch/conf"
  cp /etc/flink/log4j-console.properties "$launch/conf/"
  chown "$user" "$work"
  recorder >"$work/bin/java"
  chmod 0755 "$work/bin/java"
  with_java "$work" >"$launch/conf/config.yaml"
  # A login's environment, as systemd sets it: nothing else may influence the command line
  if ! runuser -u "$user" -- env -i PATH="$PATH" HOME="/var/lib/$user" USER="$user" LOGNAME="$user" FLINK_CONF_DIR="$launch/conf" \
    FLINK_PID_DIR="$work/pids" ${storage_environment[@]+"${storage_environment[@]}"} "$home/bin/$script" start-foreground "${arguments[@]}" >"$work/said" 2>&1 || [ ! -s "$work/argv" ]; then
    tail -n 20 "$work/said" >&2
    rm -rf "$launch"
    take_back
    die "Flink's own $script cannot derive the command line from the new /etc/flink/config.yaml, which was not kept; its output is above"
  fi
  with_java "$java" >"$launch/conf/config.yaml"
  # What daemons must have in common to work together: only the rollout changes it, for all at once
  echo "$(basename "$home")${tls_options:++tls}" >"$launch/release"
  echo "$java" >"$launch/java"
  echo "$(basename "$java")-$(basename "$home")-${script%.sh}" >"$launch/classes"
  cp "$work/argv" "$launch/argv"
  environment "$work" >"$launch/environment"
  start_script "$launch" >"$launch/.start"
  chmod -R a+rX "$launch"
  chmod 0755 "$launch/.start"
  rm -rf "$work"
  # Last: a launch with this file is complete
  mv "$launch/.start" "$launch/start"
  say "flink: created the launch ${launch##*/} of ${home##*/}"
}

# The configuration with another JDK: the scripts must run the recorder, and a daemon's launch names its JDK's version.
with_java() { sed "s|^env.java.home: .*|env.java.home: $1|" /etc/flink/config.yaml; }

# Takes the place of `java` for Flink's scripts: runs what they need to derive the command line, and records the daemon's.
recorder() {
  cat <<RECORDER
#!/bin/bash
for word; do
  if [ "\$word" = "$entrypoint" ]; then
    printf '%s\0' "\$@" >"$work/argv"
    env -0 | grep -z '^FLINK_.*_DIR=' >"$work/environment"
    exit 0
  fi
done
# Each script parses the configuration once
flags=(${short_lived[*]})
case " \$* " in
  *-XshowSettings*) exec "$java/bin/java" -XX:-UsePerfData "\$@" ;;
  *" UPDATE_AND_GET_FLINK_CONFIGURATION "*)
    [ -s "$work/parsed" ] || "$java/bin/java" "\${flags[@]}" "\$@" >"$work/parsed" 2>&1 || { cat "$work/parsed"; exit 1; }
    cat "$work/parsed"
    ;;
  *) exec "$java/bin/java" "\${flags[@]}" "\$@" ;;
esac
RECORDER
}

# The directories that Flink's scripts export, except that of the PID file.
environment() {
  local word
  while IFS= read -r -d '' word; do
    case $word in FLINK_PID_DIR=*) continue ;; esac
    printf '%s=%q\n' "${word%%=*}" "${word#*=}"
  done <"$1/environment"
  printf 'JAVA_HOME=%q\n' "$java"
}

# What the unit runs: the recorded command line, one word per line, each quoted for the shell. The JVM uses the class
# archive of an earlier process with this JDK and these jars, if there is one (class_archive.sh). Without an archive that
# fits, it loads the classes from the jars.
start_script() {
  local launch=$1 word archive
  archive=/var/lib/flink/cds/$(cat "$launch/classes").jsa
  echo '#!/bin/bash'
  echo "# What ${home##*/}/bin/$script makes of conf/config.yaml beside this. Managed by Pulumi: another configuration is another launch."
  sed 's/^/export /' "$launch/environment"
  # shellcheck disable=SC2016  # expanded when the daemon starts
  echo 'echo $$ >"$RUNTIME_DIRECTORY/pid"'
  echo 'for ((i = 0; i < 3000; i++)); do [ -e /var/lib/flink/launch/hold ] || break; sleep 0.2; done # rollout.sh'
  printf 'classes=(); [ ! -r %q ] || classes=(-XX:SharedArchiveFile=%q)\n' "$archive" "$archive"
  # shellcheck disable=SC2016
  ! own_configuration || secret_configuration "$launch"
  # shellcheck disable=SC2016
  printf 'exec %q "${classes[@]}"' "$java/bin/java"
  while IFS= read -r -d '' word; do
    # shellcheck disable=SC2016
    if own_configuration && [ "$word" = "$launch/conf" ]; then printf ' \\\n  "$FLINK_CONF_DIR"'; else printf ' \\\n  %q' "$word"; fi
  done <"$launch/argv"
  echo
}

own_configuration() { [ -n "${secrets:-}${tls_options:-}" ]; }

# The daemon reads its configuration from a folder in memory that only its user can read: that of the launch, the secret
# options, which its unit has from /etc/flink/credentials.env, and those of TLS.
secret_configuration() {
  local more=""
  # shellcheck disable=SC2016  # expanded when the daemon starts
  [ -z "${secrets:-}" ] || more+=' && base64 -d <<<"$FLINK_SECRET_CONFIG" >>"$FLINK_CONF_DIR/config.yaml"'
  [ -z "${tls_options:-}" ] || more+=" && cat $tls_options >>\"\$FLINK_CONF_DIR/config.yaml\""
  cat <<SCRIPT
export FLINK_CONF_DIR="\$RUNTIME_DIRECTORY/conf"
(umask 077 && mkdir -p "\$FLINK_CONF_DIR" && cp $1/conf/* "\$FLINK_CONF_DIR/"$more) || exit
unset FLINK_SECRET_CONFIG
SCRIPT
}

forget_old_launches() {
  local launch kept
  kept="$(readlink "$launches/current" || true) $(readlink "$launches/previous" || true) $(readlink "$launches/expected" || true)"
  # shellcheck disable=SC2012  # names of ours, hexadecimal
  for launch in $(ls -td "$launches"/*/ 2>/dev/null | tail -n "+$((keep + 1))"); do
    launch=${launch%/}
    case " $kept " in *" $launch "*) ;; *) [ -L "$launch" ] || rm -rf "$launch" ;; esac
  done
}

check() {
  local launch found
  found=$(files_differ)
  # The drifted configuration would give the digest of another launch, which is not expected either
  [ -z "$found" ] || { echo "$found" && return 0; }
  launch=$launches/$(digest)
  [ -e "$launch/start" ] || differs "$launch" "the launch is missing"
  [ "$(readlink "$launches/expected" || true)" = "$launch" ] || differs "$launches/expected" "points at $(readlink "$launches/expected"), expected $launch"
}
