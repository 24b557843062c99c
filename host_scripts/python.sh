# shellcheck shell=bash disable=SC2154
# Installs the Python environment of jobs, complete or not at all, and from files with the declared digests only. Earlier
# environments stay for jobs that still run in them, or go back to them.
# Values: version (3.11), home, index (URL; empty: pip's own configuration), libraries (a package that hosts do not need),
# builder and packages (lines for pip), and those of proxy.sh and trusted_fetch.sh.

homes="/opt/pyflink-"
kept=3

apply() {
  local python
  # First: what a run leaves that is interrupted, or fails, must not stay when other packages are declared
  declares tree "$home"
  if [ "$(list_environment)" != "$(cat "$home/.complete" 2>/dev/null || echo none)" ]; then
    python=$(find_python "$version") || die "Python $version is missing: expected python$version or python3 of this version"
    # An earlier run may have been interrupted, or somebody has changed files
    rm -rf "$home"
    "$python" -m venv "$home" >&2 || die "$python cannot create environments: install venv (Debian: the package python3-venv)"
    [ ${#builder[@]} -eq 0 ] || install_packages "${builder[@]}"
    install_packages "${packages[@]}"
    find_missing
    list_environment >"$home/.new"
    mv -f "$home/.new" "$home/.complete"
    say "python: installed $version with ${#packages[@]} packages in $home"
  fi
  touch "$home/.complete"
  declare_environments
}

check() {
  declare_environments
  if [ ! -e "$home/.complete" ]; then
    differs "$home" "is missing, or not complete"
  elif [ "$(list_environment)" != "$(cat "$home/.complete")" ]; then
    differs "$home" "has other files than were installed" \
      "$(diff "$home/.complete" <(list_environment) | grep '^[<>]' | head -n 20)"
  fi
}

# install_packages LINE...: pip needs no resolver, since the lines are all that there is.
install_packages() {
  local arguments=(--no-deps --require-hashes --no-build-isolation --no-input --disable-pip-version-check -q)
  local said
  arguments+=(--cache-dir /var/cache/flink-python)
  if [ -n "$index" ]; then
    arguments+=(--index-url "$index")
    case $index in https:*) [ -z "${trusted:-}" ] || arguments+=(--cert "$(trusted_bundle)") ;; esac
    # What arrives without TLS is checked by its digest, like everything
    case $index in http:*) arguments+=(--trusted-host "$(sed -E 's,^http://([^/]*).*,\1,' <<<"$index")") ;; esac
  fi
  said=$(through_proxy "$home/bin/python" -m pip install "${arguments[@]}" -r <(printf '%s\n' "$@") 2>&1) ||
    die "pip: $(grep -m 1 -A 4 '^ *ERROR' <<<"$said" || tail -n 3 <<<"$said")"
}

# What packages need that is not among them.
find_missing() {
  local said
  said=$("$home/bin/python" -m pip check --disable-pip-version-check | grep -v " requires $libraries, which is not installed" |
    grep -v '^No broken requirements') || true
  [ -z "$said" ] || die "the requirements are not complete: $(head -n 3 <<<"$said")"
}

# list_environment: its files with their sizes.
list_environment() {
  [ ! -d "$home" ] || (cd "$home" && find . -type f ! -name .complete ! -name .new -printf '%P %s\n' | LC_ALL=C sort)
}

# The newest ones stay, and those that a process runs in. The rest is no longer declared.
declare_environments() {
  local one number=0
  declares tree /var/cache/flink-python
  declares tree "$home"
  while IFS= read -r one; do
    one=${one%/.complete}
    number=$((number + 1))
    if [ "$number" -le "$kept" ] || grep -qsF "$one/" /proc/[0-9]*/cmdline; then declares tree "$one"; fi
  done < <(ls -t "$homes"*/.complete 2>/dev/null)
}

# find_python VERSION: the path of an interpreter.
find_python() {
  local name
  for name in "python$1" python3; do
    if [ "$("$name" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}
