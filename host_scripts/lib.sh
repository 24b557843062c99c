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

# fetch_release NAME VERSION URL CHECKSUM CHECK: /opt/NAME-VERSION, whole, verified and with the file CHECK in it, or not at
# all, whatever interrupts this. Versions stay side by side.
fetch_release() {
  local name=$1 home=/opt/$1-$2 url=$3 checksum=$4 check=$5 arch kind wanted found work
  rm -rf /opt/.fetch."$name".*
  if [ -d "$home" ]; then
    [ -e "$home/.installed-by-pulumi" ] || die "$home is there, and nobody has verified it: move it away"
    return 0
  fi
  arch=$(uname -m | sed 's/^x86_64$/x64/')
  url=${url//\{arch\}/$arch}
  checksum=${checksum//\{arch\}/$arch}
  kind=${checksum%%:*} wanted=${checksum#*:}
  work=$(mktemp -d "/opt/.fetch.$name.XXXXXX")
  # shellcheck disable=SC2064  # the directory of now
  trap "rm -rf '$work'" EXIT
  case $wanted in
    http*)
      found=$(curl -fsSL --retry 5 --connect-timeout 10 "$wanted") || die "cannot fetch the checksum $wanted"
      wanted=${found%%[[:space:]]*}
      ;;
  esac
  unpack "$url" "$kind" "$work" || unpack "$url" "$kind" "$work" ||
    die "cannot fetch $url; see that the host reaches it, or name another place (${name}Url)"
  found=$(cut -d' ' -f1 "$work/digest")
  [ "$found" = "$wanted" ] || die "$url has $kind $found, wanted $wanted: not installed (${name}Checksum)"
  [ -e "$work/home/$check" ] || die "$url is not a release of $name: it has no $check (${name}Url)"
  touch "$work/home/.installed-by-pulumi"
  mv -T "$work/home" "$home"
  rm -rf "$work"
  trap - EXIT
  say "$name: installed ${home#/opt/"$name"-} in $home"
}

# Downloads, hashes and unpacks in one pass: on a small disk each further pass over some hundred MB costs seconds.
unpack() {
  local url=$1 kind=$2 work=$3 hash
  rm -rf "${work:?}/home" "${work:?}/pipe"
  mkdir "$work/home"
  mkfifo "$work/pipe"
  "${kind}sum" <"$work/pipe" >"$work/digest" &
  hash=$!
  curl -fsSL --retry 5 --retry-connrefused --connect-timeout 10 --speed-limit 10000 --speed-time 60 "$url" |
    tee "$work/pipe" | tar -xzf - -C "$work/home" --strip-components=1 --no-same-owner || return 1
  wait "$hash"
}

# use_release NAME VERSION: /opt/NAME points at it.
use_release() {
  local home=/opt/$1-$2
  [ "$(readlink "/opt/$1" || true)" != "$home" ] || return 0
  ln -sfn "$home" "/opt/$1.new"
  mv -fT "/opt/$1.new" "/opt/$1"
  say "$1: /opt/$1 is now $2"
}

# remove_releases NAME: the link, and the versions that a step of ours installed.
remove_releases() {
  local home
  rm -rf /opt/.fetch."$1".*
  [ ! -L "/opt/$1" ] || rm -f "/opt/$1"
  for home in /opt/"$1"-*; do
    [ ! -e "$home/.installed-by-pulumi" ] || rm -rf "$home"
  done
}
