# shellcheck shell=bash disable=SC2154  # `host` and what else a step needs is set by components/remote.py
# What every step uses. Each step defines apply and remove; the last line of the text calls main.

say() { echo "$host: $*" >&2; }

die() {
  echo "$host: $*" >&2
  exit 1
}

# main apply|remove ADDRESS: the address is the one that the SSH connection comes from.
main() {
  # shellcheck disable=SC2034  # members.sh uses it
  client=${2:-}
  # `timeout` ends the step by it; without this the message would name neither the host nor the step
  trap 'die "step $step was ended: it takes too long, or this up was cancelled; running up again goes on"' TERM
  # An `up` that was cancelled leaves its script running (sudo has another user's processes, which sshd may not end)
  install -d -m 0700 /run/flink-steps
  exec 9>"/run/flink-steps/${step%.sh}${name:+-$name}"
  flock -w 60 9 || die "an earlier run of step $step is still under way; see \`ps\` on the host, and run up again when it has ended"
  case "${1:-}" in
    apply) apply ;;
    remove) if is_ours; then remove; fi ;;
    *) die "wanted apply or remove, found '${1:-}'" ;;
  esac
}

# A host that got another name or role belongs to its new steps; Pulumi removes the old ones after it has made the new ones.
is_ours() {
  local found
  found=$(cat /etc/flink-owner 2>/dev/null || echo "$owner")
  [ "$found" = "$owner" ] && return 0
  say "this is $found now: nothing of $owner is removed"
  return 1
}

changed=()

# write_file PATH MODE OWNER < TEXT: replaces the file in one go, and only if something differs.
write_file() {
  local path=$1 mode=$2 owner=$3 new
  mkdir -p "$(dirname "$path")"
  new=$(mktemp "$path.XXXXXX")
  cat >"$new"
  chown "$owner" "$new"
  chmod "$mode" "$new"
  if cmp -s "$new" "$path" && [ "$(stat -c %a:%U:%G "$new")" = "$(stat -c %a:%U:%G "$path")" ]; then
    rm -f "$new"
    return 0
  fi
  mv -f "$new" "$path"
  changed+=("$path")
}

# replace_block FILE LINES: keeps our lines at the top of a file that others write to as well; no lines, no block.
replace_block() {
  local file=$1 lines=$2 rest
  rest=$(cat "$file") || die "cannot read $file"
  if grep -q '^# BEGIN flink$' <<<"$rest"; then
    grep -q '^# END flink$' <<<"$rest" || die "$file has '# BEGIN flink' and no '# END flink': remove that block by hand"
    rest=$(sed '/^# BEGIN flink$/,/^# END flink$/d' <<<"$rest")
  fi
  write_file "$file" 0644 root:root < <(
    [ -z "$lines" ] || printf '# BEGIN flink\n%s\n# END flink\n' "$lines"
    [ -z "$rest" ] || printf '%s\n' "$rest"
  )
}

report() {
  if [ ${#changed[@]} -eq 0 ]; then say "$1: nothing to change"; else say "$1: wrote ${changed[*]}"; fi
}

# wait_until SECONDS COMMAND...: false if the command does not succeed in that time.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2 # between two looks, not instead of one
  done
}

# fingerprint PATH...: one hash of what files hold and where links point, to tell whether a daemon runs what is wanted.
fingerprint() { /usr/local/lib/flink/fingerprint "$@"; }
