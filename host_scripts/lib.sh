# shellcheck shell=bash disable=SC2154  # `host` and what else a step needs is set by components/remote.py
# The library of all steps. Each step defines apply, and check if there is something to compare; steps that run when hosts
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
  # sudo's secure_path, or without it the login's path, may not contain root's programs
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
  # `timeout` ends the step with it; without this trap the message would name neither the host nor the step
  trap 'die "step $step was ended: it takes too long, or this up was cancelled; running up again continues"' TERM
  note_declarations
  case "${1:-}" in
    apply)
      alone
      remembering=true
      apply
      forget "$record"
      note_run
      ;;
    check)
      if declare -F check >/dev/null; then check; fi
      # A step that does not check does not say what it declares, either
      [ ! -s /dev/fd/8 ] || report_left_over "$record"
      ;;
    remove)
      alone
      remove
      ;;
    *) die "expected apply, check or remove, found '${1:-}'" ;;
  esac
}

# note_run: on hosts with node_exporter a metric says when `up` last changed something, which dashboards show.
note_run() {
  local folder=/etc/flink-exporter/metrics new
  [ -d "$folder" ] || return 0
  # Another step may just remove it
  new=$(mktemp "$folder/.up.XXXXXX" 2>/dev/null) || return 0
  printf '%s\n' '# HELP flink_up_run_timestamp_seconds When up last ran a step on this host, in seconds since the epoch.' \
    '# TYPE flink_up_run_timestamp_seconds gauge' "flink_up_run_timestamp_seconds $(date +%s)" >"$new"
  chmod 0644 "$new"
  mv -f "$new" "$folder/up.prom" || true
}

# For a JVM that runs for half a second: a second compiler does not pay, and no /tmp/hsperfdata_root stays.
# shellcheck disable=SC2034  # Steps use it
short_lived=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData)

record=${step%.sh}${name:+-$name}

# A cancelled `up` leaves its script running (its processes belong to root by sudo, and sshd may not end them)
alone() {
  install -d -m 0700 /run/flink-steps
  exec 9>"/run/flink-steps/$record"
  flock -w 60 9 || die "an earlier run of step $step is still running; see \`ps\` on the host, and run up again when it has ended"
}

# differs WHAT MESSAGE [TEXT]: reports drift, in the form that `ops` reads.
differs() {
  printf '! %s\t%s\n' "$1" "$2"
  local line
  [ -z "${3:-}" ] || while IFS= read -r line; do printf '| %s\n' "$line"; done <<<"$3"
}

# expect WHAT EXPECTED FOUND: reports drift if the two differ.
expect() { [ "$2" = "$3" ] || differs "$1" "expected $2, found ${3:-nothing}"; }

# files_differ: reports how the step's files differ from the expected ones.
files_differ() {
  checking=true
  write_files
}

checking=false
secret=false
changed=()

# What a step writes it declares. Each step has a record on the host of all that it ever declared, so that what it does not
# declare any more can be removed, and is found if it comes back (from a backup, say). Lines: `file PATH`, `tree PATH` for a
# folder with all in it, `block PATH` for our lines in a file that others write to as well; with `gone` before it what the
# step's last run did not declare.
records="/usr/local/lib/flink/declared"
remembering=false

# A file without a name: functions that write may run in subshells.
note_declarations() {
  local notes
  notes=$(mktemp)
  exec 8>>"$notes"
  rm -f "$notes"
}

# declares KIND PATH: notes it before anything is written, so that it is known even if this run is killed.
declares() {
  echo "$1 $2" >&8
  [ "$remembering" = false ] || remember "$record" "$1" "$2"
}

declare -A remembered=() # RECORD, if its lines are known, and `RECORD LINE` for each

# remember RECORD KIND PATH
remember() {
  local line known="$1 $2 $3"
  if [ -z "${remembered[$1]:-}" ]; then
    mkdir -p "$records"
    remembered[$1]=yes
    [ ! -e "$records/$1" ] || while IFS= read -r line; do remembered["$1 $line"]=yes; done <"$records/$1"
  fi
  [ -z "${remembered[$known]:-}" ] || return 0
  remembered[$known]=yes
  echo "$2 $3" >>"$records/$1"
}

# note_declared: sets the keys of the associative array `declared` to what this run declares.
note_declared() {
  local line
  while IFS= read -r line; do declared[$line]=yes; done </dev/fd/8
}

# left_over RECORD: what of it is still there, though this run does not declare it, and no other step of the host.
left_over() {
  local kind path line
  local -A declared=()
  note_declared
  while read -r kind path; do
    line="$kind $path"
    [ -z "${declared[$line]:-}" ] || continue
    case $kind in
      file | tree) [ -e "$path" ] || [ -L "$path" ] || continue ;;
      block) grep -q '^# BEGIN flink$' "$path" 2>/dev/null || continue ;;
    esac
    ! grep -lxF "$line" "$records"/* | grep -qvxF "$records/$1" || continue
    echo "$line"
  done < <(recorded "$1")
}

# recorded RECORD: all that it ever declared.
recorded() { [ ! -e "$records/$1" ] || sed 's/^gone //' "$records/$1" | awk 'NF && !seen[$0]++'; }

# forget RECORD: removes what is left over, and marks in the record what this run does not declare: it no longer keeps
# another step from removing it.
forget() {
  local line
  local -A declared=()
  while read -r line; do remove_left_over "$line"; done < <(left_over "$1")
  [ -e "$records/$1" ] || return 0
  note_declared
  while read -r line; do
    [ -n "${declared[$line]:-}" ] || line="gone $line"
    echo "$line"
  done < <(recorded "$1") >"$records/.$1"
  mv -f "$records/.$1" "$records/$1"
  remembered=()
}

# remove_left_over LINE
remove_left_over() {
  local path=${1#* }
  case $1 in
    "block "*) replace_block "$path" "" ;;
    "file /etc/systemd/system/"*.service | "file /etc/systemd/system/"*.timer)
      systemctl disable -q --now "${path##*/}" 2>/dev/null || true
      rm -f "$path"
      systemctl daemon-reload
      systemctl reset-failed "${path##*/}" 2>/dev/null || true
      ;;
    "tree "*) as_holder "${path%/*}" rm -rf "$path" ;;
    *) as_holder "${path%/*}" rm -f "$path" ;;
  esac
  say "removed $path: it is no longer declared"
}

# report_left_over RECORD
report_left_over() {
  local kind path line
  local -A declared=()
  note_declared
  while read -r kind path; do
    line="$kind $path"
    [ -z "${declared[$line]:-}" ] || continue
    [ "$kind" != block ] || path="the lines of this program in $path"
    differs "$path" "left from an earlier configuration: expected none"
  done < <(left_over "$1")
}

# Root follows no path that somebody else can change. Below a directory of another user, who could put a link in place of
# anything, all is made as that user.

declare -A holders=() # DIRECTORY, and who could put something in its place

# find_holder DIRECTORY: sets `holder` to the owner of the first directory on the way to it that is not root's, or to root.
find_holder() {
  local path=$1 way=() owners=() behind=() i
  holder=${holders[$1]:-}
  [ -z "$holder" ] || return 0
  while [ -n "$path" ]; do
    way=("$path" "${way[@]}")
    path=${path%/*}
  done
  # Also of what a link of root's points at. What is missing is at the end
  mapfile -t owners < <(stat -c %U -- "${way[@]}" 2>/dev/null)
  mapfile -t behind < <(stat -L -c %U -- "${way[@]}" 2>/dev/null)
  holder=root
  for i in "${!owners[@]}"; do
    if [ "${owners[i]}" != root ]; then holder=${owners[i]}; elif [ "${behind[i]:-root}" != root ]; then holder=${behind[i]}; fi
    [ "$holder" = root ] || break
  done
  # Root's may still be created for somebody
  if [ "$holder" != root ] || [ -d "$1" ]; then holders[$1]=$holder; fi
}

# as_holder DIRECTORY COMMAND...: runs it as the user who could put something in the directory's place.
as_holder() {
  local holder
  find_holder "$1"
  shift
  if [ "$holder" = root ]; then "$@"; else (cd / && exec runuser -u "$holder" -- "$@"); fi
}

# own_directory MODE USER DIRECTORY: creates it, or gives it its mode.
own_directory() {
  local holder found
  find_holder "${3%/*}"
  case $holder in
    root) install -d -m "$1" -o "$2" -g "$2" "$3" ;;
    "$2")
      found=$(stat -c %a:%U "$3" 2>/dev/null || true)
      [ -z "$found" ] || [ "${found#*:}" = "$2" ] || die "$3 belongs to ${found#*:}, expected user $2: run \`chown $2: $3\`"
      [ "$found" = "$(printf %o "0$1"):$2" ] || as_holder "${3%/*}" install -d -m "$1" "$3"
      ;;
    *) die "$3 is below a directory of user $holder: expected one of root's or of user $2" ;;
  esac
  holders=()
}

# write_file PATH MODE OWNER < TEXT: replaces the file atomically, and only if something differs.
write_file() {
  declares file "$1"
  put_file "$@"
}

# write_own: writes the parts of the host tool, and its Java classes, that the step uses (components/scripts.py).
write_own() {
  local part
  for part in $used; do
    case $part in
      host_tool/* | java/*) "from_${part//[^A-Za-z0-9]/_}" write_file "/usr/local/lib/flink/$part" 0644 root:root ;;
    esac
  done
}

put_file() {
  if [ "$checking" = true ]; then
    check_file "$@"
    return 0
  fi
  # With few other programs: a step may write dozens of files
  local path=$1 mode=$2 owner=$3 new wanted holder
  find_holder "${path%/*}"
  if [ "$holder" != root ]; then
    put_held_file "$@"
    return 0
  fi
  [ -d "${path%/*}" ] || mkdir -p "${path%/*}"
  new=$(mktemp "$path.XXXXXX")
  cat >"$new"
  printf -v wanted '%o:%s' "0$mode" "$owner"
  if [ -f "$path" ] && cmp -s "$new" "$path" && [ "$(stat -c %a:%U:%G "$path")" = "$wanted" ]; then
    rm -f "$new"
    return 0
  fi
  chown "$owner" "$new"
  chmod "$mode" "$new"
  mv -f "$new" "$path"
  changed+=("$path")
}

# put_held_file PATH MODE OWNER < TEXT: the same below a directory of another user, whose the file is.
put_held_file() {
  local written
  [ "${3%%:*}" = "$holder" ] || die "$1 is below a directory of user $holder: expected another place for a file of ${3%%:*}"
  # shellcheck disable=SC2016  # that shell expands it
  written=$(as_holder "${1%/*}" bash -euc '
    umask 022
    [ -d "${1%/*}" ] || mkdir -p "${1%/*}"
    new=$(mktemp "$1.XXXXXX")
    cat >"$new"
    if [ -f "$1" ] && cmp -s "$new" "$1" && [ "$(stat -c %a:%U:%G "$1")" = "$(printf %o "0$2"):$(id -un):$(id -gn)" ]; then
      rm -f "$new"
    else
      chmod "$2" "$new"
      mv -fT "$new" "$1"
      echo written
    fi' bash "$1" "$2") || die "cannot write $1 as user $holder"
  [ -z "$written" ] || changed+=("$1")
}

# check_file PATH MODE OWNER < TEXT: reports how the file differs; of a secret file only that it differs.
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
      differs "$path" "has other contents, not shown because they are secret"
    else
      # Without diff's header: - is expected, + is found
      differs "$path" "has other contents" "$(printf %s "$text" | diff -U 1 - "$path" | tail -n +3 | head -n 20)"
    fi
  fi
}

# check_directory PATH MODE OWNER: reports how the directory differs.
check_directory() {
  if [ -d "$1" ]; then expect "mode and owner of $1" "$2:$3" "$(stat -c %a:%U:%G "$1")"; else differs "$1" "is missing"; fi
}

# check_link PATH TARGET: reports if the link points elsewhere.
check_link() { expect "$1" "a link to $2" "$([ ! -L "$1" ] || echo "a link to $(readlink "$1")")"; }

# replace_block FILE LINES: keeps our lines at the top of a file that others also write to; without lines, no block. A
# first line that tells cloud-init how to read a template stays the first.
replace_block() {
  local file=$1 lines=$2 rest first=
  [ -z "$lines" ] || declares block "$file"
  [ -r "$file" ] || die "cannot read $file"
  if grep -q '^# BEGIN flink$' "$file"; then
    grep -q '^# END flink$' "$file" || die "$file has '# BEGIN flink' but no '# END flink': remove that block by hand"
  elif [ -z "$lines" ]; then
    return 0
  fi
  # Byte for byte: also empty lines at the end, or a last line without an end
  rest=$(sed '/^# BEGIN flink$/,/^# END flink$/d' "$file" && echo .)
  rest=${rest%.}
  case $rest in '## template:'*) first=${rest%%$'\n'*} rest=${rest#*$'\n'} ;; esac
  put_file "$file" 0644 root:root < <(
    [ -z "$first" ] || printf '%s\n' "$first"
    [ -z "$lines" ] || printf '# BEGIN flink\n%s\n# END flink\n' "$lines"
    printf %s "$rest"
  )
}

report() {
  if [ ${#changed[@]} -eq 0 ]; then say "$1: nothing to change"; else say "$1: wrote ${changed[*]}"; fi
}

# at_boot UNIT [UNIT...]: the first one starts at boot, and systemd knows the files of all as they are now, also after a run
# that was interrupted. Enabling a unit makes systemd read all units again, which takes it a tenth of a second.
at_boot() {
  if [ ${#changed[@]} -eq 0 ] && [ "$(systemctl is-enabled "$1" 2>/dev/null)" = enabled ]; then
    case $(systemctl show -p NeedDaemonReload "$@") in *=yes*) ;; *) return 0 ;; esac
  fi
  systemctl enable -q "$1"
}

# wait_until SECONDS COMMAND...: false if the command does not succeed in that time.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2 # the interval between two checks
  done
}

flink_host=/usr/local/lib/flink/flink-host

# What kernel settings were before ours (system.sh, clean.sh).
# shellcheck disable=SC2034
kernel_before=${flink_host%/*}/sysctl.before

# Whose the group of the daemons' user is: ours, or theirs if it was there before the user (system.sh, clean.sh).
# shellcheck disable=SC2034
group_owner=${flink_host%/*}/group

# flink_host COMMAND...: the host tool, see `flink-host --help`.
flink_host() { "$flink_host" "$@"; }

# fingerprint [--expected] PATH...: one hash of files and links, which shows whether a daemon runs what is expected.
fingerprint() { /usr/local/lib/flink/fingerprint "$@"; }
