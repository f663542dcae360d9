import { isIP } from 'node:net';
import type { Environment } from '../derive';
import type { ConfigProblem } from '../errors';
import type { Rule } from '../ladder';
import type { Region } from '../schema';
import { problem } from './problem';

/** Wider blocks than these hold addresses of the public, who could then say to be anyone. */
const NARROWEST_TRUSTED = { 4: 8, 6: 32 } as const;

/** Every NAT gateway finds its address, and no address is asked for twice. */
export const addressesFit: Rule = ({ regions, network }) => {
  const problems: ConfigProblem[] = [];
  const needed = natAddresses(network);
  const seen = new Map<string, string>();
  regions.forEach(({ region, eipAllocationIds, existingVpc }, index) => {
    if (eipAllocationIds === undefined) return;
    const field = `regions[${index}].eipAllocationIds`;
    if (existingVpc !== undefined) {
      problems.push(
        problem(
          field,
          'is given with existingVpc; must be left out: the NAT of a VPC that exists already has its addresses',
        ),
      );
      return;
    }
    if (eipAllocationIds.length !== needed) {
      problems.push(
        problem(
          field,
          `holds ${eipAllocationIds.length}; must hold ${needed}, for network.nat "${network.nat}" over ${network.availabilityZones} AZs`,
        ),
      );
    }
    for (const id of eipAllocationIds) {
      const other = seen.get(id);
      if (other !== undefined) {
        problems.push(problem(field, `holds "${id}", which ${other} holds already; an address serves one NAT gateway`));
      }
      seen.set(id, region);
    }
  });
  return problems;
};

/** The range or the VPC of each region can hold what is put into it. */
export const networkFits: Rule = ({ regions, network, loadBalancer }) =>
  regions.flatMap((region, index) => {
    const field = `regions[${index}]`;
    return region.existingVpc === undefined
      ? rangeFits(field, region.vpcCidr)
      : vpcFits(`${field}.existingVpc`, region.region, region.existingVpc, network, loadBalancer);
  });

/** Who may say who the client is, is never everybody. */
export const trustedHopsAreNarrow: Rule = ({ clientAddress }) =>
  clientAddress.trustedHops.flatMap((block, index) => {
    const [address = '', prefix = '0'] = block.split('/');
    const narrowest = isIP(address) === 6 ? NARROWEST_TRUSTED[6] : NARROWEST_TRUSTED[4];
    return Number(prefix) < narrowest
      ? [
          problem(
            `clientAddress.trustedHops[${index}]`,
            `is "${block}"; must be /${narrowest} or narrower, or clients could forge their address`,
          ),
        ]
      : [];
  });

/** Elastic IPs that a region's NAT needs. */
export function natAddresses(network: Environment['network']): number {
  return network.nat === 'single' ? 1 : network.availabilityZones;
}

function rangeFits(field: string, cidr: string): ConfigProblem[] {
  const [address = '', prefix = '0'] = cidr.split('/');
  if (isIP(address) !== 4 || Number(prefix) < 16 || Number(prefix) > 24) {
    return [problem(`${field}.vpcCidr`, `is "${cidr}"; must be an IPv4 block from /16, the largest of a VPC, to /24`)];
  }
  const bits = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  return bits % 2 ** (32 - Number(prefix)) === 0
    ? []
    : [problem(`${field}.vpcCidr`, `is "${cidr}"; must begin at a multiple of its own size`)];
}

function vpcFits(
  field: string,
  region: string,
  vpc: NonNullable<Region['existingVpc']>,
  network: Environment['network'],
  loadBalancer: Environment['loadBalancer'],
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const zones = vpc.availabilityZones.length;
  if (zones < network.availabilityZones) {
    problems.push(
      problem(
        `${field}.availabilityZones`,
        `holds ${zones}; must hold at least network.availabilityZones (${network.availabilityZones})`,
      ),
    );
  }
  for (const zone of vpc.availabilityZones) {
    if (!zone.startsWith(region)) {
      problems.push(problem(`${field}.availabilityZones`, `holds "${zone}"; must be AZs of ${region}`));
    }
  }
  const subnets = [
    ['privateSubnetIds', vpc.privateSubnetIds, true],
    ['publicSubnetIds', vpc.publicSubnetIds, loadBalancer.exposure === 'public'],
  ] as const;
  for (const [name, ids, needed] of subnets) {
    if ((needed || ids.length > 0) && ids.length !== zones) {
      problems.push(
        problem(
          `${field}.${name}`,
          `holds ${ids.length}; must hold ${zones}, one for each of availabilityZones in its order`,
        ),
      );
    }
  }
  return problems;
}
