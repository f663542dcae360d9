import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { validateLine } from '../../lib/observability/emf-schema';
import { METRICS } from '../../lib/observability/metrics';

const ROOT = join(__dirname, '..', '..');

/** Lines that the data plane's own writer makes of Lua tables of metrics and properties. */
function written(...lines: readonly string[]): string[] {
  const script = `
    package.path = 'gateway/lua/?.lua;' .. package.path
    local emf = require('causeway.core.emf')
    local catalogue = require('causeway.core.metrics')
    local function write(metrics, properties)
      properties.Environment, properties.Region = 'local', 'local'
      print((emf.line(catalogue, 1767225600000.4, { { metrics = metrics } }, properties)))
    end
    ${lines.map((line) => `write(${line})`).join('\n')}`;
  return execFileSync('luajit', ['-e', script], { cwd: ROOT, encoding: 'utf8' }).trimEnd().split('\n');
}

const RECORD = "requestId = 'r', status = 200, startTime = '2026-01-01T00:00:00.000Z'";

test('what the Lua writer makes of the catalogue is good, whatever is known of a request', () => {
  const metrics = METRICS.filter(({ kind }) => kind === 'request').map(({ name }) => `${name} = 1`);
  const lines = written(
    `{ Requests = 1 }, { ${RECORD} }`,
    `{ ${metrics.join(', ')} }, { ${RECORD} }`,
    `{ ${metrics.join(', ')} }, { ${RECORD}, RouteClass = 'generate', Upstream = 'anthropic' }`,
    `{ ${metrics.join(', ')} }, { ${RECORD}, RouteClass = 'generate', Consumer = 'a', Upstream = 'b', Model = 'c' }`,
    `{ Requests = 1 }, { ${RECORD}, userAgent = 'é "quoted" \\\\ \\10 \\255', model = 'x' }`,
  );
  expect(lines.map(validateLine)).toEqual(lines.map(() => []));
});

test('and so are the lines of the node', () => {
  const lines = written(
    '{ WorkerMemoryBytes = 1024 }, { worker = 0 }',
    "{ DictFreeBytes = 4096 }, { Dict = 'causeway_state' }",
    "{ UpstreamAddresses = 2, UpstreamDnsAgeSeconds = 0.25, UpstreamDnsFailures = 0 }, { Upstream = 'anthropic' }",
    '{ ActiveConnections = 0, Ready = 1, CertificateDaysToExpiry = -0.5 }, {}',
  );
  expect(lines.map(validateLine)).toEqual(lines.map(() => []));
});
