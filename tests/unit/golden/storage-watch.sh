# host tm-0, step timer.sh
set -euo pipefail
host=tm-0
step=timer.sh
owner='taskmanager tm-0'
name=storage
unit=flink-storage
write_files() {
  :
  write_file /etc/flink-exporter/storage.sh 0644 root:root <<'END_OF_FILE'
# Managed by Pulumi: changes are overwritten.
# Writes whether this host reaches the storage, as a metric that node_exporter shows. Any answer of its server counts: whether
# keys are right and buckets there, checkpoints show. Nothing secret is sent, so the certificate is not looked at, either.
set -u
proxy=''
direct=''
# shellcheck shell=bash disable=SC2154
# Requests to servers outside of the cluster. Values: proxy (URL; empty: the host's own), direct (names that are reached
# without it). Inside of the cluster nothing uses a proxy: the host tool opens connections itself.

# fetch ARGUMENTS...: curl, through the proxy.
fetch() { through_proxy curl "$@"; }

# through_proxy COMMAND...: with the proxy of the stack (httpProxy), else with that of /etc/environment, which sudo may have
# dropped.
through_proxy() {
  (
    if [ -n "$proxy" ]; then
      export http_proxy=$proxy https_proxy=$proxy no_proxy=$direct
      unset HTTPS_PROXY NO_PROXY ALL_PROXY all_proxy
    else
      own_proxy
    fi
    exec "$@"
  )
}

# Lines as pam_env(8) reads them: NAME=VALUE, with or without blanks around it, export, quotes and a comment; the last line
# may have no end.
own_proxy() {
  local name value
  while IFS='=' read -r name value || [ -n "$name" ]; do
    name=${name,,}
    case $name in http_proxy | https_proxy | no_proxy) ;; *) continue ;; esac
    value=${value#[\"\']}
    [ -n "${!name:-}" ] || export "$name=${value%[\"\']}"
  done < <(sed 's/#.*//; s/^[[:space:]]*//; s/^export[[:space:]]*//; s/[[:space:]]*$//' /etc/environment 2>/dev/null)
}

reachable=0
said=$(fetch -skI -o /dev/null -w '%{http_code}' --connect-timeout 5 --max-time 10 http://10.9.9.1:7070)
# A proxy or a balancer says 502, 503 or 504 for a server that it does not reach
case $said in [1-4]??) reachable=1 ;; esac
new=$(mktemp /etc/flink-exporter/metrics/.storage.XXXXXX)
cat >"$new" <<END
# HELP flink_storage_reachable Whether this host gets an answer from the server of the storage.
# TYPE flink_storage_reachable gauge
flink_storage_reachable $reachable
END
chmod 0644 "$new"
mv -f "$new" /etc/flink-exporter/metrics/storage.prom
END_OF_FILE
  write_file /etc/systemd/system/flink-storage.service 0644 root:root <<'END_OF_FILE'
# Managed by Pulumi: changes are overwritten.
[Unit]
Description=Look whether this host of the Flink cluster reaches the storage

[Service]
Type=oneshot
ExecStart=/bin/bash /etc/flink-exporter/storage.sh
# That the timer has started it again is not for the journal
SyslogLevel=notice
LogLevelMax=notice
# It is in no hurry
Nice=19
MemoryMax=128M
TasksMax=16
OOMScoreAdjust=1000
TimeoutStartSec=60
ProtectSystem=strict
ReadWritePaths=/etc/flink-exporter/metrics
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
END_OF_FILE
  write_file /etc/systemd/system/flink-storage.timer 0644 root:root <<'END_OF_FILE'
# Managed by Pulumi: changes are overwritten.
[Unit]
Description=Look every half minute whether this host of the Flink cluster reaches the storage

[Timer]
OnActiveSec=1
OnUnitInactiveSec=30
AccuracySec=1

[Install]
WantedBy=timers.target
END_OF_FILE
}
say() { echo "$host: $*" >&2; }
die() {
  echo "$host: $*" >&2
  exit 1
}
main() {
  client=${2:-}
  umask 022
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
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
      [ ! -s /dev/fd/8 ] || report_left_over "$record"
      ;;
    remove)
      alone
      remove
      ;;
    *) die "expected apply, check or remove, found '${1:-}'" ;;
  esac
}
note_run() {
  local folder=/etc/flink-exporter/metrics new
  [ -d "$folder" ] || return 0
  new=$(mktemp "$folder/.up.XXXXXX")
  printf '%s\n' '# HELP flink_up_run_timestamp_seconds When up last ran a step on this host, in seconds since the epoch.' \
    '# TYPE flink_up_run_timestamp_seconds gauge' "flink_up_run_timestamp_seconds $(date +%s)" >"$new"
  chmod 0644 "$new"
  mv -f "$new" "$folder/up.prom"
}
short_lived=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData)
record=${step%.sh}${name:+-$name}
alone() {
  install -d -m 0700 /run/flink-steps
  exec 9>"/run/flink-steps/$record"
  flock -w 60 9 || die "an earlier run of step $step is still running; see \`ps\` on the host, and run up again when it has ended"
}
differs() {
  printf '! %s\t%s\n' "$1" "$2"
  local line
  [ -z "${3:-}" ] || while IFS= read -r line; do printf '| %s\n' "$line"; done <<<"$3"
}
expect() { [ "$2" = "$3" ] || differs "$1" "expected $2, found ${3:-nothing}"; }
files_differ() {
  checking=true
  write_files
}
checking=false
secret=false
changed=()
records="/usr/local/lib/flink/declared"
remembering=false
note_declarations() {
  local notes
  notes=$(mktemp)
  exec 8>>"$notes"
  rm -f "$notes"
}
declares() {
  echo "$1 $2" >&8
  [ "$remembering" = false ] || remember "$record" "$1" "$2"
}
remember() {
  ! grep -qxF "$2 $3" "$records/$1" 2>/dev/null || return 0
  mkdir -p "$records"
  echo "$2 $3" >>"$records/$1"
}
left_over() {
  local kind path
  while read -r kind path; do
    case $kind in
      file | tree) [ -e "$path" ] || [ -L "$path" ] || continue ;;
      block) grep -q '^# BEGIN flink$' "$path" 2>/dev/null || continue ;;
    esac
    ! grep -qxF "$kind $path" /dev/fd/8 || continue
    ! grep -lxF "$kind $path" "$records"/* | grep -qvxF "$records/$1" || continue
    echo "$kind $path"
  done < <(recorded "$1")
}
recorded() { [ ! -e "$records/$1" ] || sed 's/^gone //' "$records/$1" | awk '!seen[$0]++'; }
forget() {
  local line
  while read -r line; do remove_left_over "$line"; done < <(left_over "$1")
  [ -e "$records/$1" ] || return 0
  while read -r line; do
    grep -qxF "$line" /dev/fd/8 || line="gone $line"
    echo "$line"
  done < <(recorded "$1") >"$records/.$1"
  mv -f "$records/.$1" "$records/$1"
}
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
    "tree "*) rm -rf "$path" ;;
    *) rm -f "$path" ;;
  esac
  say "removed $path: it is no longer declared"
}
report_left_over() {
  local kind path
  while read -r kind path; do
    [ "$kind" != block ] || path="the lines of this program in $path"
    differs "$path" "left from an earlier configuration: expected none"
  done < <(left_over "$1")
}
write_file() {
  declares file "$1"
  put_file "$@"
}
put_file() {
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
      differs "$path" "has other contents" "$(printf %s "$text" | diff -U 1 - "$path" | tail -n +3 | head -n 20)"
    fi
  fi
}
check_directory() {
  if [ -d "$1" ]; then expect "mode and owner of $1" "$2:$3" "$(stat -c %a:%U:%G "$1")"; else differs "$1" "is missing"; fi
}
check_link() { expect "$1" "a link to $2" "$([ ! -L "$1" ] || echo "a link to $(readlink "$1")")"; }
replace_block() {
  local file=$1 lines=$2 rest first=
  [ -z "$lines" ] || declares block "$file"
  [ -r "$file" ] || die "cannot read $file"
  if grep -q '^# BEGIN flink$' "$file"; then
    grep -q '^# END flink$' "$file" || die "$file has '# BEGIN flink' but no '# END flink': remove that block by hand"
  elif [ -z "$lines" ]; then
    return 0
  fi
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
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2 # the interval between two checks
  done
}
flink_host=/usr/local/lib/flink/flink-host
kernel_before=${flink_host%/*}/sysctl.before
group_owner=${flink_host%/*}/group
flink_host() { "$flink_host" "$@"; }
fingerprint() { /usr/local/lib/flink/fingerprint "$@"; }
apply() {
  write_files
  [ ${#changed[@]} -eq 0 ] || systemctl daemon-reload
  systemctl enable -q "$unit.timer"
  if [ ${#changed[@]} -gt 0 ]; then systemctl restart "$unit.timer"; else systemctl start "$unit.timer"; fi
  report "$unit.timer"
}
check() {
  files_differ
  systemctl is-enabled -q "$unit.timer" 2>/dev/null || differs "$unit.timer" "is not enabled: it will not start at the next boot"
  systemctl is-active -q "$unit.timer" || differs "$unit.timer" "is not running"
}
main "$@" </dev/null
