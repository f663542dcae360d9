import { drive, drivenLua, type Outcome } from './support/valkey-driver';
import { eventually, startGateway, type GatewayOptions, type TestGateway } from './harness';

const lua = drivenLua();
const gateways: TestGateway[] = [];
afterEach(() => Promise.all(gateways.splice(0).map((gateway) => gateway.stop())));
afterAll(() => {
  lua.remove();
});

async function start(options: GatewayOptions = {}): Promise<TestGateway> {
  const gateway = await startGateway({ valkey: true, ...options, placement: { luaDirectory: lua.directory } });
  gateways.push(gateway);
  return gateway;
}

const call = (gateway: TestGateway, ...words: readonly (string | number)[]): Promise<Outcome> =>
  drive(gateway, 'call', ...words);

test('commands, pipelines and scripts', async () => {
  const gateway = await start();
  expect((await drive(gateway, 'enabled')).reply).toBe(true);
  const key = (await drive(gateway, 'key', 'a', 'b')).reply as string;
  expect(key).toBe('cw:test:a:b');
  expect((await call(gateway, 'SET', key, 'ü\r\n')).reply).toBe('OK');
  expect((await call(gateway, 'GET', key)).reply).toBe('ü\r\n');
  expect(await call(gateway, 'GET', 'none')).not.toHaveProperty('reply');
  expect((await call(gateway, 'INCRBY', 'n', 1_732_300_000_123)).reply).toBe(1_732_300_000_123);
  expect((await call(gateway, 'LPUSH', 'n', 1)).problem).toMatch(/^WRONGTYPE/);
  expect(
    (
      await drive(gateway, 'pipeline', [
        ['GET', key],
        ['GET', 'none'],
        ['LPUSH', 'n', 1],
        ['MGET', key, 'none'],
      ])
    ).reply,
  ).toEqual(['ü\r\n', false, { err: expect.stringMatching(/^WRONGTYPE/) as string }, ['ü\r\n', false]]);
  const script = { source: "return { KEYS[1], ARGV[1], redis.call('GET', 'none') }" };
  for (let round = 0; round < 2; round++) {
    expect((await drive(gateway, 'script', script, ['{a}'], ['x'])).reply).toEqual(['{a}', 'x', false]);
    await gateway.valkey?.command('SCRIPT', 'FLUSH');
  }
  await gateway.waitForLine(
    (line) => line['ValkeyUp'] === 1 && Number(line['ValkeyCalls']) > 0 && line['ValkeyErrors'] === 2,
    5000,
  );
  await eventually(async () => ((await drive(gateway, 'healthy')).reply === true ? true : undefined));
});
