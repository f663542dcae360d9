import { exchange, messageBody, type Sending } from './support/exchange';
import { useGateway } from './support/gateways';

const gateway = useGateway({ workers: 2 });

const optedIn = (more: Sending = {}): Sending => ({
  ...more,
  headers: [['x-causeway-cache', 'max-age=60'], ...(more.headers ?? [])],
});

test.each([false, true])('100 identical, stream %s', async (stream) => {
  const text = `identical ${stream}`;
  const sending = optedIn({
    body: messageBody({ stream, messages: [{ role: 'user', content: text }] }),
    script: stream ? { deltas: 30, deltaMs: 20 } : { delayMs: 300 },
  });
  const answers = await Promise.all(Array.from({ length: 100 }, () => exchange(gateway(), sending)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(1);
  expect(gateway().mock.requests()).toHaveLength(1);
});
