import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { writeJsonState, writeStateFile } from '../../local/state-file';
import { eventually, startGateway, UPSTREAM_SECRET, type GatewayOptions, type TestGateway } from './harness';
import { send } from './support/http-client';

/** Credentials that the upstream knows come through without a registry: it is read for its purges alone. */
const PASSTHROUGH: GatewayOptions = {
  config: { auth: { mode: 'passthrough' }, limits: { perAddress: { rate: 10_000, burst: 10_000 } } },
};

let gateway: TestGateway | undefined;
let agent: Server | undefined;
afterEach(async () => {
  agent?.close();
  agent?.closeAllConnections();
  await gateway?.stop();
  gateway = agent = undefined;
});

async function start(options: GatewayOptions): Promise<TestGateway> {
  return (gateway = await startGateway(options));
}

const said = (running: TestGateway, text: string): number => running.errorLog().split(text).length - 1;

const gauge = (running: TestGateway, name: string): number[] =>
  running.lines().flatMap((line) => (typeof line[name] === 'number' ? [line[name]] : []));

const refused = (running: TestGateway): number => gauge(running, 'RegistryRefused').reduce((sum, one) => sum + one, 0);

/** Waits until that many more ages of the registry are told. */
async function agesFromNow(running: TestGateway, count: number): Promise<number[]> {
  const before = gauge(running, 'RegistryAgeSeconds').length;
  return eventually(() => {
    const ages = gauge(running, 'RegistryAgeSeconds').slice(before);
    return ages.length >= count ? ages : undefined;
  }, 20_000);
}

const passes = async (running: TestGateway): Promise<number> => (await send(running, { key: UPSTREAM_SECRET })).status;

test('in passthrough the registry may be missing: nothing was purged then, and that is known', async () => {
  const missing = 'later.json';
  const running = await start({ ...PASSTHROUGH, placement: { registrySource: join(__dirname, missing) } });
  expect(await passes(running)).toBe(200);
  expect(Math.max(...(await agesFromNow(running, 3)))).toBeLessThan(5);
  expect([refused(running), said(running, missing)]).toEqual([0, 0]);
  expect(gauge(running, 'RegistryConsumers')).toEqual([]);
});

test('in passthrough a broken registry is told and the last good one stays; clients do not notice', async () => {
  const running = await start(PASSTHROUGH);
  await agesFromNow(running, 1);
  writeJsonState(running.files.registry, { version: 1, consumers: [], purges: { all: 'now' } });
  await eventually(() => (refused(running) > 0 ? true : undefined), 20_000);
  await running.waitForLog(
    'registry refused: the registry: purges.all is "now": must be the word of a purge, ' +
      'such as 2026-11-23T18:00:00.000Z-1a2b3c4d; the last good one serves on',
  );
  // It is not confirmed any more.
  await eventually(() => ((gauge(running, 'RegistryAgeSeconds').at(-1) ?? 0) > 2 ? true : undefined), 20_000);
  expect(await passes(running)).toBe(200);
  expect((await fetch(`${running.baseUrl}/readyz`)).status).toBe(200);

  writeJsonState(running.files.registry, {
    version: 1,
    consumers: [],
    purges: { all: '2026-11-23T18:00:00.000Z-1a2b3c4d' },
  });
  await eventually(() => ((gauge(running, 'RegistryAgeSeconds').at(-1) ?? 9) < 2 ? true : undefined), 20_000);
  // One worker's look confirms it for all, and may be another's than that which says so.
  await running.waitForLog('registry reloaded');
  // One that is there no more is no registry without purges.
  writeStateFile(running.files.registry, '');
  await eventually(() => (said(running, 'registry.json: empty; the last good one serves on') ? true : undefined));
});

test('an AppConfig agent confirms the registry at each poll; when it falls silent, it ages', async () => {
  const registry = (): string => JSON.stringify({ version: 1, consumers: [] });
  let up = false;
  agent = createServer((_, response) => {
    if (up) response.end(registry());
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => agent?.listen(0, '127.0.0.1', done));
  const { port } = agent.address() as AddressInfo;
  const source = `http://127.0.0.1:${port}/applications/causeway-test/environments/gateway/configurations/registry`;
  const running = await start({ ...PASSTHROUGH, placement: { registrySource: source } });
  // An agent that does not know has not said that nothing was purged: the age of what was never read is not told.
  await eventually(() => (said(running, 'answered 404') > 0 ? true : undefined));
  expect(await passes(running)).toBe(200);
  expect(gauge(running, 'RegistryAgeSeconds')).toEqual([]);

  up = true;
  expect(Math.max(...(await agesFromNow(running, 3)))).toBeLessThan(5);
  up = false;
  const ages = await agesFromNow(running, 4);
  expect([...ages].sort((one, other) => one - other)).toEqual(ages);
  expect(ages.at(-1)).toBeGreaterThan(ages[0] ?? Infinity);
});
