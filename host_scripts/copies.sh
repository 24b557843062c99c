# shellcheck shell=bash disable=SC2154
# Copies of releases on the cluster's storage: the first host that needs a release makes one, the others use it. Part of
# the library of the steps that install one. Values: copies (the URL of their folder), copies_region. It needs the part
# host_tool/presign.py.
#
# The name of a copy is its checksum, and what it contains is verified like any download: so two hosts may make the same
# one, and a wrong one harms nobody. Whatever the storage says, the release's own places remain.

copy_wait_seconds=600
copy_room_kib=3145728 # for the packed and the unpacked releases of a host

# with_copies COMMAND: fetches the release as $work/home from its copy; or by COMMAND, and makes a copy.
with_copies() {
  local urls get see put mark marked unmark makes
  if ! signed; then
    "$1"
    return
  fi
  if from_copy; then return; fi
  makes=$(chosen)
  if [ "$makes" = later ]; then
    say "$name: another host is making a copy on the storage"
    wait_for_copy
    if from_copy; then return; fi
  fi
  [ "$makes" = no ] || keep=$work/archive
  if ! "$1"; then
    [ "$makes" = no ] || answer "$unmark" -X DELETE >/dev/null
    return 1
  fi
  [ "$makes" = no ] || make_copy
}

# signed: sets the signed URLs.
signed() {
  local copy=$copies/$kind-$expected
  urls=$(timeout 60 python3 -I -S -c "$(from_host_tool_presign_py cat)" "$copies_region" GET "$copy" HEAD "$copy" PUT "$copy" \
    PUT "$copy.making" GET "$copy.making" DELETE "$copy.making" 2>&1) || {
    say "$name: uses no copy on the storage: ${urls##*$'\n'}"
    return 1
  }
  { read -r get && read -r see && read -r put && read -r mark && read -r marked && read -r unmark; } <<<"$urls"
}

# chosen: whether this host makes the copy (yes, no), or another one does (later). Of hosts that begin at the same time only
# one creates the mark.
chosen() {
  [ "$(df -k --output=avail "$work" | tail -n 1)" -gt $copy_room_kib ] || { echo no && return; }
  case $(answer "$mark" -X PUT -H 'If-None-Match: *' -H 'Content-Type: text/plain' --data-binary "$host") in
    200) echo yes ;;
    # An earlier run of this host that was interrupted left it
    412)
      if [ "$(fetch -fs --max-time 30 -K - <<<"url = \"$marked\"" || true)" = "$host" ]; then echo yes; else echo later; fi
      ;;
    409) echo later ;;
    *) echo no ;;
  esac
}

from_copy() {
  [ "$(answer "$see" -I)" = 200 ] || return 1
  if unpack "$get" --retry 2 2>/dev/null && fits; then
    say "$name: from the copy on the storage"
    return 0
  fi
  say "$name: the copy on the storage is damaged, or cannot be read"
  return 1
}

# A host that is gone and had begun to make the copy has left the mark: then this one makes it.
wait_for_copy() {
  local end=$((SECONDS + copy_wait_seconds)) lost=0
  while [ $SECONDS -lt $end ] && [ $lost -lt 5 ]; do
    [ "$(answer "$see" -I)" != 200 ] || return 0
    case $(answer "$marked") in
      200) lost=0 ;;
      000 | 5??) lost=$((lost + 1)) ;; # the storage may not answer for a moment
      *) return 0 ;;
    esac
    sleep 2 # the interval between two checks
  done
}

make_copy() {
  local found
  found=$(answer "$put" --upload-file "$keep" --max-time 600 --speed-limit 10000 --speed-time 60)
  if [ "$found" = 200 ]; then say "$name: made a copy on the storage"; else say "$name: the storage took no copy ($found)"; fi
  answer "$unmark" -X DELETE >/dev/null
}

# answer URL CURL-OPTION...: the status of a request, 000 without an answer.
answer() {
  fetch -s -o /dev/null -w '%{http_code}' --connect-timeout 10 --max-time 30 "${@:2}" -K - <<<"url = \"$1\"" 2>/dev/null || true
}
