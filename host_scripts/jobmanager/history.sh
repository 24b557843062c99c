# shellcheck shell=bash disable=SC2154
# Keeps Flink's HistoryServer running, beside a JobManager. Another release, configuration, certificate or key restarts it.
# Values besides those of recorder.sh: unit, folder (of its configuration), conf (where it reads it), entrypoint (its class),
# inputs (files whose changes restart it), url (that answers when it is ready), tls (the folder of the host's identity for
# that; empty: no TLS), seconds (until it answers), wants (what is not in these texts and restarts it: the step runs again).
# Files: the unit, and the configuration. Uses program.sh, recorder.sh.

recipe=1 # increase it when `make_start` makes something else of the same configuration

apply() {
  declare_all
  install -d -m 0755 "$folder"
  write_files
  if ! is_made; then make_start; fi
  keep_running "$unit" runs_the_inputs
  wait_until "$seconds" answers || program_failed "$unit" "does not answer at $url after $seconds s"
}

declare_all() {
  declares tree "$folder"
  declares tree "/var/cache/$unit"
}

digest() {
  { printf '%s\n' "$recipe" "$home" "$java" "$conf" ${storage_environment[@]+"${storage_environment[@]}"} && cat "$folder/config.yaml"; } |
    sha256sum | cut -c1-12
}

# is_made: `start` is what `make_start` makes of this configuration, and nobody has changed it since.
is_made() {
  [ -e "$folder/start" ] &&
    [ "$(head -n 1 "$folder/start")" = "# $(digest) $(tail -n +2 "$folder/start" | sha256sum | cut -c1-12)" ]
}

# The command line that Flink's script makes of the configuration, as a script. The unit runs it with the configuration in
# $conf.
make_start() {
  local work word text said
  # Programs in /tmp may not run (noexec)
  rm -rf /usr/local/lib/flink/.history.*
  work=$(mktemp -d /usr/local/lib/flink/.history.XXXXXX)
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$work'" EXIT
  install -d -m 0755 "$work" "$work/conf"
  cp "$folder/log4j-console.properties" "$work/conf/"
  with_java "$work" "$folder/config.yaml" >"$work/conf/config.yaml"
  if ! said=$(record "$work" "$work/conf" historyserver.sh "$entrypoint"); then
    tail -n 20 <<<"$said" >&2
    die "$unit: Flink's own historyserver.sh cannot derive the command line from $folder/config.yaml; its output is above"
  fi
  text=$(
    echo "# What ${home##*/}/bin/historyserver.sh makes of config.yaml beside this. Managed by Pulumi: changes are overwritten."
    exported "$work" | sed "s|$work/conf|$conf|g; s/^/export /"
    printf 'exec %q' "$java/bin/java"
    while IFS= read -r -d '' word; do printf ' \\\n  %q' "${word//"$work/conf"/$conf}"; done < <(from_record "$work" argv)
  )
  # Declared with its folder
  put_file "$folder/start" 0755 root:root < <(echo "# $(digest) $(sha256sum <<<"$text" | cut -c1-12)" && echo "$text")
  rm -rf "$work"
  trap - EXIT
}

runs_the_inputs() { [ "$(fingerprint "${inputs[@]}")" = "$(cat "/run/$unit/fingerprint" 2>/dev/null || true)" ]; }

answers() {
  local options=()
  [ -z "$tls" ] || options=(--cert "$tls/identity.pem" --key "$tls/identity.pem" --cacert "$tls/authorities.pem")
  curl -fs -o /dev/null --max-time 5 --noproxy '*' "${options[@]}" "$url"
}

check() {
  local found
  declare_all
  found=$(files_differ)
  if [ -n "$found" ]; then
    echo "$found"
  elif ! is_made; then
    differs "$folder/start" "is missing, or has other contents than Flink's script has made of the configuration"
  fi
  check_directory "$folder" 755 root:root
  check_program "$unit" answers "does not answer at $url" runs_the_inputs || true
}
