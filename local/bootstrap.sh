#!/bin/sh
# Runs one of our TypeScript entry points on a machine that has only Node, npm and this checkout:
#
#   sh local/bootstrap.sh <entry.ts> [arguments]
#
# Installs the npm packages when they are absent, unfinished or not those of package-lock.json, then becomes node: the
# process that was started is the one that gets the signals. Paths in the arguments are relative to the repository.
set -eu

fail() {
  printf 'causeway: %s\n' "$1" >&2
  exit 1
}

# $0 and not the working directory: `sh /elsewhere/local/bootstrap.sh` works too.
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || fail 'the repository cannot be entered'
cd -- "$root"

[ $# -ge 1 ] || fail 'usage: sh local/bootstrap.sh <entry.ts> [arguments]'
entry=$1
shift
[ -f "$entry" ] || fail "there is no $entry in $root"

command -v node >/dev/null 2>&1 ||
  fail 'Node.js 20.11 or newer is needed, and there is no node on PATH: see https://nodejs.org/en/download'
version=$(node --version)
major=${version#v}
minor=${major#*.}
major=${major%%.*}
minor=${minor%%.*}
case $major$minor in
  '' | *[!0-9]*) fail "Node.js 20.11 or newer is needed, and \`node --version\` says $version" ;;
esac
if [ "$major" -lt 20 ] || { [ "$major" -eq 20 ] && [ "$minor" -lt 11 ]; }; then
  fail "Node.js 20.11 or newer is needed, and this is $version: see https://nodejs.org/en/download"
fi

# What is installed is right when the stamp, written after a successful install, says so: the platform, because some
# packages hold programs, and the whole lock file, because comparing it costs no more than a hash would.
stamp=node_modules/.causeway-lock.json
stamp_platform=node_modules/.causeway-platform
platform=$(uname -sm)
lock=.causeway/install.lock
log=.causeway/npm-ci.log
npm_pid=

installed() {
  cmp -s package-lock.json "$stamp" && [ "$(cat "$stamp_platform" 2>/dev/null)" = "$platform" ]
}

write_stamp() {
  printf '%s\n' "$platform" >"$stamp_platform" && cp package-lock.json "$stamp.new" && mv -f "$stamp.new" "$stamp"
}

# The lock is a directory with its holder's pid in it, as local/lock.ts has it.
holder_is_alive() {
  holder=$(cat "$lock/pid" 2>/dev/null) || holder=
  if [ -z "$holder" ]; then
    # Killed between two commands, or about to write its pid: believed for a minute.
    [ -z "$(find "$lock" -maxdepth 0 -mmin +1 2>/dev/null)" ]
  elif [ -d /proc/self ]; then
    [ -d "/proc/$holder" ]
  else
    kill -0 "$holder" 2>/dev/null
  fi
}

take_lock() {
  mkdir -p .causeway || fail "$root/.causeway cannot be made: the repository must be writable"
  told=
  while ! mkdir "$lock" 2>/dev/null; do
    [ -d "$lock" ] || [ -w .causeway ] || fail "$root/.causeway must be writable"
    if holder_is_alive; then
      [ -n "$told" ] || printf 'causeway: waiting for the install that process %s runs\n' "${holder:-?}" >&2
      told=yes
      sleep 0.2
    elif mkdir "$lock.break" 2>/dev/null; then
      # Only one may remove a lock left behind, and looks again: the other might take away the new one.
      holder_is_alive || rm -rf "$lock"
      rmdir "$lock.break"
    else
      [ -z "$(find "$lock.break" -maxdepth 0 -mmin +1 2>/dev/null)" ] || rmdir "$lock.break" 2>/dev/null || :
      sleep 0.2
    fi
  done
  trap release_lock EXIT
  trap 'interrupt INT 130' INT
  trap 'interrupt TERM 143' TERM
  trap 'interrupt HUP 129' HUP
  echo $$ >"$lock/pid"
}

release_lock() {
  rm -rf "$lock"
}

interrupt() {
  trap '' INT TERM HUP
  if [ -n "$npm_pid" ]; then
    kill -TERM "$npm_pid" 2>/dev/null || :
    wait "$npm_pid" 2>/dev/null || :
  fi
  printf 'causeway: stopped while installing the npm packages; the next start installs them anew\n' >&2
  exit "$2"
}

install() {
  command -v npm >/dev/null 2>&1 || fail 'npm is needed, and there is none on PATH: it comes with Node.js'
  rm -f "$stamp"
  printf 'causeway: installing the npm packages (once, about a minute)\n' >&2
  # In the background, so that a signal is acted on now and not when npm has finished.
  npm ci --include=dev --no-audit --no-fund --loglevel=error >"$log" 2>&1 &
  npm_pid=$!
  if wait "$npm_pid"; then
    npm_pid=
    write_stamp || fail "$root/node_modules must be writable"
    return
  fi
  npm_pid=
  code=$(sed -n -e 's/^npm error code //p' -e 's/^npm ERR! code //p' "$log" | head -n 1)
  case $code in
    ENOTFOUND | EAI_AGAIN | ECONNREFUSED | ECONNRESET | ETIMEDOUT | ENETUNREACH | EHOSTUNREACH | ERR_SOCKET_TIMEOUT | FETCH_ERROR)
      fail "the npm packages could not be installed, because the npm registry was not reached ($code): check the network, or the proxy and registry in \`npm config list\`, then run this again (npm's own words: $log)"
      ;;
    *)
      first=$(sed -e '/^npm [^ ]* code /d' "$log" | sed -n -e 's/^npm error *//p' -e 's/^npm ERR! *//p' | sed -n '/./p' | head -n 1)
      fail "the npm packages could not be installed${code:+ ($code)}: ${first:-npm ci failed} (npm's own words: $log)"
      ;;
  esac
}

if ! installed; then
  take_lock
  # Another start may have installed meanwhile, or somebody ran `npm ci` by hand.
  if ! installed; then
    if node local/check-modules.mjs; then write_stamp || fail "$root/node_modules must be writable"; else install; fi
  fi
  release_lock
  trap - EXIT INT TERM HUP
fi

exec node --import tsx "$entry" "$@"
