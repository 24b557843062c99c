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
