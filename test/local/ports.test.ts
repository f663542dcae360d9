import { createServer, type Server } from 'node:net';

import { assertPortFree, freePort } from '../../local/ports';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function occupied(host: string): Promise<number> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, host, done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

it('finds a free port, which can then be listened on', async () => {
  const port = await freePort();
  await expect(assertPortFree('127.0.0.1', port)).resolves.toBeUndefined();
  await expect(assertPortFree('127.0.0.1', port)).resolves.toBeUndefined();
});

it.each(['127.0.0.1', '0.0.0.0'])('says that a port is in use on %s, and the way out', async (host) => {
  const port = await occupied(host);
  await expect(assertPortFree('127.0.0.1', port)).rejects.toThrow(
    `port ${port} on 127.0.0.1 is in use: stop what listens there, or choose another port with --port`,
  );
});

it.each([0, -1, 65_536, 1.5, Number.NaN])('refuses %d, which is no port', async (port) => {
  await expect(assertPortFree('127.0.0.1', port)).rejects.toThrow(/choose one from 1 to 65535 with --port/);
});

it('says that an address is not of this machine', async () => {
  await expect(assertPortFree('203.0.113.7', 8080)).rejects.toThrow(/203\.0\.113\.7 is not an address of this machine/);
});
