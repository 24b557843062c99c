# shellcheck shell=bash
# Releases below /opt: the library of the steps that install one, with the part host_tool/unpack.py. The rest of the
# library is in lib.sh.

# fetch_release NAME VERSION URL CHECKSUM CHECK: installs /opt/NAME-VERSION, complete, verified and with the file CHECK in
# it, or nothing, even if interrupted. Versions stay side by side. Changed files of the release are restored; added files,
# such as connectors in lib, stay.
fetch_release() {
  local name=$1 home=/opt/$1-$2 touched=() file work
  rm -rf /opt/.fetch."$name".*
  if [ -d "$home" ]; then
    [ -e "$home/.installed-by-pulumi" ] || die "$home exists, but this program did not install and verify it: move it away"
    mapfile -t touched < <(touched_files "$home" | sed -n 's/^< //p')
    [ ${#touched[@]} -gt 0 ] || return 0
  fi
  work=$(mktemp -d "/opt/.fetch.$name.XXXXXX")
  # shellcheck disable=SC2064  # the directory of now
  trap "rm -rf '$work'" EXIT
  fetch_verified "$work" "$@"
  if [ -d "$home" ]; then
    for file in "${touched[@]}"; do
      mkdir -p "$home/$(dirname "$file")"
      mv -fT "$work/home/$file" "$home/$file"
    done
    say "$name: restored in $home: ${touched[*]}"
  else
    list_release "$work/home" >"$work/manifest"
    mv "$work/manifest" "$work/home/.installed-by-pulumi"
    mv -T "$work/home" "$home"
    say "$name: installed ${home#/opt/"$name"-} in $home"
  fi
  rm -rf "$work"
  trap - EXIT
}

# fetch_verified WORK NAME VERSION URL CHECKSUM CHECK: the release as WORK/home. The values mirror and mirror_checksum are
# URLs that are tried first, or empty.
fetch_verified() {
  local work=$1 name=$2 url=$4 checksum=$5 check=$6 arch kind expected wrong keep=/dev/null
  arch=$(uname -m | sed 's/^x86_64$/x64/')
  url=${url//\{arch\}/$arch}
  checksum=${checksum//\{arch\}/$arch}
  arch=$(uname -m | sed 's/^x86_64$/amd64/; s/^aarch64$/arm64/')
  url=${url//\{goarch\}/$arch}
  kind=${checksum%%:*}
  expected=$(digest_of "${checksum#*:}")
  # copies.sh
  ${copies:+with_copies} from_its_places || die "$wrong"
  [ -e "$work/home/$check" ] || die "$url is not a release of $name: it does not contain $check (${name}Url)"
}

# digest_of DIGEST|URL: of a file with the digests of several archives, the one in the line of $url.
digest_of() {
  local said line
  case $1 in
    http*)
      said=$([ -z "$mirror_checksum" ] || download "$mirror_checksum" --retry 1 2>/dev/null) || true
      [[ $said =~ ^[0-9a-f]{64} ]] || said=$(download "$1" --retry 5) || die "cannot fetch the checksum $1"
      line=$(awk -v file="${url##*/}" '$2 == file || $2 == "*" file { print $1; exit }' <<<"$said")
      echo "${line:-${said%%[[:space:]]*}}"
      ;;
    *) echo "$1" ;;
  esac
}

# from_its_places: sets $wrong if it fails.
from_its_places() {
  if from_mirror; then return 0; fi
  wrong="cannot fetch $url: make it reachable from this host, or set another address (${name}Url)"
  unpack "$url" || unpack "$url" || return 1
  wrong="$url has $kind $(digest), expected $expected: not installed (${name}Checksum)"
  fits
}

# Whatever is wrong with a mirror, the release's own place decides: errors there are reported.
from_mirror() {
  [ -n "$mirror" ] || return 1
  # A mirror that is slower than this would use up the time of the step
  if unpack "$mirror" --retry 1 --speed-limit 200000 --speed-time 30 2>/dev/null && fits; then return 0; fi
  say "$name: $mirror does not have it: fetching $url"
  return 1
}

# download URL CURL-OPTION...: the last of two options with the same name counts. URLs are on stdin, because signed ones
# (copies.sh) are secrets, and every user of the host can read a command line.
download() { fetch -fsSL --connect-timeout 10 --speed-limit 10000 --speed-time 60 "${@:2}" -K - <<<"url = \"$1\""; }

# unpack URL CURL-OPTION...: as $work/home, and as it is as $keep. It downloads, hashes and unpacks in one pass: on a small
# disk each further pass over several hundred MB costs seconds.
unpack() {
  rm -rf "${work:?}/home"
  mkdir "$work/home"
  download "$1" --retry 5 --retry-connrefused "${@:2}" |
    python3 -I -S -c "$(from_host_tool_unpack_py cat)" "$kind" "$work/digest" "$keep" |
    tar -xf - -C "$work/home" --strip-components="${strip:-1}" --no-same-owner
}

digest() { cat "$work/digest"; }

fits() { [ "$(digest)" = "$expected" ]; }

# use_release NAME VERSION: links /opt/NAME to it.
use_release() {
  local home=/opt/$1-$2
  [ "$(readlink "/opt/$1" || true)" != "$home" ] || return 0
  ln -sfn "$home" "/opt/$1.new"
  mv -fT "/opt/$1.new" "/opt/$1"
  say "$1: /opt/$1 is now $2"
}

# list_release HOME: its files with size and time: enough to detect a changed file without reading several hundred MB.
# Without the files that flink.sh itself changes.
list_release() {
  (cd "$1" && find . ! -type d ! -path ./.installed-by-pulumi ! -path './conf*' ! -path './plugins/flink-s3-fs-*' \
    -printf '%P %s %T@\n' | LC_ALL=C sort)
}

# touched_files HOME: files that are missing or changed (<), and files that replace them or were added (>).
touched_files() {
  # A release that an earlier version of this program installed has an empty list
  [ ! -s "$1/.installed-by-pulumi" ] ||
    diff "$1/.installed-by-pulumi" <(list_release "$1") | sed -n 's/^\([<>]\) \(.*\) [^ ]* [^ ]*$/\1 \2/p' || true
}

# check_release NAME VERSION CHECK: reports how the release differs from what was installed.
check_release() {
  local home=/opt/$1-$2 touched
  if [ ! -e "$home/$3" ]; then
    differs "$home" "is missing, or does not contain $3"
    return 0
  fi
  check_link "/opt/$1" "$home"
  if [ ! -e "$home/.installed-by-pulumi" ]; then
    differs "$home" "was not installed by this program"
  else
    touched=$(touched_files "$home" | head -n 20)
    [ -z "$touched" ] || differs "$home" "has other files than were installed (<: installed, restored by repair; >: found, kept if it was added)" "$touched"
  fi
}

# forget_releases NAME: removes versions that this program installed and nothing needs any more. Not those that a kept launch
# names, so that the way back is short, or a process runs from, and none to which somebody has added files.
forget_releases() {
  local home
  for home in /opt/"$1"-*; do
    # An earlier version of this program listed no files: what was added is not known
    [ -s "$home/.installed-by-pulumi" ] && [ "$home" != "$(readlink "/opt/$1")" ] || continue
    # With TLS a launch names RELEASE+tls (launch.sh)
    ! grep -qsxF -e "$home" -e "${home##*/}" -e "${home##*/}+tls" /var/lib/flink/launch/*/{java,release} || continue
    [ -z "$(find /proc/[0-9]*/exe /proc/[0-9]*/fd -lname "$home/*" -print -quit 2>/dev/null)" ] || continue
    [ -z "$(touched_files "$home" | sed -n 's/^> //p')" ] || continue
    mv -T "$home" "$(mktemp -d "/opt/.fetch.$1.XXXXXX")"
    rm -rf /opt/.fetch."$1".*
    say "$1: removed $home, which nothing needs any more"
  done
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
