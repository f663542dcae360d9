import { App, Stage, Tags, Validations, type StageProps } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { Construct } from 'constructs';
import type { Environment } from './config';
import { EDGE_REGION, EdgeStack } from './stacks/edge-stack';
import { EgressStack } from './stacks/egress-stack';
import { GatewayStack } from './stacks/gateway-stack';
import { GlobalStack } from './stacks/global-stack';

export { deployableEnvironments } from './config/deployable';

/** Region of the stack that belongs to no region: where Route 53 has its control plane and its metrics. */
const GLOBAL_REGION = 'us-east-1';

/** Adds the environments to an app, and everything that their templates are held against. */
export function addEnvironments(app: App, environments: readonly Environment[]): CausewayStage[] {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return environments.map((environment) => new CausewayStage(app, environment.name, { environment }));
}

export interface CausewayStageProps extends StageProps {
  readonly environment: Environment;
}

/** All stacks of one environment: egress and gateway of each region, one for what belongs to none, the edge if asked for. */
export class CausewayStage extends Stage {
  constructor(scope: Construct, id: string, props: CausewayStageProps) {
    super(scope, id, props);
    const { environment } = props;
    const { account } = environment;
    const stackProps = (region: string, role: string, what: string) => ({
      env: { region, ...(account === undefined ? {} : { account }) },
      stackName: `Causeway-${environment.name}-${role}`,
      description: `Causeway, environment ${environment.name}: ${what}`,
      terminationProtection: environment.loadBalancer.deletionProtection,
    });

    const gateways = environment.regions.map((region) => {
      const scope = new Construct(this, region.region);
      const egress = EgressStack.isNeeded(environment, region)
        ? new EgressStack(scope, 'Egress', {
            ...stackProps(
              region.region,
              `${region.region}-egress`,
              'network, fixed egress addresses, upstream credentials',
            ),
            environment,
            region,
          })
        : undefined;
      const gateway = new GatewayStack(scope, 'Gateway', {
        ...stackProps(region.region, `${region.region}-gateway`, 'load balancer, tasks and names of one region'),
        environment,
        region,
        vpc: egress?.vpc,
        credentials: egress?.credentials,
      });
      if (egress !== undefined) gateway.addStackDependency(egress, 'the gateway runs in its VPC, with its keys');
      return gateway;
    });
    const global = new GlobalStack(this, 'Global', {
      ...stackProps(GLOBAL_REGION, 'global', 'the public name'),
      environment,
    });
    for (const gateway of gateways) global.addStackDependency(gateway, 'its records refer to the names of each region');
    if (environment.edge.enabled) {
      const edge = new EdgeStack(this, 'Edge', {
        ...stackProps(EDGE_REGION, 'edge', 'CloudFront for lists of models'),
        environment,
      });
      edge.addStackDependency(global, 'its origin is the public name');
    }
    Tags.of(this).add('causeway:environment', environment.name);
  }
}
