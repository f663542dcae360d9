#!/bin/sh
# One answer as JSON. ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY (a gateway key) say where and as whom.
set -eu
curl --fail-with-body --silent --show-error "$ANTHROPIC_BASE_URL/v1/messages" \
  -H "x-api-key: $ANTHROPIC_API_KEY" \
  -H "anthropic-version: 2023-06-01" \
  -H "content-type: application/json" \
  -d '{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
echo
