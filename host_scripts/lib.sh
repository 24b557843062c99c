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
  # An `up` that was cancelled leaves its script running (sudo has another user's processes, which sshd may not end)
  exec 9>"/run/lock/flink-${step%.sh}${name:+-$name}"
  flock -w 300 9 || die "another run of step $step does not end; see \`ps\` on the host"
  case "${1:-}" in
    apply | remove) "$1" ;;
    *) die "wanted apply or remove, found '${1:-}'" ;;
  esac
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
  rest=$(sed '/^# BEGIN flink$/,/^# END flink$/d' "$file" 2>/dev/null || true)
  {
    [ -z "$lines" ] || printf '# BEGIN flink\n%s\n# END flink\n' "$lines"
    [ -z "$rest" ] || printf '%s\n' "$rest"
  } | write_file "$file" 0644 root:root
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

# install_archive NAME VERSION URL CHECKSUM: /opt/NAME-VERSION, verified, and /opt/NAME pointing at it. Versions stay side by side.
install_archive() {
  local name=$1 version=$2 url=$3 checksum=$4 home=/opt/$1-$2 arch
  if [ ! -d "$home" ]; then
    arch=$(uname -m | sed 's/^x86_64$/x64/')
    url=${url//\{arch\}/$arch}
    checksum=${checksum//\{arch\}/$arch}
    fetch_archive "$url" "$checksum" "$home"
    say "$name: installed $version in $home"
  fi
  if [ "$(readlink "/opt/$name" || true)" != "$home" ]; then
    ln -sfn "$home" "/opt/$name.new"
    mv -fT "/opt/$name.new" "/opt/$name"
    say "$name: /opt/$name is now $version"
  fi
}

# The directory appears whole and verified, or not at all, whatever interrupts this.
fetch_archive() {
  local url=$1 kind=${2%%:*} wanted=${2#*:} home=$3 work found
  work=$(mktemp -d "/opt/.fetch.XXXXXX")
  # shellcheck disable=SC2064  # the directory of now
  trap "rm -rf '$work'" EXIT
  case $wanted in
    http*)
      found=$(curl -fsSL --retry 5 --connect-timeout 10 "$wanted") || die "cannot fetch the checksum $wanted"
      wanted=${found%%[[:space:]]*}
      ;;
  esac
  unpack "$url" "$kind" "$work" || unpack "$url" "$kind" "$work" ||
    die "cannot fetch $url; see that the host reaches it, or name another place (flinkUrl, javaUrl, zookeeperUrl)"
  found=$(cut -d' ' -f1 "$work/digest")
  [ "$found" = "$wanted" ] || die "$url has $kind $found, wanted $wanted: not installed"
  mv -T "$work/home" "$home"
  rm -rf "$work"
  trap - EXIT
}

# Downloads, hashes and unpacks in one pass: on a small disk each further pass over some hundred MB costs seconds.
unpack() {
  local url=$1 kind=$2 work=$3 hash
  rm -rf "${work:?}/home" "${work:?}/pipe"
  mkdir "$work/home"
  mkfifo "$work/pipe"
  "${kind}sum" <"$work/pipe" >"$work/digest" &
  hash=$!
  curl -fsSL --retry 5 --retry-connrefused --connect-timeout 10 "$url" | tee "$work/pipe" |
    tar -xzf - -C "$work/home" --strip-components=1 --no-same-owner || return 1
  wait "$hash"
}

# remove_archive NAME: the link and every version.
remove_archive() {
  rm -rf "/opt/$1" /opt/"$1"-[0-9]*
}
