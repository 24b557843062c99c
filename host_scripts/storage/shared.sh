# shellcheck shell=bash disable=SC2154
# Whether the folders of a storage are mounted here, and are the same ones as on the first host. That one writes a token
# below each, whose name is the cluster's, and prints it; the others must read it, and may write beside it. It stays until
# the cluster is destroyed: a daemon does not start on a host where it is not to be seen (flink.service.j2).
# Values: user (of the daemons), keys (of the configuration) and folders, mark (the name of the folder with the token),
# first (the first host's name); on others also token, and there (what is mounted on the first one, for each folder).

patience=15 # seconds for one request: a client of NFS waits forever for its server
visible=10  # seconds for what another host has written
in_memory="tmpfs ramfs devtmpfs"

# as COMMAND...: as the daemons' user. `timeout` runs as the user: as root it would end runuser, but not its children.
as() { LC_ALL=C runuser -u "$user" -- timeout -k 2 "$patience" "$@" 2>&1 </dev/null; }

# refused WHAT SAID: what is wrong with WHAT, by what a program said (nothing, if it was ended), with what is expected.
refused() {
  local said=${2##*: } expected=""
  case $said in
    "") said="no answer within $patience s" expected="a server that answers" ;;
    *[Ss]tale*) expected="that the file system is mounted again: the server has another one now" ;;
    *"Permission denied"* | *"Operation not permitted"*) expected="a folder that belongs to $user, here uid $(id -u "$user")" ;;
    *"Read-only"*) expected="a mount that can be written to" ;;
    *"No space"* | *quota*) expected="free space on the server" ;;
    *"Input/output"*) expected="a server that answers" ;;
  esac
  echo "$1: $said${expected:+; expected $expected}"
}

# mounted FOLDER: what is mounted there, as `TYPE of SOURCE at POINT`; otherwise says what is wrong, and is false.
mounted() {
  local folder=$1 said point type source
  # Also has an automounter mount it
  until said=$(as stat -c %n "$folder/."); do
    case $said in
      *"No such file"*) ;;
      *)
        refused "cannot look at $folder" "$said"
        return 1
        ;;
    esac
    folder=${folder%/*}
    [ -n "$folder" ] || break
  done
  said=$(as findmnt -n -r -o TARGET,FSTYPE,SOURCE -T "${folder:-/}") || {
    refused "cannot look at $folder" "$said"
    return 1
  }
  # The last one covers the others
  read -r point type source <<<"${said##*$'\n'}"
  if [ "$point" = / ]; then
    echo "nothing is mounted at $1 or above it, where only this host's own file system is (/, $type); expected the file system that all hosts share, mounted now and at each boot (/etc/fstab)"
    return 1
  fi
  case " $in_memory " in
    *" $type "*)
      echo "$point is in this host's memory ($type); expected the file system that all hosts share"
      return 1
      ;;
  esac
  echo "$type of $source at $point"
}

# put FOLDER TOKEN: writes it; otherwise says what is wrong, and is false.
put() {
  local said
  # shellcheck disable=SC2016  # expanded there
  said=$(as sh -c 'umask 022 && mkdir -p "$1" && printf "%s\n" "$2" >"$1/.token" && mv -f "$1/.token" "$1/token"' sh "$1/$mark" "$2") || {
    refused "cannot write at $1" "$said"
    return 1
  }
}

# reads FOLDER TOKEN. To list a folder has a client of NFS ask its server what is new.
reads() {
  as ls -a "$1" "$1/$mark" >/dev/null || true
  said=$(as cat "$1/$mark/token") && [ "$said" = "$2" ]
}

# same FOLDER HERE THERE: whether it has the first host's token; otherwise says what is wrong. HERE and THERE: what is
# mounted on the two.
same() {
  local said
  ! wait_until "$visible" reads "$1" "$token" || return 0
  case $said in
    "" | *[Ss]tale* | *"Permission denied"*) refused "cannot read what $first has written at $1" "$said" ;;
    *) echo "$1 is another directory than on $first, which has just written $mark/token there: here it is on $2, on $first on ${3:-another one}; expected the same directory of one file system on all hosts" ;;
  esac
  return 1
}

# beside FOLDER: whether this host may write what the first one has made; otherwise says what is wrong.
beside() {
  local said
  # shellcheck disable=SC2016
  ! said=$(as sh -c 'printf x >"$1" && rm -f "$1"' sh "$1/$mark/$host") || return 0
  case $said in
    *"Permission denied"*) echo "$user, here uid $(id -u "$user"), may not write in what $first has made there with uid $(as stat -c %u "$1/$mark"); expected the same uid of $user on all hosts, or a server that takes all for one (all_squash)" ;;
    *) refused "cannot write at $1" "$said" ;;
  esac
  return 1
}

# wrong I SAID
wrong() { die "cannot use the storage at file://${folders[$1]} (${keys[$1]}): $2"; }

apply() {
  local i what made=""
  [ -n "${token:-}" ] || made=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  for i in "${!folders[@]}"; do
    what=$(mounted "${folders[i]}") || wrong "$i" "$what"
    mounts+=("$what")
    if [ -n "$made" ]; then
      what=$(put "${folders[i]}" "$made") || wrong "$i" "$what"
    else
      what=$(same "${folders[i]}" "$what" "${there[i]:-}") || wrong "$i" "$what"
      what=$(beside "${folders[i]}") || wrong "$i" "$what"
    fi
  done
  say "the storage: ${folders[*]} $([ -n "$made" ] && echo "is mounted" || echo "is the same as on $first")"
  # For the others: the token, and what is mounted
  [ -z "$made" ] || printf '%s\n' "$made" "${mounts[@]}"
}

mounts=()

# Changes nothing.
check() {
  local i what
  for i in "${!folders[@]}"; do
    if ! what=$(mounted "${folders[i]}"); then
      differs "${folders[i]}" "$what"
    elif [ -z "${token:-}" ]; then
      as test -s "${folders[i]}/$mark/token" || differs "${folders[i]}" "has no $mark/token, without which daemons do not start"
    elif ! what=$(same "${folders[i]}" "$what" "${there[i]:-}"); then
      differs "${folders[i]}" "$what"
    fi
  done
}
