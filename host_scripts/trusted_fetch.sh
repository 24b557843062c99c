# shellcheck shell=bash disable=SC2154
# Downloads with certificates of the stack's own, besides those that the host trusts. After proxy.sh. Value: trusted (PEM).

fetch() {
  local bundle
  bundle=$(trusted_bundle)
  through_proxy curl --cacert "$bundle" "$@"
}

# trusted_bundle: the path of all certificates. In memory, and root's.
trusted_bundle() {
  local system bundle=/run/flink-steps/$record.pem
  for system in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /dev/null; do
    [ ! -r "$system" ] || break
  done
  { cat "$system" && printf '%s\n' "$trusted"; } >"$bundle"
  echo "$bundle"
}
