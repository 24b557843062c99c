# shellcheck shell=bash disable=SC2154
# Checks whether a host is suitable, and reports its CPUs and memory. Changes nothing. No host changes before all have
# answered.
# Values: role, needed_mib, declared_mib (0: unknown), address (empty: not from an inventory), firewall, user, releases (names below /opt), homes (their
# directories with the versions), executed (directories that programs run from), storage (its URL; empty: the role
# does not use it), jump (true: reached through a jump host), authority (tlsAuthority; 0: none of the stack's), unit and
# identities (the daemon, and the folder of its certificates). With jobs in Python also jobs_python (its version). Prints {"cpus": N, "memoryMiB": N}.

# What the host tool imports, and the version
python_facts='import fcntl, hashlib, json, socket, subprocess, sys, tempfile; print("%d.%d" % sys.version_info[:2])'

cloud_init_is_done() { [ -e /run/cloud-init/result.json ] || [ -e /run/cloud-init/disabled ]; }

# A step of ours has been here; earlier versions had no /etc/flink-owner.
was_ours() { [ -e /etc/flink-owner ] || compgen -G "/opt/*/.installed-by-pulumi" >/dev/null; }

# There if, and only if, systemd is the init: sd_booted(3)
systemd=/run/systemd/system

problems=()
jobs_python=${jobs_python:-}

apply() {
  local python memory cpus command home startups
  # A new machine may accept logins before cloud-init is done
  [ ! -d /run/cloud-init ] || wait_until 300 cloud_init_is_done || die "cloud-init is not done after 300 s"
  # shellcheck source=/dev/null
  . /etc/os-release
  [ -d "$systemd" ] || problems+=("init is not systemd")
  case $(uname -m) in x86_64 | aarch64) ;; *) problems+=("architecture $(uname -m): expected x86_64 or aarch64") ;; esac
  for command in curl tar sha256sum flock runuser findmnt ss sysctl pgrep pkill ssh-keygen systemctl \
    useradd groupadd; do
    command -v "$command" >/dev/null || problems+=("$command is missing")
  done
  python=$(python3 -I -S -c "$python_facts" 2>/dev/null || command -v python3 || true)
  case $python in
    3.9 | 3.[1-9][0-9] | [4-9].*) ;;
    "") problems+=("python3 is missing: install 3.9 or newer (Debian: apt-get install python3)") ;;
    /*) problems+=("python3 ($python) has no standard library: install it (Debian: apt-get install python3)") ;;
    *) problems+=("python3 is $python: install 3.9 or newer") ;;
  esac
  find_python
  if [ "$firewall" = true ] && ! command -v nft >/dev/null; then
    problems+=("nft is missing: install nftables, or set firewall to false")
  fi
  home=$(getent passwd "$user" | cut -d: -f6 || true)
  [ -z "$home" ] || { [ "$home" = "/var/lib/$user" ] && was_ours; } ||
    problems+=("user $user already exists with the home $home: expected none, or one that this program created")
  [ -z "$home" ] || [ "$(id -gn "$user")" = "$user" ] ||
    problems+=("user $user has the group $(id -gn "$user"): expected $user (groupadd, usermod -g)")
  for command in "${releases[@]}"; do
    [ ! -e "/opt/$command" ] || [ -L "/opt/$command" ] ||
      problems+=("/opt/$command exists and is not a link: move it away")
  done
  # When so many connections have not logged in yet, sshd begins to drop others (sshd_config(5), MaxStartups; 10 by
  # default). Behind a jump host the command plugin repeats the handshake on the dropped connection: the step fails.
  startups=$(sshd -T 2>/dev/null | sed -n 's/^maxstartups \([0-9]*\).*/\1/p' || true)
  [ "$jump" = false ] || [ "${startups:-10}" -ge 10 ] ||
    problems+=("sshd drops logins from MaxStartups $startups on, which behind a jump host fail for good: expected 10 or more")
  memory=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
  cpus=$(nproc)
  [ "$memory" -ge "$needed_mib" ] || problems+=("memory is $memory MiB: expected $needed_mib MiB or more for a $role")
  # A kernel and firmware keep a part of what a machine has, but not an eighth
  [ $((memory * 8)) -ge $((declared_mib * 7)) ] ||
    problems+=("memory is $memory MiB: expected about $declared_mib MiB, which the inventory has as memoryMiB")
  find_address
  find_access_control
  find_mounts
  find_space
  find_clock
  find_certificate
  find_authority
  [ ${#problems[@]} -eq 0 ] || die "cannot be a $role ($PRETTY_NAME): $(printf '%s; ' "${problems[@]}")"
  printf '{"cpus": %d, "memoryMiB": %d}\n' "$cpus" "$memory"
}

# The interpreter of jobs in Python, with venv (python.sh).
find_python() {
  local name
  [ -n "$jobs_python" ] || return 0
  for name in "python$jobs_python" python3; do
    [ "$("$name" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$jobs_python" ] || continue
    "$name" -I -c 'import ensurepip, venv' 2>/dev/null ||
      problems+=("$name has no venv, which jobs in Python need: install it (Debian: apt-get install $name-venv)")
    return 0
  done
  problems+=("Python $jobs_python is missing, which jobs in Python need: expected python$jobs_python, or another version (python)")
}

# Others cannot reach a host without IPv4 at an IPv4 address. Which one it has is not compared: it may be behind NAT.
find_address() {
  case $address in *:* | "") return 0 ;; esac
  [ -n "$(ip -4 -o address show scope global 2>/dev/null)" ] ||
    problems+=("it has no IPv4 address: expected one, since its address in the inventory is $address")
}

# What would keep daemons from running, or from being reached, whatever is installed.
find_access_control() {
  local mode remedy
  mode=$(getenforce 2>/dev/null || cat /sys/fs/selinux/enforce 2>/dev/null || true)
  case $mode in
    Enforcing | 1) problems+=("SELinux is enforcing: expected SELINUX=permissive in /etc/selinux/config") ;;
  esac
  [ "$firewall" = true ] || return 0
  remedy="or set firewall to false and open the ports of docs/ports.md in it"
  if systemctl is-active -q firewalld 2>/dev/null; then
    problems+=("firewalld is active, and drops what our rules accept: \`systemctl disable --now firewalld\`, $remedy")
  fi
  # Its service is active on Ubuntu even where it filters nothing
  if LC_ALL=C ufw status 2>/dev/null | grep -q '^Status: active'; then
    problems+=("ufw is active, and drops what our rules accept: \`ufw disable\`, $remedy")
  fi
}

# Units run programs in these directories, and see nothing below home directories (ProtectHome).
find_mounts() {
  local directory real
  for directory in "${executed[@]}"; do
    real=$(readlink -f "$directory")
    case $real/ in
      /home/* | /root/* | /run/user/*)
        problems+=("$directory is $real, which units cannot see: expected a place outside of /home, /root, /run/user")
        ;;
    esac
    case ,$(findmnt -no OPTIONS -T "$real" || true), in
      *,noexec,*) problems+=("$directory is mounted noexec: expected exec (/etc/fstab), since programs run there") ;;
    esac
  done
}

# Nothing of a release or daemon that is there already counts. Directories on the same file system need the sum.
find_space() {
  local home mount
  local -A needs=() names=() frees=()
  for home in "${homes[@]}"; do [ -d "/opt/$home" ] || needs_space /opt 1024; done
  [ -z "$jobs_python" ] || compgen -G "/opt/pyflink-*" >/dev/null || needs_space /opt 1024
  [ -d "/var/lib/$user" ] || needs_space /var/lib 1024
  for mount in "${!needs[@]}"; do
    [ "${frees[$mount]}" -ge "${needs[$mount]}" ] ||
      problems+=("${names[$mount]} (file system $mount) has ${frees[$mount]} MiB free: expected ${needs[$mount]}")
  done
}

needs_space() {
  local free mount directory
  # It will be created on the file system of the nearest directory that exists
  directory=$(readlink -m "$1")
  until [ -d "$directory" ]; do directory=$(dirname "$directory"); done
  read -r free mount < <(df -Pm "$directory" | awk 'NR == 2 {print $4, $6}')
  frees[$mount]=$free
  needs[$mount]=$((${needs[$mount]:-0} + $2))
  case " ${names[$mount]:-} " in *" $1 "*) ;; *) names[$mount]="${names[$mount]:+${names[$mount]} }$1" ;; esac
}

# S3 refuses requests that are signed at another time. Only the time is asked for, so that a certificate that this clock
# takes for invalid does not matter. A storage that does not answer is not for the probe to judge.
find_clock() {
  local text theirs off which=ahead
  [ -n "$storage" ] || return 0
  text=$(fetch -skI --connect-timeout 5 --max-time 15 "$storage" |
    sed -n 's/^[Dd]ate: \([^\r]*\).*/\1/p' | tail -n 1) || true
  theirs=$(date -d "$text" +%s 2>/dev/null || true)
  [ -n "$text" ] && [ -n "$theirs" ] || return 0
  off=$(($(date +%s) - theirs))
  [ "$off" -ge 0 ] || which=behind
  [ "${off#-}" -le 300 ] ||
    problems+=("the clock is ${off#-} s $which of the storage's ($storage): expected 300 at most; use NTP (chrony)")
}

# Only with certificates of the stack's own (trusted_fetch.sh): without them a JVM may know others than curl does.
find_certificate() {
  local said code=0
  case ${trusted:+$storage} in https:*) ;; *) return 0 ;; esac
  said=$(fetch -sSI -o /dev/null --connect-timeout 5 --max-time 15 "$storage" 2>&1) || code=$?
  [ "$code" -ne 60 ] ||
    problems+=("the certificate of the storage ($storage) is refused: ${said%%$'\n'*}; expected one that is signed by trustedCertificates or a public authority")
}

# A daemon trusts the authority of its certificates, the one before and the next one, until it restarts (authorities.py).
find_authority() {
  local began from number has=0 next
  [ "${authority:-0}" -gt 0 ] || return 0
  began=$(stat -c %Y "/run/$unit/fingerprint" 2>/dev/null) || return 0
  # Lines of an earlier version have no number
  while read -r from _ number; do
    [ "$from" -gt "$began" ] || has=${number:-0}
  done < <(cat "$identities/valid" 2>/dev/null)
  [ "$has" -gt 0 ] || return 0
  next=$((has + (authority > has ? 1 : -1)))
  [ "$authority" -le $((has + 1)) ] && [ "$authority" -ge $((has - 1)) ] ||
    problems+=("tlsAuthority is $authority, and $unit runs with certificates of authority $has: it would trust nobody until it restarts; expected $next: set that and run \`up\` before you set $authority")
}
