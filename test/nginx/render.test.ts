import fc from 'fast-check';

import { ConfigError, ROUTE_CLASSES, type EnvironmentInput } from '../../lib/config';
import { renderGateway, type Placement } from '../../lib/nginx';
import { createBench, environmentOf, readDirectives, render, type Bench, type Directive } from './support';

let bench: Bench;
beforeAll(async () => {
  bench = await createBench();
});
afterAll(() => {
  bench.close();
});

const upstream = (id: string, more = {}) => ({ id, host: `${id}.claude.test`, ...more });

const variants: Readonly<Record<string, EnvironmentInput>> = {
  defaults: {},
  passthrough: { auth: { mode: 'passthrough' } },
  'the Admin API let through': { limits: { allowAdminApi: true } },
  'many upstreams': { upstreams: Array.from({ length: 12 }, (_, i) => upstream(`up-${i}`)) },
  'an upstream for some routes': {
    upstreams: [upstream('batches-only', { routeClasses: ['batches', 'files'] }), upstream('rest')],
  },
  'fixed addresses, a port, a base path, headers, a bearer': {
    upstreams: [
      upstream('aws', {
        port: 8443,
        addresses: ['192.0.2.1', '2001:db8::1'],
        basePath: '/anthropic/v2',
        credentialHeader: 'authorization',
        headers: { 'anthropic-workspace-id': 'wrkspc_1', 'x-odd': `a "quoted" 'value'; with {braces} \\ and # more` },
      }),
    ],
  },
  'the largest bodies': {
    bodies: Object.fromEntries(ROUTE_CLASSES.map((name) => [name, 512 * 1024 * 1024])),
  },
  'the shortest timeouts': {
    timeouts: {
      maxStreamSeconds: 1,
      upstream: { connectSeconds: 1, sendSeconds: 1 },
      client: { headerSeconds: 1, bodySeconds: 1 },
    },
  },
  'the longest timeouts': {
    timeouts: {
      maxStreamSeconds: 3600,
      upstream: { connectSeconds: 75, sendSeconds: 3900, readSeconds: { generate: 3900 } },
      client: { headerSeconds: 300, bodySeconds: 300 },
    },
  },
  'trusted hops of both families': { clientAddress: { trustedHops: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7/32'] } },
  'exempt addresses': { limits: { perAddress: { rate: 0.1, burst: 0, exempt: ['10.0.0.0/8', '2001:db8::/32'] } } },
  'TLS 1.3 only': { tls: { protocols: ['TLSv1.3'] } },
  'no cache': { cache: { enabled: false } },
  'the smallest cache': { cache: { nodeBytes: 1024 * 1024, maxItemBytes: 1024 } },
  'the largest cache': { cache: { nodeBytes: 4096 * 1024 * 1024 } },
  'many connections': { limits: { workerConnections: 262_144 } },
};

type Optional = 'httpListen' | 'httpsListen' | 'certificate' | 'workers';

function without(placement: Placement, ...names: Optional[]): Placement {
  const entries = Object.entries(placement).filter(([name]) => !(names as string[]).includes(name));
  // Only optional members can be named.
  return Object.fromEntries(entries) as unknown as Placement;
}

describe('nginx takes', () => {
  test.each(Object.entries(variants))('%s', (_what, input) => {
    expect(bench.judge(renderGateway(environmentOf(input), bench.placement))).toBe('');
  });

  test.each<[string, (placement: Placement) => Placement]>([
    ['no HTTPS', (placement) => without(placement, 'httpsListen', 'certificate')],
    ['no HTTP', (placement) => without(placement, 'httpListen')],
    ['IPv6', (placement) => ({ ...placement, httpListen: ['[::1]:18080'], httpsListen: ['[::]:18443'] })],
    ['a worker a core', (placement) => without(placement, 'workers')],
    ['a Valkey in the clear', (placement) => ({ ...placement, valkey: { tls: false } })],
    ['a Valkey over TLS', (placement) => ({ ...placement, valkey: { tls: true } })],
    ['resolvers', (placement) => ({ ...placement, resolvers: ['127.0.0.1:5353', '[::1]:53', '192.0.2.53'] })],
  ])('a placement with %s', (_what, change) => {
    expect(bench.judge(renderGateway(environmentOf({}), change(bench.placement)))).toBe('');
  });
});

function directives(input: EnvironmentInput, placement: Placement = bench.placement): Directive[] {
  const files = Object.entries(renderGateway(environmentOf(input), placement));
  return files.filter(([path]) => path.endsWith('.conf')).flatMap(([, text]) => readDirectives(text));
}

function valuesOf(name: string, input: EnvironmentInput): string[] {
  return directives(input)
    .filter(([directive]) => directive === name)
    .map((words) => words.slice(1).join(' '));
}

describe('what is rendered', () => {
  test('is the same each time, and pure', () => {
    expect(render(variants['many upstreams'] ?? {}, bench.placement)).toBe(
      render(variants['many upstreams'] ?? {}, bench.placement),
    );
  });

  test('says nothing of nginx, and buffers no answer', () => {
    expect(valuesOf('server_tokens', {})).toEqual(['off']);
    expect(new Set(valuesOf('proxy_buffering', {}))).toEqual(new Set(['off']));
  });

  test('names Host and SNI of each upstream, verified, each in a pool of its own with keepalive after the balancer', () => {
    const input = { upstreams: [upstream('first'), upstream('second', { port: 8443, basePath: '/base' })] };
    expect(valuesOf('proxy_ssl_name', input)).toEqual(['first.claude.test', 'second.claude.test']);
    expect(new Set(valuesOf('proxy_ssl_verify', input))).toEqual(new Set(['on']));
    expect(valuesOf('proxy_set_header', input).filter((value) => value.startsWith('Host '))).toEqual([
      'Host first.claude.test',
      'Host second.claude.test:8443',
    ]);
    expect(valuesOf('proxy_pass', input)).toEqual([
      'https://causeway_first',
      'https://causeway_second/base$request_uri',
    ]);
    expect(new Set(valuesOf('proxy_redirect', input))).toEqual(new Set(['off']));
    const file = renderGateway(environmentOf(input), bench.placement)['http/upstreams.conf'] ?? '';
    for (const pool of file.split(/^upstream /m).slice(1)) {
      expect(pool.indexOf('keepalive 256')).toBeGreaterThan(pool.indexOf('balancer_by_lua_block'));
    }
  });

  test('gives each route class its timeout and body limit, and streams files and batches through', () => {
    const readSeconds = { generate: 101, count: 102, models: 103, batches: 104, files: 105, other: 106 };
    const input = { timeouts: { upstream: { readSeconds } }, bodies: { other: 4096 } };
    const routes = renderGateway(environmentOf(input), bench.placement)['server/routes.conf'] ?? '';
    for (const name of ROUTE_CLASSES) {
      const location = routes.split(/^location /m).find((part) => part.includes(`.run('${name}', `)) ?? '';
      expect(location).toContain(`proxy_read_timeout ${readSeconds[name]}s;`);
      expect(location).toContain(`client_max_body_size ${environmentOf(input).bodies[name]};`);
      expect(location.includes('proxy_request_buffering off;')).toBe(name === 'files' || name === 'batches');
    }
  });

  test('believes no hop unless it is named', () => {
    expect(valuesOf('set_real_ip_from', {})).toEqual([]);
    expect(valuesOf('real_ip_header', {})).toEqual([]);
    expect(valuesOf('set_real_ip_from', { clientAddress: { trustedHops: ['10.0.0.0/8', '2001:db8::/32'] } })).toEqual([
      '10.0.0.0/8',
      '2001:db8::/32',
    ]);
  });

  test('repeats to another peer only what was not sent', () => {
    expect(new Set(valuesOf('proxy_next_upstream', {}))).toEqual(new Set(['error timeout']));
  });

  test('differs for nginx 1.26 only in how HTTP/2 is asked for', () => {
    const lines = (nginx: '1.22' | '1.26'): string[] => render({}, { ...bench.placement, nginx }).split('\n');
    const [older, newer] = [lines('1.22'), lines('1.26')];
    const listen = /^listen 127\.0\.0\.1:18443 ssl( http2)? /;
    expect(older.filter((line) => !newer.includes(line))).toEqual([expect.stringMatching(listen)]);
    const added = newer.filter((line) => !older.includes(line));
    expect(added).toEqual([expect.stringMatching(listen), 'http2 on;']);
    expect(added[0]).toBe(older.find((line) => listen.test(line))?.replace(' http2', ''));
  });

  test('needs a certificate for HTTPS', () => {
    expect(() => renderGateway(environmentOf({}), without(bench.placement, 'certificate'))).toThrow(
      'httpsListen needs a certificate',
    );
  });
});

describe('whatever the schema lets through', () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?$/);
  const headerValue = fc
    .string({ unit: fc.constantFrom(...Array.from(`aZ0 "'\\;{}#/=,:|&%~\``)), minLength: 1, maxLength: 40 })
    .map((text) => text.trim())
    .filter((text) => text !== '');
  const environment = fc.record<EnvironmentInput>({
    auth: fc.record({ mode: fc.constantFrom('keys' as const, 'passthrough' as const) }),
    upstreams: fc.uniqueArray(
      fc.record({
        id: label,
        host: fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.')),
        port: fc.integer({ min: 1, max: 65_535 }),
        basePath: fc.constantFrom('', '/a', '/a.b/~c_d'),
        headers: fc.dictionary(fc.stringMatching(/^x-[a-z0-9-]{1,12}$/), headerValue, { maxKeys: 3 }),
        keepaliveConnections: fc.integer({ min: 1, max: 1024 }),
      }),
      { minLength: 1, maxLength: 4, selector: ({ id }) => id },
    ),
    timeouts: fc.record({ maxStreamSeconds: fc.integer({ min: 1, max: 3600 }) }),
    clientAddress: fc.record({
      trustedHops: fc.array(
        fc.ipV4().map((address) => `${address}/32`),
        { maxLength: 2 },
      ),
    }),
  });

  test('is quoted so that nginx reads each value as it was given, and no directive more', () => {
    const known = new Set(directives(variants['trusted hops of both families'] ?? {}).map(([name]) => name));
    fc.assert(
      fc.property(environment, (input) => {
        let read: Directive[];
        try {
          read = directives(input);
        } catch (error) {
          fc.pre(!(error instanceof ConfigError));
          throw error;
        }
        expect([...new Set(read.map(([name]) => name))].filter((name) => !known.has(name))).toEqual([]);
        const sent = read.filter(([name, header]) => name === 'proxy_set_header' && header?.startsWith('x-') === true);
        const given = (input.upstreams ?? []).flatMap(({ headers }) => Object.entries(headers ?? {}));
        for (const [name, value] of given) expect(sent).toContainEqual(['proxy_set_header', name, value]);
        expect(bench.judge(renderGateway(environmentOf(input), bench.placement))).toBe('');
      }),
      { numRuns: 40 },
    );
  });
});
