import type { ConfigProblem } from '../errors';
import type { Rule } from '../ladder';
import { problem } from './problem';

/** The window of the firewall's rate rules, in seconds. */
const FIREWALL_WINDOW_SECONDS = 300;

/** The firewall, which is coarse, never cuts in before the gateway's own limits do, and sees what it is to judge. */
export const firewallFits: Rule = ({ firewall, routing, loadBalancer, consumers }) => {
  const problems: ConfigProblem[] = [];
  if (routing.allowCountries !== undefined && !firewall.enabled) {
    problems.push(
      problem('routing.allowCountries', 'is given with firewall.enabled false; the firewall is what enforces it'),
    );
  }
  if (routing.allowCountries !== undefined && loadBalancer.exposure === 'internal') {
    problems.push(
      problem(
        'routing.allowCountries',
        'is given with loadBalancer.exposure "internal"; must be left out there: private addresses have no country',
      ),
    );
  }
  if (!firewall.enabled) return problems;
  const { perAddressPer5Minutes: perAddress, perCredentialPer5Minutes: perCredential } = firewall;
  if (perCredential > perAddress) {
    problems.push(
      problem(
        'firewall.perCredentialPer5Minutes',
        `is ${perCredential}; must be at most firewall.perAddressPer5Minutes (${perAddress}), or it never takes effect`,
      ),
    );
  }
  const { rate, burst } = consumers.defaults;
  problems.push(...cutsIn('a consumer by default', rate * FIREWALL_WINDOW_SECONDS + burst, perCredential));
  for (const { consumer, requestsPerSecond, shares } of consumers.reservations) {
    // A region sees no more than its share; without shares all of it may arrive in one.
    const share = shares === undefined ? 1 : Math.max(...Object.values(shares), 0);
    const requests = requestsPerSecond * share * FIREWALL_WINDOW_SECONDS;
    problems.push(...cutsIn(`the reservation of "${consumer}"`, requests, perCredential));
  }
  return problems;
};

/** A client's own credential is good at one upstream only, so that passing it on to another would only show it around. */
export const passthroughHasOneCredential: Rule = ({ auth, upstreams }) => {
  if (auth.mode !== 'passthrough') return [];
  const [first, ...others] = upstreams.map(({ id, credential }) => credential ?? id);
  return others.flatMap((credential, index) =>
    credential === first
      ? []
      : [
          problem(
            `upstreams[${index + 1}].credential`,
            `is "${credential}"; with auth.mode "passthrough" it must be "${first ?? ''}", the first upstream's, for the client's own credential is all there is`,
          ),
        ],
  );
};

function cutsIn(whose: string, requests: number, limit: number): ConfigProblem[] {
  const needed = Math.ceil(requests);
  return needed > limit
    ? [
        problem(
          'firewall.perCredentialPer5Minutes',
          `is ${limit}; must be at least ${needed}, what ${whose} may send in 5 minutes`,
        ),
      ]
    : [];
}
