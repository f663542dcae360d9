#!/bin/sh
# Installs Debian packages without letting their services start. Run as root by local/debian-packages.ts:
#
#   sh local/apt-install.sh <policy-rc.d path> <update: yes|no> "<services that must not start>" <package>…
#
# Debian starts a service when its package is installed, unless policy-rc.d says no. A policy of ours stands there
# meanwhile, and what stood there before is put back whatever happens: moved aside and back, so that it is the same file.
# One process does all of it, because it must come to its end even when the one that asked for it is killed.
set -u

policy=$1
update=$2
services=$3
shift 3
saved=$policy.causeway-saved
marker='made by causeway for the time of one installation'

restore() {
  if [ -e "$saved" ] || [ -L "$saved" ]; then
    mv -f "$saved" "$policy"
  elif grep -qs "$marker" "$policy"; then
    rm -f "$policy"
  fi
}

# An installation that is cut off leaves packages half configured: a Ctrl-C waits for the end (it reaches apt-get neither,
# which runs in a session of its own), a TERM likewise, since the shell acts on it after its child.
trap '' INT QUIT HUP
trap 'exit 143' TERM

# Two at once would each take the other's policy for what stood there before. Locked is the directory itself, so that no
# file is left behind; apt-get and what it starts do not inherit the lock (9<&-).
exec 9<"$(dirname "$policy")" && flock 9 || exit 1
trap restore EXIT
# A policy of ours that is still there was left by a run that was killed.
restore

patterns=
for service in $services; do
  patterns="$patterns${patterns:+ | }$service | $service.service | $service@*"
done
if [ -n "$patterns" ]; then
  if [ -e "$policy" ] || [ -L "$policy" ]; then mv -f "$policy" "$saved" || exit 1; fi
  cat >"$policy.causeway-new" <<POLICY || exit 1
#!/bin/sh
# $marker
for word in "\$@"; do
  case \$word in $patterns) exit 101 ;; esac
done
[ ! -x '$saved' ] || exec '$saved' "\$@"
exit 0
POLICY
  chmod 755 "$policy.causeway-new" && mv -f "$policy.causeway-new" "$policy" || exit 1
fi

export DEBIAN_FRONTEND=noninteractive
# needrestart (Ubuntu) would ask which services to restart, or restart them.
export NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1

apt() {
  setsid -w apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null 9<&-
}

# apt-get waits for dpkg's lock by itself, but not for that of its lists.
update_lists() {
  tries=0
  until output=$(apt update 2>&1); do
    printf '%s\n' "$output"
    case $output in *'Could not get lock'*) ;; *) return 1 ;; esac
    tries=$((tries + 1))
    [ $tries -lt 60 ] || return 1
    sleep 5
  done
  printf '%s\n' "$output"
}

[ "$update" = no ] || update_lists || exit 1
[ $# -eq 0 ] || apt install --no-install-recommends "$@" || {
  # The lists may be older than the mirror: what they name is gone there.
  update_lists && apt install --no-install-recommends "$@"
} || exit 1

if command -v systemctl >/dev/null 2>&1; then
  for service in $services; do
    # Not only not started now: not started at the next boot either.
    if [ -d /run/systemd/system ]; then
      systemctl disable --now "$service" || exit 1
    else
      systemctl disable "$service" || exit 1
    fi
  done
fi
