import type { Environment, Region } from '../config';
import { natAddresses, tasksOf } from '../config/deployment';
import { hostnames } from '../config/hostnames';

/** The way of a request through an environment as a Mermaid flowchart, from the same values that the stacks are built from. */
export function architecturePicture(environment: Environment): string {
  return [
    'flowchart LR',
    ...indent([
      'client(["Clients"])',
      ...names(environment),
      ...environment.regions.flatMap((region) => regionPicture(environment, region)),
      ...upstreams(environment),
      ...edge(environment),
      ...ways(environment),
    ]),
    '',
  ].join('\n');
}

function names(environment: Environment): string[] {
  const { publicName, latencyName } = hostnames(environment);
  return [
    'subgraph dns["Route 53"]',
    ...indent([
      node('public', publicName, 'by country'),
      node('latency', latencyName, 'nearest healthy region'),
      'public -->|everybody else| latency',
    ]),
    'end',
    'client --> public',
  ];
}

/** Countries lead to their region; the latency set to every region. */
function ways(environment: Environment): string[] {
  const { countries } = environment.routing;
  const byRegion = environment.regions.flatMap(({ region }) => {
    const codes = Object.entries(countries).filter(([, country]) => country.region === region);
    const label = codes.map(([code, { pinned }]) => (pinned ? `${code} (pinned)` : code)).join(', ');
    return label === '' ? [] : [`public -->|"${label}"| ${id(region)}_alb`];
  });
  return [...environment.regions.map(({ region }) => `latency --> ${id(region)}_alb`), ...byRegion];
}

function regionPicture(environment: Environment, region: Region): string[] {
  const { compute, firewall, loadBalancer, network, valkey } = environment;
  const { min, max } = tasksOf(environment, region);
  const zones = region.existingVpc?.availabilityZones.length ?? network.availabilityZones;
  const at = id(region.region);
  const tasks =
    compute.type === 'fargate'
      ? `Fargate: ${min}–${max} tasks of ${compute.cpu / 1024} vCPU, ${compute.memoryMiB} MiB`
      : `EC2 ${compute.instanceType}: ${min}–${max} tasks`;
  return [
    `subgraph ${at}["${region.region}, ${zones} AZs"]`,
    ...indent([
      node(
        `${at}_alb`,
        `${loadBalancer.exposure === 'public' ? 'Public' : 'Internal'} load balancer`,
        `${firewall.enabled ? 'WAF, ' : ''}ACM certificate${loadBalancer.mutualTls === undefined ? '' : ', mutual TLS'}`,
      ),
      node(`${at}_tasks`, 'nginx and Lua', tasks),
      `${at}_alb --> ${at}_tasks`,
      ...(valkey.mode === 'none'
        ? []
        : [
            `${at}_valkey[("${valkey.mode === 'serverless' ? 'Valkey Serverless' : `Valkey, ${valkey.replicas + 1} nodes`}")]`,
            `${at}_tasks <--> ${at}_valkey`,
          ]),
      node(`${at}_nat`, 'NAT', nat(environment, region)),
      `${at}_tasks --> ${at}_nat`,
    ]),
    'end',
    ...environment.upstreams.map(
      (_, index) => `${at}_nat ${index === 0 ? '-->' : '-.->|takes over|'} upstream_${index}`,
    ),
  ];
}

function nat({ network }: Environment, region: Region): string {
  if (region.existingVpc !== undefined) return `of ${region.existingVpc.vpcId}`;
  const addresses = natAddresses(network);
  return `${network.nat}, ${addresses} fixed ${addresses === 1 ? 'address' : 'addresses'}`;
}

function upstreams({ upstreams: all }: Environment): string[] {
  return all.map(({ id: name, host }, index) => node(`upstream_${index}`, name, host));
}

function edge({ edge: { enabled, hostname }, cache }: Environment): string[] {
  if (!enabled || hostname === undefined) return [];
  return [
    node('edge', `CloudFront ${hostname}`, `GET /v1/models, ${cache.ttl.edgeSeconds} s`),
    'client -.-> edge',
    'edge -.-> public',
  ];
}

function node(name: string, title: string, detail: string): string {
  return `${name}["${title}<br/>${detail}"]`;
}

function id(region: string): string {
  return region.replaceAll('-', '_');
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
