#!/bin/bash
# A signer for `tlsSigner` with OpenSSL 3: an authority for each circle, in files beside this script. Use it to try the
# setting; with a PKI of yours, such as Vault or step-ca, replace `openssl x509` by its client.
#
#   sign.sh init     creates the authorities that are missing: CIRCLE.key and CIRCLE.pem
#   sign.sh          reads a request from stdin and prints the certificate of the authority of FLINK_TLS_CIRCLE
#
# OpenSSL signs for days: it cannot do `minutes` of the setting.
set -euo pipefail
cd "$(dirname "$0")"
umask 077

if [ "${1:-}" = init ]; then
  for circle in internal rest zookeeper monitoring; do
    [ -e "$circle.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
      -subj "/O=Example/CN=Flink $circle" -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$circle.key" -out "$circle.pem" 2>/dev/null
  done
  exit
fi

# The names are in the request; what the certificate may be used for is not
openssl x509 -req -in /dev/stdin -CA "$FLINK_TLS_CIRCLE.pem" -CAkey "$FLINK_TLS_CIRCLE.key" -days "$FLINK_TLS_DAYS" \
  -copy_extensions copy -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth") 2>/dev/null
