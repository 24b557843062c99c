# shellcheck shell=bash disable=SC2154
# Writes Flink's configuration, and creates the daemon's launch from it: an immutable folder with a copy of the
# configuration and the java command line that Flink's own start scripts derive from it (recorder.sh). The link `expected`
# points at the launch; service.sh and rollout.sh decide what runs.
# The launches are below the home of the daemons' user, who runs them: that user puts them there (as_holder).
# Values besides those of recorder.sh: script (bin/NAME.sh), arguments (of the script), entrypoint (the daemon's class),
# plugin, keep (how many launches are kept, so that a rollout can go back).
# Files: config.yaml and the rest of /etc/flink. With secret options also: secrets (true). With TLS also: tls_options (a
# file with options that contain its passwords).

launches=/var/lib/flink/launch
archive_seconds=90
recipe=3 # increase it when this script creates something else from the same configuration

apply() {
  local launch
  # An earlier run may have been killed
  as_holder "$launches" rm -f "$launches/ahead"
  remember_files
  write_files
  report configuration
  launch=$launches/$(digest)
  if [ ! -e "$launch/start" ]; then make_launch "$launch"; fi
  point expected "$launch"
  forget_old_launches
  archive_classes
}

# Another release or JDK has other classes. Their archive is made while the old daemon still runs: jobs wait for the start
# that follows. A machine that is busy, or has no memory for it, does without.
archive_classes() {
  local next
  next=$(cat "$launches/expected/classes")
  if [ ! -e "$launches/current/classes" ] || [ "$next" = "$(cat "$launches/current/classes")" ]; then return 0; fi
  systemctl is-active -q "flink-${script%.sh}" || return 0
  say "flink: archiving the classes of $next while the daemon still runs, for at most $archive_seconds s"
  as_holder "$launches" touch "$launches/ahead"
  # It may be busy with those of now
  timeout "$archive_seconds" systemctl restart flink-classes.service || systemctl stop flink-classes.service || true
  as_holder "$launches" rm -f "$launches/ahead"
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
  # shellcheck disable=SC2016  # that shell expands it
  as_holder "$launches" sh -euc 'ln -sfn "$2" "$1.new" && mv -fT "$1.new" "$1"' sh "$launches/$1" "$2"
}

# Made where only root writes, since what runs in Flink's scripts, and jobs beside them, could change it meanwhile.
make_launch() {
  local launch=$1 made work said
  # Programs in /tmp may not run (noexec)
  rm -rf /usr/local/lib/flink/.launch.*
  made=$(mktemp -d /usr/local/lib/flink/.launch.XXXXXX)
  # shellcheck disable=SC2064  # the folders of now
  trap "rm -rf '$made' '$before'" EXIT
  work=$made/work
  install -d -m 0755 "$made" "$made/conf"
  cp /etc/flink/log4j-console.properties "$made/conf/"
  with_java "$work" /etc/flink/config.yaml >"$made/conf/config.yaml"
  if ! said=$(record "$work" "$made/conf" "$script" "$entrypoint" "${arguments[@]}"); then
    tail -n 20 <<<"$said" >&2
    take_back
    die "Flink's own $script cannot derive the command line from the new /etc/flink/config.yaml, which was not kept; its output is above"
  fi
  with_java "$java" /etc/flink/config.yaml >"$made/conf/config.yaml"
  # What daemons must have in common to work together: only the rollout changes it, for all at once
  echo "$(basename "$home")${tls_options:++tls}" >"$made/release"
  echo "$java" >"$made/java"
  echo "$(basename "$java")-$(basename "$home")-${script%.sh}" >"$made/classes"
  from_record "$work" argv | sed -z "s|$made/conf|$launch/conf|g" >"$made/argv"
  exported "$work" | sed "s|$made/conf|$launch/conf|g" >"$made/environment"
  # The user may change what is in it: nothing goes through all of `made` while it is there
  rm -rf "$work"
  start_script "$launch" "$made" >"$made/start"
  chmod -R a+rX "$made"
  chmod 0755 "$made/start"
  put_launch "$made" "$launch"
  rm -rf "$made"
  say "flink: created the launch ${launch##*/} of ${home##*/}"
}

# put_launch FROM TO: a launch is there completely, or not at all. What was left half made before may be root's.
put_launch() {
  rm -rf "$2" "$2.new"
  # shellcheck disable=SC2016  # that shell expands it
  as_holder "$launches" sh -euc 'umask 022 && cp -rT "$1" "$2.new" && mv -T "$2.new" "$2"' sh "$1" "$2"
}

# start_script LAUNCH MADE: what the unit runs of the launch, which is made in the folder MADE: the recorded command line,
# one word per line, each quoted for the shell. The JVM uses the class archive of an earlier process with this JDK and these
# jars, if there is one (class_archive.sh). Without an archive that fits, it loads the classes from the jars.
start_script() {
  local launch=$1 made=$2 word archive
  archive=/var/lib/flink/cds/$(cat "$made/classes").jsa
  echo '#!/bin/bash'
  echo "# What ${home##*/}/bin/$script makes of conf/config.yaml beside this. Managed by Pulumi: another configuration is another launch."
  sed 's/^/export /' "$made/environment"
  # shellcheck disable=SC2016  # expanded when the daemon starts
  echo 'echo $$ >"$RUNTIME_DIRECTORY/pid"'
  # shellcheck disable=SC2016
  echo 'while [ -n "$(find /var/lib/flink/launch/hold -mmin -10 2>/dev/null)" ]; do sleep 0.2; done # rollout.sh'
  printf 'classes=(); [ ! -r %q ] || classes=(-XX:SharedArchiveFile=%q)\n' "$archive" "$archive"
  # shellcheck disable=SC2016
  ! own_configuration || secret_configuration "$launch"
  # shellcheck disable=SC2016
  printf 'exec %q "${classes[@]}"' "$java/bin/java"
  while IFS= read -r -d '' word; do
    # shellcheck disable=SC2016
    if own_configuration && [ "$word" = "$launch/conf" ]; then printf ' \\\n  "$FLINK_CONF_DIR"'; else printf ' \\\n  %q' "$word"; fi
  done <"$made/argv"
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
  while IFS= read -r launch; do
    launch=${launch%/}
    case " $kept " in *" $launch "*) continue ;; esac
    # Those of an earlier version of this program are root's
    if [[ ${launch##*/} =~ ^[0-9a-f]{12}(\.new)?$ ]] && [ ! -L "$launch" ]; then rm -rf "$launch"; fi
  done < <(ls -td "$launches"/*/ 2>/dev/null | tail -n "+$((keep + 1))")
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
