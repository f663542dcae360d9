import { effectiveValues, resolveEnvironment, type CausewayConfig, type EffectiveValue } from '../../lib/config';
import { readable, renderTable } from '../../lib/config/table';

const config: CausewayConfig = {
  common: {
    auth: { pollSeconds: 5, revocationSeconds: 600 },
    limits: { perAddress: { exempt: ['10.0.0.0/8'] } },
    upstreams: [{ id: 'a', host: 'a.example', port: 8443 }],
    consumers: { reservations: [{ consumer: 'x', requestsPerSecond: 1 }] },
  },
  environments: {
    prod: {
      auth: { revocationSeconds: 60 },
      upstreams: [
        { id: 'b', host: 'b.example' },
        { id: 'c', host: 'c.example', headers: { 'x-y': 'z' } },
      ],
      timeouts: { upstream: { readSeconds: { generate: 600 } } },
    },
  },
};

const rows = effectiveValues(config, resolveEnvironment(config, 'prod'));
const row = (field: string): EffectiveValue | undefined => rows.find((each) => each.field === field);

test.each<[string, unknown, EffectiveValue['origin']]>([
  ['auth.revocationSeconds', 60, 'environment'],
  ['auth.pollSeconds', 5, 'common'],
  ['auth.mode', 'keys', 'default'],
  ['limits.perAddress.exempt', ['10.0.0.0/8'], 'common'],
  ['clientAddress.trustedHops', [], 'default'],
  ['consumers.reservations[0].requestsPerSecond', 1, 'common'],
  ['upstreams[0].host', 'b.example', 'environment'],
  // Lists are replaced: the port that `common` gives to its own first upstream is not this one's.
  ['upstreams[0].port', 443, 'default'],
  ['upstreams[1].headers["x-y"]', 'z', 'environment'],
  ['upstreams[1].credentialHeader', 'x-api-key', 'default'],
  ['timeouts.upstream.readSeconds.generate', 600, 'environment'],
  ['timeouts.upstream.readSeconds.files', 600, 'derived'],
  ['timeouts.upstream.connectSeconds', 5, 'default'],
  ['timeouts.loadBalancerIdleSeconds', 630, 'derived'],
  ['breaker.streamFirstByteSeconds', 120, 'derived'],
  ['quota.fairness.scarceShare', 0.1, 'default'],
])('%s is %j by %s', (field, value, origin) => {
  expect(row(field)).toEqual({ field, value, origin });
});

test('each value stands once, in the schema’s order, and what is not set is not listed', () => {
  const fields = rows.map(({ field }) => field);
  expect(new Set(fields).size).toBe(fields.length);
  expect(fields.indexOf('auth.mode')).toBeLessThan(fields.indexOf('upstreams[0].id'));
  expect(fields).not.toContain('name');
  expect(fields).not.toContain('account');
});

test.each<[string, unknown, string]>([
  ['a.bSeconds', 0, '0 s'],
  ['a.bSeconds', 59, '59 s'],
  ['a.bSeconds', 60, '60 s (1 min)'],
  ['a.bSeconds', 945, '945 s (15 min 45 s)'],
  ['a.bSeconds', 3600, '3600 s (1 h)'],
  ['a.bSeconds', 90_061, '90061 s (1 d 1 h 1 min 1 s)'],
  ['a.readSeconds.files', 900, '900 s (15 min)'],
  ['a.bMs', 50, '50 ms'],
  ['a.bBytes', 0, '0 B'],
  ['a.bBytes', 1023, '1023 B'],
  ['a.bBytes', 1536, '1536 B (1.5 KiB)'],
  ['bodies.generate', 33_554_432, '33554432 B (32 MiB)'],
  ['a.bBytes', 4 * 1024 ** 4, '4398046511104 B (4096 GiB)'],
  ['a.rate', 0.25, '0.25'],
  ['a.flag', false, 'false'],
  ['a.mode', 'keys', 'keys'],
  ['a.path', '', '(empty)'],
  ['a.list', [], '(none)'],
  ['a.list', ['x', 'y'], 'x, y'],
  ['a.map', {}, '(none)'],
])('%s: %j reads as %s', (field, value, text) => {
  expect(readable(field, value)).toBe(text);
});

test('the table is aligned', () => {
  expect(
    renderTable([
      { field: 'a', value: 'long enough', origin: 'default' },
      { field: 'longer.field', value: 1, origin: 'common' },
    ]),
  ).toBe(
    [
      'FIELD         VALUE        ORIGIN',
      'a             long enough  default',
      'longer.field  1            common',
      '',
    ].join('\n'),
  );
});
