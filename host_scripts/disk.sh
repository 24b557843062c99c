# shellcheck shell=bash disable=SC2154
# Mounts the disk that outlives the machine; one that is empty gets a file system, one that is not keeps what it has.
# Values: device, directory (where to), user (whose the data is).

apply() {
  local kind id
  wait_until 120 test -b "$device" || die "the disk $device is not there after 120 s: is the volume attached?"
  kind=$(blkid -p -o value -s TYPE "$device" || true)
  if [ -z "$kind" ]; then
    # blkid says nothing of a disk that it cannot read, either: a disk that is not all zeros is not ours to format
    cmp -s -n 1048576 "$device" /dev/zero || die "$device has no file system but is not empty: look at it, or empty it"
    mkfs.ext4 -q -m 0 "$device"
    say "disk: made a file system on $device"
  elif [ "$kind" != ext4 ]; then
    die "$device has a file system of the kind $kind: expected ext4, or an empty disk"
  fi
  id=$(blkid -p -o value -s UUID "$device")
  # nofail: a host without the disk can still be logged in to
  replace_block /etc/fstab "UUID=$id $directory ext4 noatime,nofail,x-systemd.growfs,x-systemd.device-timeout=30 0 2"
  systemctl daemon-reload
  if ! mountpoint -q "$directory"; then
    install -d "$directory"
    mount "$device" "$directory"
    # The user may have had another number on the machine before
    chown -R "$user:$user" "$directory"
  fi
  [ "$(findmnt -no UUID "$directory")" = "$id" ] || die "$directory is another disk than $device"
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
