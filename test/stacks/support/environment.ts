import { resolveEnvironment, type Environment, type EnvironmentInput } from '../../../lib/config';
import { DEPLOYMENT_RULES } from '../../../lib/config/deployment';
import { deepMerge } from '../../../lib/config/paths';

const BASE: EnvironmentInput = {
  regions: [{ region: 'eu-central-1' }, { region: 'ap-northeast-1' }, { region: 'us-east-1' }],
  domain: { name: 'claude.example.com', hostedZoneId: 'Z0123456789ABC', hostedZoneName: 'example.com' },
};

/** A deployable environment over three regions, with a change laid on top. */
export function deployable(change: EnvironmentInput = {}): Environment {
  const production = deepMerge(BASE, change) as EnvironmentInput;
  return resolveEnvironment({ environments: { production } }, 'production', DEPLOYMENT_RULES);
}
