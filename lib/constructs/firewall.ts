import { ArnFormat, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { IApplicationLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as wafv2 from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';
import type { Environment } from '../config';
import { CREDENTIAL_HEADERS, CUSTOM_RESPONSE_BODIES, firewallRules } from './firewall-rules';
import { logRetention } from './log-retention';

export interface FirewallProps {
  readonly environment: Environment;
  /** Its `wafFailOpen` is set where it is made, from `firewall.fail`. */
  readonly loadBalancer: IApplicationLoadBalancer;
}

/**
 * AWS WAF in front of one region's load balancer: coarse limits by address and by credential, the country allowlist, and
 * AWS's own rules for everything but bodies, for a prompt rightly holds code, SQL and shell.
 *
 * Where WAF itself does not answer, the load balancer lets requests through (`firewall.fail: open`) by default: the
 * gateway behind it authenticates and limits each request by itself, so that the firewall's outage costs protection from
 * floods, and not the service. `closed` refuses everything meanwhile, where the country allowlist must hold at any price.
 */
export class Firewall extends Construct {
  /** The `WebACL` dimension of the firewall's metrics in AWS/WAFV2. */
  readonly metricName: string;
  readonly webAcl: wafv2.CfnWebACL;

  constructor(scope: Construct, id: string, props: FirewallProps) {
    super(scope, id);
    const { environment, loadBalancer } = props;
    this.metricName = `causeway-${environment.name}`;

    this.webAcl = new wafv2.CfnWebACL(this, 'WebAcl', {
      scope: 'REGIONAL',
      description: 'Causeway: limits by address and credential, allowed countries, no rule that blocks by body',
      defaultAction: { allow: {} },
      customResponseBodies: CUSTOM_RESPONSE_BODIES,
      rules: firewallRules(environment),
      dataProtectionConfig: dataProtection(),
      visibilityConfig: { cloudWatchMetricsEnabled: true, sampledRequestsEnabled: false, metricName: this.metricName },
    });
    new wafv2.CfnWebACLAssociation(this, 'Association', {
      resourceArn: loadBalancer.loadBalancerArn,
      webAclArn: this.webAcl.attrArn,
    });
    this.addLogging(environment);
  }

  private addLogging(environment: Environment): void {
    const logGroup = new logs.LogGroup(this, 'Logs', {
      // WAF writes only to groups whose name begins so.
      logGroupName: `aws-waf-logs-causeway-${environment.name}`,
      retention: logRetention(environment.firewall.logDays),
      // A group that stayed behind would, by its fixed name, be in the way of the next deployment.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    new wafv2.CfnLoggingConfiguration(this, 'Logging', {
      resourceArn: this.webAcl.attrArn,
      // Without the `:*` that a log group's own ARN ends in, which WAF refuses.
      logDestinationConfigs: [
        Stack.of(this).formatArn({
          service: 'logs',
          resource: 'log-group',
          resourceName: logGroup.logGroupName,
          arnFormat: ArnFormat.COLON_RESOURCE_NAME,
        }),
      ],
      redactedFields: CREDENTIAL_HEADERS.map((name) => ({ singleHeader: { Name: name } })),
      // What was refused is what someone will ask about; what was let through is in the access logs. Requests that a
      // body rule counted are left out too, and with them the pieces of a prompt that such a rule quotes.
      loggingFilter: {
        DefaultBehavior: 'DROP',
        Filters: [
          { Behavior: 'KEEP', Requirement: 'MEETS_ANY', Conditions: [{ ActionCondition: { Action: 'BLOCK' } }] },
        ],
      },
    });
  }
}

/**
 * Redacted fields alone leave two leaks: a rate rule keyed by a header logs that header's value, and a rule that matched
 * a body logs what it matched.
 */
function dataProtection(): wafv2.CfnWebACL.DataProtectionConfigProperty {
  return {
    dataProtections: [
      { action: 'SUBSTITUTION', field: { fieldType: 'SINGLE_HEADER', fieldKeys: [...CREDENTIAL_HEADERS] } },
      { action: 'SUBSTITUTION', field: { fieldType: 'BODY' } },
    ],
  };
}
