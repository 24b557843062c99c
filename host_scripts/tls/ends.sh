# shellcheck shell=bash
# For steps that install certificates: whether one expires soon.

# check_end FILE TIME SECONDS RENEWAL: reports a certificate that expires within SECONDS.
check_end() {
  local left
  left=$(($(date -d "$2" +%s) - $(date +%s)))
  if [ "$left" -le 0 ]; then
    differs "$1" "has expired on $2: $4"
  elif [ "$left" -lt "$3" ]; then
    differs "$1" "expires on $2: $4"
  fi
}
