# shellcheck shell=bash disable=SC2154
# Mounts the disk that outlives the machine. An empty disk gets a file system; any other disk keeps its contents.
# Values: device, directory (the mount point), user (the owner of the data).

apply() {
  local kind id
  wait_until 120 test -b "$device" || die "disk $device was not found within 120 s: is the volume attached?"
  kind=$(blkid -p -o value -s TYPE "$device" || true)
  if [ -z "$kind" ]; then
    # blkid also prints nothing for a disk that it cannot read: never format a disk that is not all zeros
    cmp -s -n 1048576 "$device" /dev/zero || die "$device has no file system but is not empty: inspect it, or erase it"
    mkfs.ext4 -q -m 0 "$device"
    say "disk: made a file system on $device"
  elif [ "$kind" != ext4 ]; then
    die "$device has the file system $kind: expected ext4, or an empty disk"
  fi
  id=$(blkid -p -o value -s UUID "$device")
  # nofail: a host without the disk still boots, so that you can log in
  replace_block /etc/fstab "UUID=$id $directory ext4 noatime,nofail,x-systemd.growfs,x-systemd.device-timeout=30 0 2"
  systemctl daemon-reload
  if ! mountpoint -q "$directory"; then
    install -d "$directory"
    mount "$device" "$directory"
  fi
  [ "$(findmnt -no UUID "$directory")" = "$id" ] || die "$directory is mounted from another disk than $device"
  # The user may have had another UID on the previous machine
  [ "$(stat -c %U "$directory")" = "$user" ] || chown -R "$user:$user" "$directory"
  report disk
}

check() {
  local id
  id=$(blkid -p -o value -s UUID "$device" || true)
  # shellcheck disable=SC2034  # lib.sh uses it
  checking=true
  replace_block /etc/fstab "UUID=$id $directory ext4 noatime,nofail,x-systemd.growfs,x-systemd.device-timeout=30 0 2"
  expect "$directory" "the file system ${id:-of $device}" "the file system $(findmnt -no UUID "$directory" || echo of its machine)"
}
