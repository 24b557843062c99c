# Managed by Pulumi: changes are overwritten.
# Writes whether this host reaches the storage, as a metric that node_exporter shows. Any answer of its server counts: whether
# keys are right and buckets there, checkpoints show. Nothing secret is sent, so the certificate is not looked at, either.
set -u
proxy=http://10.0.0.9:3128
direct=10.0.0.0/8
# shellcheck shell=bash disable=SC2154
# Requests to servers outside of the cluster. Values: proxy (URL; empty: the host's own), direct (names that are reached
# without it). Inside of the cluster nothing uses a proxy: the host tool opens connections itself.

# fetch ARGUMENTS...: curl, through the proxy.
fetch() { through_proxy curl "$@"; }

# through_proxy COMMAND...: with the proxy of the stack (httpProxy), else with that of /etc/environment, which sudo may have
# dropped.
through_proxy() {
  (
    if [ -n "$proxy" ]; then
      export http_proxy=$proxy https_proxy=$proxy no_proxy=$direct
      unset HTTPS_PROXY NO_PROXY ALL_PROXY all_proxy
    else
      own_proxy
    fi
    exec "$@"
  )
}

# Lines as pam_env(8) reads them: NAME=VALUE, with or without blanks around it, export, quotes and a comment; the last line
# may have no end.
own_proxy() {
  local name value
  while IFS='=' read -r name value || [ -n "$name" ]; do
    name=${name,,}
    case $name in http_proxy | https_proxy | no_proxy) ;; *) continue ;; esac
    value=${value#[\"\']}
    [ -n "${!name:-}" ] || export "$name=${value%[\"\']}"
  done < <(sed 's/#.*//; s/^[[:space:]]*//; s/^export[[:space:]]*//; s/[[:space:]]*$//' /etc/environment 2>/dev/null)
}

reachable=0
said=$(fetch -skI -o /dev/null -w '%{http_code}' --connect-timeout 5 --max-time 10 http://10.9.9.1:7070)
# A proxy or a balancer says 502, 503 or 504 for a server that it does not reach
case $said in [1-4]??) reachable=1 ;; esac
new=$(mktemp /etc/flink-exporter/metrics/.storage.XXXXXX)
cat >"$new" <<END
# HELP flink_storage_reachable Whether this host gets an answer from the server of the storage.
# TYPE flink_storage_reachable gauge
flink_storage_reachable $reachable
END
chmod 0644 "$new"
mv -f "$new" /etc/flink-exporter/metrics/storage.prom
