import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A deployment as the fake keeps it. */
export interface FakeDeployment {
  readonly number: number;
  readonly profile: string;
  readonly version: number;
  state: string;
  percent: number;
  /** Looks that are taken at it before it goes on. */
  looks: number;
  readonly description: string;
}

export interface FakeVersion {
  readonly content: string;
  readonly description: string;
}

/** What one region holds. */
export class FakeRegion {
  readonly versions: FakeVersion[] = [{ content: '{"version":1,"consumers":[]}', description: 'Initial' }];
  readonly deployments: FakeDeployment[] = [
    { number: 1, profile: 'prof001', version: 1, state: 'COMPLETE', percent: 100, looks: 0, description: '' },
  ];
  /** How new deployments end. */
  outcome = 'COMPLETE';
  /** Every request is answered by this error. */
  down: { status: number; type: string } | undefined;
  /** Called before a version is written: somebody else may be quicker, or the answer may be lost. */
  beforeCreate: (() => void) | undefined;
  loseAnswers = 0;
  /** Calls by `METHOD path`. */
  readonly calls: string[] = [];

  /** The registry as it is deployed. */
  get deployed(): string {
    const done = this.deployments.filter(({ profile, state }) => profile === 'prof001' && state === 'COMPLETE');
    return this.versions[(done.at(-1)?.version ?? 0) - 1]?.content ?? '';
  }
}

const NAME = 'causeway-prod';
const page = (...items: readonly object[]): object => ({ Items: items });

/** As much of AppConfig's control plane as `npm run keys` uses, for several regions at one address. */
export class FakeAppConfig {
  private readonly regions = new Map<string, FakeRegion>();
  private constructor(
    private readonly server: Server,
    readonly endpoint: string,
  ) {}

  static async start(): Promise<FakeAppConfig> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const fake = new FakeAppConfig(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        fake.answer(request, Buffer.concat(chunks).toString(), response);
      });
    });
    return fake;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  region(name: string): FakeRegion {
    const region = this.regions.get(name) ?? new FakeRegion();
    this.regions.set(name, region);
    return region;
  }

  private answer(request: IncomingMessage, body: string, response: ServerResponse): void {
    // The region that the request is signed for.
    const name = /Credential=[^/]+\/\d+\/([^/]+)\/appconfig/.exec(request.headers.authorization ?? '')?.[1] ?? 'none';
    const region = this.region(name);
    const path = new URL(request.url ?? '', this.endpoint).pathname;
    region.calls.push(`${request.method ?? ''} ${path}`);
    const json = (status: number, value: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    const refuse = (status: number, type: string, message: string): void => {
      response
        .writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type })
        .end(JSON.stringify({ Message: message }));
    };
    if (region.down !== undefined) {
      refuse(region.down.status, region.down.type, 'no');
      return;
    }
    const one = /\/hostedconfigurationversions\/(\d+)$/.exec(path);
    const deployment = /\/deployments\/(\d+)$/.exec(path);
    if (path === '/applications') json(200, page({ Name: 'other', Id: 'app000' }, { Name: NAME, Id: 'app001' }));
    else if (path === '/deploymentstrategies') json(200, page({ Name: NAME, Id: 'strat01' }));
    else if (path === '/applications/app001/environments') json(200, page({ Name: 'gateway', Id: 'env0001' }));
    else if (path === '/applications/app001/configurationprofiles')
      json(200, page({ Name: 'credentials', Id: 'prof002' }, { Name: 'registry', Id: 'prof001' }));
    else if (path.endsWith('/hostedconfigurationversions') && request.method === 'GET')
      json(
        200,
        page(
          ...region.versions
            .map(({ description }, index) => ({ VersionNumber: index + 1, Description: description }))
            .reverse(),
        ),
      );
    else if (one !== null)
      response
        .writeHead(200, { 'content-type': 'application/json', 'version-number': one[1] })
        .end(region.versions[Number(one[1]) - 1]?.content);
    else if (path.endsWith('/hostedconfigurationversions')) this.create(region, request, body, response, refuse);
    else if (deployment !== null)
      json(200, { DeploymentNumber: Number(deployment[1]), EventLog: [{ Description: 'an alarm went off' }] });
    else if (path.endsWith('/deployments') && request.method === 'GET') json(200, page(...this.look(region)));
    else if (path.endsWith('/deployments')) this.deploy(region, body, json, refuse);
    else refuse(404, 'ResourceNotFoundException', path);
  }

  private create(
    region: FakeRegion,
    request: IncomingMessage,
    body: string,
    response: ServerResponse,
    refuse: (status: number, type: string, message: string) => void,
  ): void {
    const before = region.beforeCreate;
    region.beforeCreate = undefined;
    before?.();
    if (Number(request.headers['latest-version-number']) !== region.versions.length) {
      refuse(409, 'ConflictException', 'the latest version is another');
      return;
    }
    region.versions.push({ content: body, description: String(request.headers['description']) });
    if (region.loseAnswers > 0) {
      region.loseAnswers -= 1;
      response.destroy();
      return;
    }
    response.writeHead(201, { 'version-number': String(region.versions.length) }).end(body);
  }

  private look(region: FakeRegion): object[] {
    for (const each of region.deployments) {
      if (each.state !== 'DEPLOYING') continue;
      if (each.looks > 0) each.looks -= 1;
      else [each.state, each.percent] = [region.outcome, 100];
    }
    return region.deployments
      .map(({ number, profile, version, state, percent }) => ({
        DeploymentNumber: number,
        ConfigurationProfileId: profile,
        ConfigurationVersion: String(version),
        State: state,
        PercentageComplete: percent,
        DeploymentDurationInMinutes: 0,
        FinalBakeTimeInMinutes: 0,
      }))
      .reverse();
  }

  private deploy(
    region: FakeRegion,
    body: string,
    json: (status: number, value: object) => void,
    refuse: (status: number, type: string, message: string) => void,
  ): void {
    if (region.deployments.some(({ state }) => state === 'DEPLOYING')) {
      refuse(409, 'ConflictException', 'a deployment is in progress');
      return;
    }
    const asked = JSON.parse(body) as Record<string, string>;
    if (asked['DeploymentStrategyId'] !== 'strat01') {
      refuse(400, 'BadRequestException', 'no such strategy');
      return;
    }
    const number = region.deployments.length + 1;
    region.deployments.push({
      number,
      profile: asked['ConfigurationProfileId'] ?? '',
      version: Number(asked['ConfigurationVersion']),
      state: 'DEPLOYING',
      percent: 50,
      looks: 1,
      description: asked['Description'] ?? '',
    });
    json(201, { DeploymentNumber: number, State: 'DEPLOYING' });
  }
}
