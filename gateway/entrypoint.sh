#!/bin/bash
# Runs nginx in the foreground, the same on a laptop and in the image: entrypoint.sh PREFIX
#
# nginx writes the request line, Host and Referer into its error log. A client that puts its key there must not find it in a
# log: of the request, only method, path and the upstream's address are let through, and what follows a question mark
# elsewhere is cut. The filter ignores the signals that stop nginx, so that nginx's last words are not lost; it ends when
# nginx does.
set -eu
# A socket that a killed nginx left behind keeps this one from listening.
if [ -f "$1/server/fetch.conf" ]; then
  rm -f "$(sed -n -E 's/^listen "?unix:(.*\.sock).*/\1/p' "$1/server/fetch.conf")"
fi
# As many connections as the machine allows: the usual soft limit of 1024 is no measure of it.
ulimit -n "$(ulimit -Hn)"
exec nginx -p "$1" -c nginx.conf 2> >(
  trap '' INT TERM QUIT HUP
  exec sed -u -E '
    /, request: "/ {
      s|, request: "([A-Z_-]+ [^ ?"]*)[^"]*", upstream: "([a-z]+://[^/"]*).*|, request: "\1", upstream: "\2"|
      t
      s|, request: "([A-Z_-]+ [^ ?"]*).*|, request: "\1"|
      t
      s|, request: ".*||
      t
    }
    s/\?[^ ",]*/?.../g' >&2
)
