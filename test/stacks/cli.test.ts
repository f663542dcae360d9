import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { cdkArguments, parseRequest, UsageError } from '../../lib/cli/cdk';
import type { CausewayConfig, EnvironmentInput } from '../../lib/config';

const domain = { name: 'claude.example.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' };
const one: EnvironmentInput = { regions: [{ region: 'eu-central-1' }], domain };
const two: EnvironmentInput = {
  regions: [{ region: 'eu-central-1' }, { region: 'us-east-1' }],
  domain,
  edge: { enabled: true, hostname: 'models.example.com' },
};
const CONFIG: CausewayConfig = { environments: { local: {}, one, two } };
const only: CausewayConfig = { environments: { local: {}, one } };

const cdk = (line: string, config = CONFIG) => cdkArguments(parseRequest(line.split(' ')), config).join(' ');

describe('what is asked of the CDK CLI', () => {
  test.each([
    ['synth', 'synth --quiet'],
    ['synth --env one', 'synth --quiet --context environment=one'],
    ['diff', 'diff one/** two/**'],
    ['diff --env two', 'diff two/** --context environment=two'],
    ['diff us-east-1', 'diff two/us-east-1/* --exclusively'],
    ['deploy eu-central-1 --env two', 'deploy two/eu-central-1/* --exclusively --context environment=two'],
    ['deploy us-east-1/egress --env two', 'deploy two/us-east-1/Egress --exclusively --context environment=two'],
    ['deploy us-east-1/gateway --env two', 'deploy two/us-east-1/Gateway --exclusively --context environment=two'],
    ['deploy global --env two', 'deploy two/Global --exclusively --context environment=two'],
    ['deploy edge --env two', 'deploy two/Edge --exclusively --context environment=two'],
    [
      'deploy --env one -- --require-approval never',
      'deploy one/** --context environment=one --require-approval never',
    ],
  ])('%s', (line, expected) => {
    expect(cdk(line)).toBe(expected);
  });

  test('the only environment needs no name', () => {
    expect(cdk('deploy eu-central-1', only)).toBe('deploy one/eu-central-1/* --exclusively');
  });

  test.each([
    ['deploy eu-central-1', 'say which environment by --env: one, two'],
    ['deploy mars --env one', 'there is no "mars" to deploy; there are: eu-central-1, global'],
    ['deploy eu-central-1/everything --env one', 'there is no "eu-central-1/everything" to deploy'],
    ['deploy edge --env one', 'there is no "edge" to deploy; there are: eu-central-1, global'],
    ['deploy a b', 'one region at a time, not "a b"'],
    ['synth eu-central-1', 'synth writes all templates: leave the region out'],
    ['destroy', 'say one of synth, diff, deploy, not "destroy"'],
    ['deploy --enviroment x', /Unknown option '--enviroment'/],
  ])('%s: is refused', (line, message) => {
    expect(() => cdk(line)).toThrow(UsageError);
    expect(() => cdk(line)).toThrow(message);
  });

  test('nothing to deploy is said', () => {
    expect(() => cdk('deploy', { environments: { local: {} } })).toThrow('no environment with regions');
  });
});

describe('a config that cannot be built', () => {
  const directory = mkdtempSync(join(tmpdir(), 'causeway-cli-'));
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  test('is one message that names the field, ends in failure, and writes nothing', () => {
    const file = join(directory, 'causeway.config.ts');
    const outdir = join(directory, 'cdk.out');
    writeFileSync(
      file,
      `export default { environments: { broken: { ...${JSON.stringify(one)}, timeouts: { drainSeconds: 60 } } } };`,
    );
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--require', 'tsx/cjs', 'bin/cdk.ts', 'synth', '--config', file, '--', '--output', outdir],
      { cwd: resolve(__dirname, '../..'), encoding: 'utf8' },
    );
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toBe(
      'causeway: causeway.config.ts, environment "broken": timeouts.drainSeconds: is 60; must be at least timeouts.maxStreamSeconds (3600), or deploys cut streams\n',
    );
    expect(existsSync(outdir)).toBe(false);
  });

  test.each<[string, EnvironmentInput]>([
    ['regions', { ...two, regions: [{ region: 'us-east-1' }, { region: 'us-east-1' }] }],
    ['domain.name', { ...one, domain: { ...domain, name: 'claude.example.org' } }],
    ['routing.countries.KP', { ...one, routing: { countries: { KP: { region: 'eu-central-1' } } } }],
    ['timeouts.drainSeconds', { ...one, timeouts: { drainSeconds: 60 } }],
    [
      'regions[0].eipAllocationIds',
      { ...one, regions: [{ region: 'eu-central-1', eipAllocationIds: ['eipalloc-01234567'] }] },
    ],
    [
      'consumers.reservations',
      {
        ...one,
        quota: { requestsPerMinute: 60 },
        consumers: { reservations: [{ consumer: 'a', requestsPerSecond: 2 }] },
      },
    ],
    ['natt', { ...one, natt: true } as EnvironmentInput],
    ['cache.ttl.edgeSeconds', { ...two, cache: { ttl: { edgeSeconds: 400, proxySeconds: 400, sharedSeconds: 400 } } }],
    ['tls.protocols', { ...one, tls: { protocols: ['TLSv1.3'] } }],
    ['compute.memoryMiB', { ...one, compute: { cpu: 256, memoryMiB: 4096 } }],
  ])('names %s', (field, broken) => {
    let message = '';
    try {
      cdk('synth', { environments: { broken } });
    } catch (error) {
      message = error instanceof Error ? error.message : String(error);
    }
    expect(message).toContain(`${field}: `);
  });
});
