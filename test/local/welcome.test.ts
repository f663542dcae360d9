import { welcome, type Running } from '../../local/welcome';

const bare: Running = {
  baseUrl: 'http://127.0.0.1:8080',
  tlsUrl: 'https://127.0.0.1:8443',
  upstream: 'mock',
  logFile: '.causeway/run-8080/log/gateway.jsonl',
  readySeconds: 1.26,
};
const [caFile, key] = ['.causeway/pki/ca.pem', 'cwk_example'];
const running: Running = { ...bare, caFile, key };

it('is this text', () => {
  expect(welcome(running)).toBe(`
Causeway is ready (1.3 s).

  base URL   http://127.0.0.1:8080
             https://127.0.0.1:8443  (CA: .causeway/pki/ca.pem)
  key        cwk_example
  upstream   the mock Claude API on this machine: its answers are invented
  log        .causeway/run-8080/log/gateway.jsonl

# curl
curl http://127.0.0.1:8080/v1/messages \\
  -H "x-api-key: cwk_example" -H "anthropic-version: 2023-06-01" -H "content-type: application/json" \\
  -d '{"model":"claude-sonnet-5-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'

# Python
python3 -m venv .venv && .venv/bin/pip install --quiet anthropic==2.14.0
ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY=cwk_example .venv/bin/python examples/python/messages.py

# TypeScript
ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY=cwk_example npx tsx examples/typescript/messages.ts

Ctrl-C stops.
`);
});

it('names no authority where the certificate is the operator’s own', () => {
  expect(welcome({ ...bare, key })).toContain('             https://127.0.0.1:8443\n');
});

it('says which key the real API is asked with', () => {
  expect(welcome({ ...running, upstream: 'anthropic' })).toContain(
    '  upstream   the Anthropic API, with your ANTHROPIC_API_KEY\n',
  );
});

it('prints examples for the reader’s own key where keys are passed through', () => {
  const text = welcome({ ...bare, caFile, upstream: 'anthropic' });
  expect(text).toContain('  key        your own of the Anthropic API, in ANTHROPIC_API_KEY: it is passed through\n');
  expect(text).toContain('  upstream   the Anthropic API\n');
  expect(text).toContain('-H "x-api-key: $ANTHROPIC_API_KEY"');
  expect(text).toContain('ANTHROPIC_API_KEY=$ANTHROPIC_API_KEY npx');
});
