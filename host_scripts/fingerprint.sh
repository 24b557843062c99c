#!/bin/sh
# fingerprint [--wanted] PATH...: one hash of what the files hold and where the links point, in this order; --wanted: with
# the launch that should run in place of the one that runs. Managed by Pulumi.
wanted=false
[ "${1-}" != --wanted ] || { wanted=true && shift; }
for path; do
  case $wanted:$path in true:*/launch/current) path=${path%current}wanted ;; esac
  if [ -L "$path" ]; then
    echo "-> $(readlink "$path")"
  elif [ -e "$path" ]; then
    sha256sum "$path"
  else
    echo "$path is not there"
  fi
done | sha256sum | cut -d' ' -f1
