#!/bin/bash
# Starts the gateway in a container. The hop from the load balancer is encrypted with a certificate of the task's own, made
# here and never stored: a key in the image would be the same in all tasks, and readable by whoever may pull it. The load
# balancer does not verify what its targets show (AWS: ALB target groups), so that no authority is needed.
set -eu

tls=/run/causeway/tls
umask 077
mkdir -p "$tls"
said=$(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=causeway \
  -keyout "$tls/key.pem" -out "$tls/chain.pem" 2>&1) || {
  echo "the task's certificate could not be made: $said" >&2
  exit 1
}

# With the first process of a container end all others. Were that nginx, its last words would be lost in the filter behind
# it, now and then (2 of 20 times why it does not start). So this shell stays, passes signals on, and ends when they are out.
exec 3> >(exec cat >&2)
words=$!
# With job control, as what a shell starts beside it ignores SIGQUIT otherwise.
set -m
/opt/causeway/entrypoint.sh /etc/causeway 2>&3 3>&- &
nginx=$!
set +m
exec 3>&-
for signal in QUIT TERM INT HUP; do
  trap "kill -$signal $nginx" "$signal"
done
# A signal ends the waiting, not nginx.
while wait "$nginx"; kill -0 "$nginx" 2>/dev/null; do :; done
status=0
wait "$nginx" || status=$?
wait "$words"
exit "$status"
