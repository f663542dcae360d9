import { ROUTE_CLASSES, type EnvironmentInput } from '../../lib/config';
import { renderGateway, type RenderedFiles } from '../../lib/nginx';
import { createBench, environmentOf, readDirectives, type Bench } from './support';

let bench: Bench;
beforeAll(async () => {
  bench = await createBench();
});
afterAll(() => {
  bench.close();
});

const upstream = (id: string, more = {}) => ({ id, host: `${id}.claude.test`, ...more });

function rendered(input: EnvironmentInput): RenderedFiles {
  return renderGateway(environmentOf(input), bench.placement);
}

/** Named locations of the attempts, with what each includes. */
function locations(files: RenderedFiles): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  let current: string[] = [];
  for (const words of readDirectives(files['server/attempts.conf'] ?? '')) {
    const [name, argument = ''] = words;
    if (name === 'location') current = found[argument] = [];
    else if (name === 'include') current.push(argument);
  }
  return found;
}

/** What Lua is told of the ways to upstreams. */
function attempts(files: RenderedFiles): unknown {
  return (JSON.parse(files['settings.json'] ?? '') as { attempts: unknown }).attempts;
}

const further = (id: string): string[] => ['server/failover.conf', `upstreams/${id}.conf`];
const last = (id: string): string[] => [`upstreams/${id}.conf`];

describe('the ways to upstreams', () => {
  test('of one are the locations that requests come in by, and nothing else', () => {
    const files = rendered({ upstreams: [upstream('one')] });
    expect(bench.judge(files)).toBe('');
    expect(locations(files)).toEqual({});
    expect(attempts(files)).toEqual({});
  });

  test('of two lead from the first to the second, for what may be sent to either', () => {
    const files = rendered({ upstreams: [upstream('one'), upstream('two')] });
    expect(bench.judge(files)).toBe('');
    expect(locations(files)).toEqual({
      ...Object.fromEntries(
        ['generate', 'count', 'models'].flatMap((name) => [
          [`@further:${name}:one`, further('one')],
          [`@last:${name}:two`, last('two')],
        ]),
      ),
      '@next-attempt': [],
    });
    const both = (name: string) => [
      { upstream: 'one', further: `@further:${name}:one` },
      { upstream: 'two', last: `@last:${name}:two` },
    ];
    expect(attempts(files)).toEqual({ generate: both('generate'), count: both('count'), models: both('models') });
  });

  test('of three let each be left out and each be the last, and classes have upstreams of their own', () => {
    const files = rendered({
      upstreams: [
        upstream('one'),
        upstream('two', { routeClasses: ['generate', 'files'] }),
        upstream('three', { routeClasses: ['generate', 'count'] }),
      ],
    });
    expect(bench.judge(files)).toBe('');
    expect(locations(files)).toEqual({
      '@further:generate:one': further('one'),
      '@further:generate:two': further('two'),
      '@last:generate:two': last('two'),
      '@last:generate:three': last('three'),
      '@further:count:one': further('one'),
      '@last:count:three': last('three'),
      '@next-attempt': [],
    });
  });

  test('in passthrough lead only to those that take the credential of a client', () => {
    const files = rendered({
      auth: { mode: 'passthrough' },
      upstreams: [upstream('one'), upstream('two'), upstream('three', { takesClientCredential: true })],
    });
    expect(bench.judge(files)).toBe('');
    expect(Object.keys(locations(files)).filter((name) => name.includes('two'))).toEqual([]);
    expect(attempts(files)).toMatchObject({ models: [{ upstream: 'one' }, { upstream: 'three' }] });
    expect(
      attempts(rendered({ auth: { mode: 'passthrough' }, upstreams: [upstream('one'), upstream('two')] })),
    ).toEqual({});
  });

  test('cannot have the same name, whatever upstreams are called', () => {
    const ids = ['a', 'a-last', 'last-a', 'count', 'generate', 'next-attempt'];
    const files = rendered({ upstreams: ids.map((id) => upstream(id)) });
    expect(bench.judge(files)).toBe('');
    // Each class: one way further but from the last, one way that is the last but to the first, and the common one.
    expect(Object.keys(locations(files))).toHaveLength(3 * 2 * (ids.length - 1) + 1);
  });

  test('have the timeout, body limit and headers of the location that the request came in by', () => {
    const input: EnvironmentInput = {
      upstreams: [upstream('one'), upstream('two')],
      bodies: { models: 123_456 },
      timeouts: { upstream: { readSeconds: { generate: 77, count: 5, models: 6 } } },
      breaker: { streamFirstByteSeconds: 7 },
    };
    const text = rendered(input)['server/attempts.conf'] ?? '';
    const location = (name: string): string => text.split(/^location /m).find((part) => part.startsWith(name)) ?? '';
    expect(location('@last:generate:two')).toContain('proxy_read_timeout 77s;');
    expect(location('@further:count:one')).toContain('proxy_read_timeout 5s;');
    expect(location('@last:models:two')).toContain('client_max_body_size 123456;');
    expect(location('@last:models:two')).toContain('set $causeway_upstream two;');
    expect(location('@last:models:two')).toContain('add_header x-causeway-region test-region-1 always;');
  });

  test('hold back every 5xx of an upstream and nothing else', () => {
    const held = readDirectives(rendered({})['server/failover.conf'] ?? '').find(([name]) => name === 'error_page');
    const statuses = (held ?? []).slice(1, -2).map(Number);
    expect(held?.slice(-2)).toEqual(['=', '@next-attempt']);
    expect(statuses).toEqual(Array.from({ length: 100 }, (_, index) => 500 + index));
  });

  test('are no matter of classes whose bodies are streamed, or that name what one upstream made', () => {
    const names = Object.keys(locations(rendered({ upstreams: [upstream('one'), upstream('two')] })));
    for (const name of ROUTE_CLASSES) {
      expect(names.some((each) => each.includes(`:${name}:`))).toBe(['generate', 'count', 'models'].includes(name));
    }
  });
});
