import { resolveEnvironment } from '../../lib/config';
import { page } from './markdown';

const MIB = 1024 * 1024;

test('the defaults that docs/caching.md names are those of the config', () => {
  const environment = resolveEnvironment({ environments: { prod: {} } }, 'prod');
  const named = [...page('docs/caching.md').matchAll(/`((?:cache|auth)\.[\w.]+)` \(([\d,.]+)( MiB| s)?\)/g)].map(
    ([, field = '', number = '', unit = '']) => ({
      field,
      value: Number(number.replaceAll(',', '')) * (unit === ' MiB' ? MIB : 1),
    }),
  );
  const valueOf = (field: string): unknown =>
    field
      .split('.')
      .reduce<unknown>((at, name) => (at as Readonly<Record<string, unknown>> | undefined)?.[name], environment);
  expect(named).toEqual(named.map(({ field }) => ({ field, value: valueOf(field) })));
  expect(new Set(named.map(({ field }) => field))).toEqual(
    new Set([
      ...['client', 'edge', 'proxy', 'shared', 'outage'].map((tier) => `cache.ttl.${tier}Seconds`),
      ...['nodeBytes', 'sharedBytes', 'maxItemBytes', 'maxConsumerShare'].map((name) => `cache.${name}`),
      'auth.revocationSeconds',
      'auth.pollSeconds',
    ]),
  );
});
