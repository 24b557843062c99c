# shellcheck shell=bash disable=SC2154
# The java command line that Flink's own start scripts derive from a configuration. They run several JVMs for this: once
# here, when the configuration changes, instead of at every start. For launch.sh and jobmanager/history.sh.
# Values: user, home (of Flink's release), java (the JDK). With a storage that Flink's scripts have to know of also:
# storage_environment (NAME=VALUE, of the scripts).

# record WORK CONF SCRIPT ENTRYPOINT ARGUMENT...: runs bin/SCRIPT with the configuration folder CONF and a recorder in place
# of `java`, WORK/bin/java, which env.java.home has to name, and prints what it says. `from_record WORK argv` then prints the
# command line, each word ended by a NUL, and `exported WORK` what the script exports.
record() {
  local work=$1 conf=$2 script=$3 entrypoint=$4
  shift 4
  mkdir -p "$work/bin"
  recorder >"$work/bin/java"
  chmod 0755 "$work/bin/java"
  # The user's jobs may write in it from here on: so only the user reads and writes there
  chown "$user" "$work"
  # A login's environment, as systemd sets it: nothing else may influence the command line
  runuser -u "$user" -- env -i PATH="$PATH" HOME="/var/lib/$user" USER="$user" LOGNAME="$user" FLINK_CONF_DIR="$conf" \
    FLINK_PID_DIR="$work/pids" ${storage_environment[@]+"${storage_environment[@]}"} "$home/bin/$script" start-foreground "$@" 2>&1 &&
    runuser -u "$user" -- test -s "$work/argv"
}

from_record() { runuser -u "$user" -- cat "$1/$2"; }

# Takes the place of `java` for Flink's scripts: runs what they need to derive the command line, and records the daemon's.
recorder() {
  cat <<RECORDER
#!/bin/bash
for word; do
  if [ "\$word" = "$entrypoint" ]; then
    printf '%s\0' "\$@" >"$work/argv"
    env -0 | grep -z '^FLINK_.*_DIR=' >"$work/environment"
    exit 0
  fi
done
# Each script parses the configuration once
flags=(${short_lived[*]})
case " \$* " in
  *-XshowSettings*) exec "$java/bin/java" -XX:-UsePerfData "\$@" ;;
  *" UPDATE_AND_GET_FLINK_CONFIGURATION "*)
    [ -s "$work/parsed" ] || "$java/bin/java" "\${flags[@]}" "\$@" >"$work/parsed" 2>&1 || { cat "$work/parsed"; exit 1; }
    cat "$work/parsed"
    ;;
  *) exec "$java/bin/java" "\${flags[@]}" "\$@" ;;
esac
RECORDER
}

# exported WORK: lines NAME=VALUE, quoted for the shell: the folders that Flink's scripts export, except that of the PID
# file, and the JDK.
exported() {
  local word
  while IFS= read -r -d '' word; do
    case $word in FLINK_PID_DIR=*) continue ;; esac
    printf '%s=%q\n' "${word%%=*}" "${word#*=}"
  done < <(from_record "$1" environment)
  printf 'JAVA_HOME=%q\n' "$java"
}

# with_java JDK FILE: the configuration with another JDK.
with_java() { sed "s|^env.java.home: .*|env.java.home: $1|" "$2"; }
