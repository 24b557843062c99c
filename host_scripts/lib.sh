# shellcheck shell=bash disable=SC2154  # `host` and what else a step needs is set by components/remote.py
# What every step uses. Each step defines apply, and check where there is something to look at; those that run when hosts
# leave define remove instead. The last line of the text calls main.

say() { echo "$host: $*" >&2; }

die() {
  echo "$host: $*" >&2
  exit 1
}

# main apply|check|remove ADDRESS: the address is the one that the SSH connection comes from.
main() {
  # shellcheck disable=SC2034  # members.sh uses it
  client=${2:-}
  # Directories that are created implicitly must be readable by all users, regardless of the login's umask
  umask 022
  # `timeout` ends the step by it; without this the message would name neither the host nor the step
  trap 'die "step $step was ended: it takes too long, or this up was cancelled; running up again continues"' TERM
  case "${1:-}" in
    apply)
      alone
      apply
      ;;
    check) if declare -F check >/dev/null; then check; fi ;;
    remove)
      alone
      remove
      ;;
    *) die "expected apply, check or remove, found '${1:-}'" ;;
  esac
}

# An `up` that was cancelled leaves its script running (sudo has another user's processes, which sshd may not end)
alone() {
  install -d -m 0700 /run/flink-steps
  exec 9>"/run/flink-steps/${step%.sh}${name:+-$name}"
  flock -w 60 9 || die "an earlier run of step $step is still under way; see \`ps\` on the host, and run up again when it has ended"
}

# differs WHAT MESSAGE [TEXT]: tells a difference between what is expected and what is found. `ops` reads it.
differs() {
  printf '! %s\t%s\n' "$1" "$2"
  local line
  [ -z "${3:-}" ] || while IFS= read -r line; do printf '| %s\n' "$line"; done <<<"$3"
}

# expect WHAT EXPECTED FOUND: reports drift if the two differ.
expect() { [ "$2" = "$3" ] || differs "$1" "expected $2, found ${3:-nothing}"; }

# files_differ: tells how the step's files differ from what is expected.
files_differ() {
  checking=true
  write_files
}

checking=false
secret=false
changed=()

# write_file PATH MODE OWNER < TEXT: replaces the file in one go, and only if something differs.
write_file() {
  if [ "$checking" = true ]; then
    check_file "$@"
    return 0
  fi
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

# check_file PATH MODE OWNER < TEXT: tells how the file differs; of a secret one only that it does.
check_file() {
  local path=$1 text found
  text=$(cat && echo .)
  text=${text%.}
  if [ ! -f "$path" ]; then
    differs "$path" "is missing"
    return 0
  fi
  found=$(stat -c %a:%U:%G "$path")
  expect "mode and owner of $path" "$(printf '%o' "0$2"):$3" "$found"
  if ! printf %s "$text" | cmp -s - "$path"; then
    if [ "$secret" = true ]; then
      differs "$path" "has other contents; it holds secrets, so they are not shown"
    else
      # The header says nothing: -, expected; +, found
      differs "$path" "has other contents" "$(printf %s "$text" | diff -U 1 - "$path" | tail -n +3 | head -n 20)"
    fi
  fi
}

# check_directory PATH MODE OWNER: tells how the directory differs.
check_directory() {
  if [ -d "$1" ]; then expect "mode and owner of $1" "$2:$3" "$(stat -c %a:%U:%G "$1")"; else differs "$1" "is missing"; fi
}

# check_link PATH TARGET: tells if the link points elsewhere.
check_link() { expect "$1" "a link to $2" "$([ ! -L "$1" ] || echo "a link to $(readlink "$1")")"; }

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

flink_host=/usr/local/lib/flink/flink-host

# flink_host COMMAND...: the host tool, see `flink-host --help`.
flink_host() { "$flink_host" "$@"; }

# fingerprint [--expected] PATH...: one hash of what files hold and where links point, to tell whether a daemon runs what is expected.
fingerprint() { /usr/local/lib/flink/fingerprint "$@"; }
