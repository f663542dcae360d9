/** What {@link welcome} tells of. */
export interface Running {
  readonly baseUrl: string;
  readonly tlsUrl: string;
  /** The authority that signed the TLS certificate; none where it is the operator's own. */
  readonly caFile?: string;
  /** A key that works now. @default - the reader's own, which is passed through */
  readonly key?: string;
  readonly upstream: 'mock' | 'anthropic';
  readonly logFile: string;
  readonly readySeconds: number;
}

/** The text that `npm start` prints when it is ready. Each example works as it stands, from the repository's root. */
export function welcome(running: Running): string {
  const { baseUrl } = running;
  const key = running.key ?? '$ANTHROPIC_API_KEY';
  const variables = `ANTHROPIC_BASE_URL=${baseUrl} ANTHROPIC_API_KEY=${key}`;
  return `
Causeway is ready (${running.readySeconds.toFixed(1)} s).

  base URL   ${baseUrl}
             ${running.tlsUrl}${running.caFile === undefined ? '' : `  (CA: ${running.caFile})`}
  key        ${running.key ?? 'your own of the Anthropic API, in ANTHROPIC_API_KEY: it is passed through'}
  upstream   ${running.upstream === 'mock' ? 'the mock Claude API on this machine: its answers are invented' : `the Anthropic API${running.key === undefined ? '' : ', with your ANTHROPIC_API_KEY'}`}
  log        ${running.logFile}

# curl
curl ${baseUrl}/v1/messages \\
  -H "x-api-key: ${key}" -H "anthropic-version: 2023-06-01" -H "content-type: application/json" \\
  -d '{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'

# Python
python3 -m venv .venv && .venv/bin/pip install --quiet anthropic==2.14.0
${variables} .venv/bin/python examples/python/messages.py

# TypeScript
${variables} npx tsx examples/typescript/messages.ts

Ctrl-C stops.
`;
}
