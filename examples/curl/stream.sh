#!/bin/sh
# The same as a stream of server-sent events; --no-buffer shows each as it comes.
set -eu
curl --fail-with-body --silent --show-error --no-buffer "$ANTHROPIC_BASE_URL/v1/messages" \
  -H "x-api-key: $ANTHROPIC_API_KEY" \
  -H "anthropic-version: 2023-06-01" \
  -H "content-type: application/json" \
  -d '{"model":"claude-sonnet-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'
