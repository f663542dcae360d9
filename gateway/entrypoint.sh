#!/bin/bash
# Runs nginx in the foreground, the same on a laptop and in the image: entrypoint.sh PREFIX
#
# nginx writes the request line, and so the query, into its error log. A client that puts its key there must not find it
# in a log: what follows a question mark is cut from each line. The filter ignores the signals that stop nginx, so that
# nginx's last words are not lost; it ends when nginx does.
set -eu
# As many connections as the machine allows: the usual soft limit of 1024 is no measure of it.
ulimit -n "$(ulimit -Hn)"
exec nginx -p "$1" -c nginx.conf 2> >(
  trap '' INT TERM QUIT HUP
  exec sed -u -E 's/\?[^ ",]*/?.../g' >&2
)
