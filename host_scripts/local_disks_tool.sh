#!/bin/bash
# Mounts the disks of the machine itself, EC2's instance store, at the directories, one each. A disk that is not mounted
# gets a new file system: it is blank (a new machine, or one that was stopped and started), or has what processes before
# the boot have left. A disk with anything that is not ours is never formatted.
#
# local-disks USER DIRECTORY...
set -euo pipefail

name=/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_
label=flink-local

fail() {
  echo "local-disks: $*" >&2
  exit 1
}

# One line for each disk, in the order of serial numbers: udev has several names for a disk, and names for partitions.
disks() {
  local link
  for link in "$name"*; do
    case $link in *-part[0-9]*) continue ;; esac
    [ ! -b "$link" ] || readlink -f "$link"
  done | awk '!seen[$0]++'
}

# Whether a disk is blank or ours; prints what it has otherwise.
found_on() { blkid -p -s TYPE -s PTTYPE -s LABEL "$1" 2>/dev/null | cut -d: -f2- || true; }

# serve DISK DIRECTORY
serve() {
  local found owner
  found=$(found_on "$1")
  owner=$(id -u "$user"):$(id -g "$user")
  case $found in
    "" | *" LABEL=\"$label\""*) mkfs.ext4 -q -F -m 0 -L "$label" -E root_owner="$owner" "$1" ;;
    *) fail "$1 has$found: expected a blank disk; erase it (wipefs --all $1) if nothing needs it" ;;
  esac
  # The directory is below the user's home, who could put a link in its place
  (cd / && runuser -u "$user" -- mkdir -p "$2")
  (cd "$2" && [ "$(pwd -P)" = "$(realpath "${2%/*}")/${2##*/}" ] && mount --no-canonicalize -t ext4 -o noatime "$1" .) ||
    fail "cannot mount $1 at $2: expected a directory there, no link"
}

user=$1
shift
found=()
for _ in {1..120}; do
  mapfile -t found < <(disks)
  [ ${#found[@]} -lt $# ] || break
  sleep 0.5 # the interval between two checks: while the machine boots, udev may not have named them yet
done
[ ${#found[@]} -ge $# ] || fail "found ${#found[@]} disks $name…: expected $#, as the instance type has"

number=0
for directory in "$@"; do
  disk=${found[number]}
  number=$((number + 1))
  mountpoint -q "$directory" || serve "$disk" "$directory"
  [ "$(findmnt -no SOURCE "$directory")" -ef "$disk" ] || fail "$directory is not on $disk"
done
