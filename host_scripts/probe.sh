# shellcheck shell=bash disable=SC2154
# Checks whether a host is suitable, and reports its CPUs and memory. Changes nothing. No host changes before all have answered.
# Values: role, needed_mib, firewall, user, releases (names below /opt), jump (true: reached through a jump host). Prints
# {"cpus": N, "memoryMiB": N}.

# What the host tool imports, and the version
python_facts='import fcntl, hashlib, json, socket, subprocess, sys, tempfile; print("%d.%d" % sys.version_info[:2])'

cloud_init_is_done() { [ -e /run/cloud-init/result.json ] || [ -e /run/cloud-init/disabled ]; }

apply() {
  local problems=() python memory cpus free command home startups
  # A new machine may accept logins before cloud-init is done
  [ ! -d /run/cloud-init ] || wait_until 300 cloud_init_is_done || die "cloud-init is not done after 300 s"
  # shellcheck source=/dev/null
  . /etc/os-release
  [ "$(ps -p 1 -o comm=)" = systemd ] || problems+=("init is not systemd")
  case $(uname -m) in x86_64 | aarch64) ;; *) problems+=("architecture $(uname -m): expected x86_64 or aarch64") ;; esac
  for command in curl tar gzip sha256sum sha512sum mkfifo flock runuser ss sysctl ssh-keygen systemctl useradd; do
    command -v "$command" >/dev/null || problems+=("$command is missing")
  done
  python=$(python3 -I -S -c "$python_facts" 2>/dev/null || command -v python3 || true)
  case $python in
    3.9 | 3.[1-9][0-9] | [4-9].*) ;;
    "") problems+=("python3 is missing: install 3.9 or newer (Debian: apt-get install python3)") ;;
    /*) problems+=("python3 ($python) has no standard library: install it (Debian: apt-get install python3)") ;;
    *) problems+=("python3 is $python: install 3.9 or newer") ;;
  esac
  if [ "$firewall" = true ] && ! command -v nft >/dev/null; then
    problems+=("nft is missing: install nftables, or set firewall to false")
  fi
  home=$(getent passwd "$user" | cut -d: -f6 || true)
  [ -z "$home" ] || [ "$home" = "/var/lib/$user" ] ||
    problems+=("user $user already exists with the home $home: expected none, or one with the home /var/lib/$user")
  for command in "${releases[@]}"; do
    [ ! -e "/opt/$command" ] || [ -L "/opt/$command" ] || problems+=("/opt/$command exists and is not a link: move it away")
  done
  # When so many connections have not logged in yet, sshd begins to drop others (sshd_config(5), MaxStartups; 10 by
  # default). Behind a jump host the command plugin repeats the handshake on the dropped connection: the step fails.
  startups=$(sshd -T 2>/dev/null | sed -n 's/^maxstartups \([0-9]*\).*/\1/p' || true)
  [ "$jump" = false ] || [ "${startups:-10}" -ge 10 ] ||
    problems+=("sshd drops logins from MaxStartups $startups on, which behind a jump host fail for good: expected 10 or more")
  memory=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
  cpus=$(nproc)
  [ "$memory" -ge "$needed_mib" ] || problems+=("memory is $memory MiB: expected $needed_mib MiB or more for a $role")
  free=$(df -Pm /opt | awk 'NR == 2 {print $4}')
  [ -d /opt/java ] || [ "$free" -ge 2048 ] || problems+=("/opt has $free MiB free: expected 2048")
  [ ${#problems[@]} -eq 0 ] || die "cannot be a $role ($PRETTY_NAME): $(printf '%s; ' "${problems[@]}")"
  printf '{"cpus": %d, "memoryMiB": %d}\n' "$cpus" "$memory"
}
