#!/bin/sh
# fingerprint PATH...: one hash of what the files hold and where the links point, in this order. Managed by Pulumi.
for path; do
  if [ -L "$path" ]; then
    echo "-> $(readlink "$path")"
  elif [ -e "$path" ]; then
    sha256sum "$path"
  else
    echo "$path is not there"
  fi
done | sha256sum | cut -d' ' -f1
