#!/bin/sh
# Starts the gateway in a container. The hop from the load balancer is encrypted with a certificate of the task's own, made
# here and never stored: a key in the image would be the same in all tasks, and readable by whoever may pull it. The load
# balancer does not verify what its targets show (AWS: ALB target groups), so that no authority is needed.
set -eu

tls=/run/causeway/tls
umask 077
mkdir -p "$tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=causeway \
  -keyout "$tls/key.pem" -out "$tls/chain.pem" 2>/dev/null

exec /opt/causeway/entrypoint.sh /etc/causeway
