import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { UPSTREAM_HOST, UPSTREAM_SECRET } from './harness';
import { useGateway } from './support/gateways';

/** The scenarios of python/sdk_scenarios.py, which tells of each on a line of its own. */
const SCENARIOS = [
  'messages',
  'streaming helper',
  'streamed events',
  'tool use',
  'thinking',
  'count_tokens',
  'batches with results',
  'models, page by page',
  'files',
  ...[400, 401, 403, 404, 413, 429, 500, 529].map((status) => `upstream's ${status}`),
  ...[401, 403, 404, 413].map((status) => `gateway's ${status}`),
  'error inside a stream',
  'retries',
  'bearer',
];

interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly problem: string;
}

const python = process.env['CAUSEWAY_TEST_PYTHON'] ?? '';
// Where PyPI cannot be reached the tests are named as skipped; in CI that is a failure.
const suite = python === '' && process.env['CI'] !== 'true' ? describe.skip : describe;

suite('the Python SDK through the gateway', () => {
  const gateway = useGateway({ mock: { name: 'through-causeway' } });
  let outcomes: Outcome[] = [];

  beforeAll(async () => {
    if (python === '')
      throw new Error('CAUSEWAY_TEST_PYTHON names no Python with the packages of test/requirements.txt');
    const env = {
      PATH: process.env['PATH'],
      CAUSEWAY_URL: gateway().baseUrl,
      CAUSEWAY_KEY: gateway().key,
      CAUSEWAY_UPSTREAM: `https://${UPSTREAM_HOST}:${gateway().mock.port}`,
    };
    const { stdout } = await promisify(execFile)(python, [join(__dirname, 'python', 'sdk_scenarios.py')], { env });
    outcomes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Outcome);
    const seen = gateway()
      .mock.requests()
      .map(({ headers }) => `${headers['x-api-key'] ?? ''} ${headers['authorization'] ?? ''}`);
    expect(new Set(seen)).toEqual(new Set([`${UPSTREAM_SECRET} `]));
  });

  it('runs the scenarios that are listed here, each once', () => {
    expect(outcomes.map(({ name }) => name)).toEqual(SCENARIOS);
  });

  it.each(SCENARIOS)('%s', (name) => {
    const outcome = outcomes.find((each) => each.name === name);
    expect(outcome?.problem).toBe('');
    expect(outcome?.ok).toBe(true);
  });
});
