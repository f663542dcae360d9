import { Match, type Template } from 'aws-cdk-lib/assertions';
import type { EnvironmentInput } from '../../lib/config';
import { Firewall } from '../../lib/constructs/firewall';
import { BLOCKING_LABELS, COUNTED_RULES } from '../../lib/constructs/firewall-rules';
import { deployable } from './support/environment';
import { firstRegion, GatewayShell } from './support/gateway-shell';

interface WafRule {
  readonly Name: string;
  readonly Priority: number;
  readonly Action?: Record<string, unknown>;
  readonly OverrideAction?: Record<string, unknown>;
  readonly Statement: Record<string, unknown>;
  readonly VisibilityConfig: { readonly SampledRequestsEnabled: boolean };
}

function synthesize(change: EnvironmentInput = {}): Template {
  const environment = deployable(change);
  const stack = new GatewayShell(environment, firstRegion(environment));
  new Firewall(stack, 'Firewall', { environment, loadBalancer: stack.loadBalancer });
  return stack.synthesized;
}

function rules(template: Template): WafRule[] {
  const [acl] = Object.values(template.findResources('AWS::WAFv2::WebACL')) as { Properties: { Rules: WafRule[] } }[];
  return acl?.Properties.Rules ?? [];
}

function rule(template: Template, name: string): WafRule {
  const found = rules(template).find(({ Name }) => Name === name);
  if (found === undefined) throw new Error(`there is no rule ${name}`);
  return found;
}

describe('the firewall', () => {
  const template = synthesize();

  test('is associated with the load balancer', () => {
    template.hasResourceProperties('AWS::WAFv2::WebACLAssociation', {
      ResourceArn: { Ref: Match.stringLikeRegexp('^LoadBalancer') },
      WebACLArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('^FirewallWebAcl'), 'Arn'] },
    });
  });

  test('tries its rules in order: the cheap ones and those that spare the others first', () => {
    expect(rules(template).map(({ Name, Priority }) => [Priority, Name])).toEqual([
      [0, 'RateByAddress'],
      [1, 'RateByApiKey'],
      [2, 'RateByAuthorization'],
      [3, 'AWSManagedRulesAmazonIpReputationList'],
      [4, 'AWSManagedRulesCommonRuleSet'],
      [5, 'AWSManagedRulesKnownBadInputsRuleSet'],
      [6, 'ManagedRules'],
    ]);
  });

  test('limits by address, and by each header that carries a credential, over five minutes', () => {
    const limited = synthesize({ firewall: { perAddressPer5Minutes: 9000, perCredentialPer5Minutes: 4000 } });
    expect(rule(limited, 'RateByAddress').Statement).toEqual({
      RateBasedStatement: { AggregateKeyType: 'IP', EvaluationWindowSec: 300, Limit: 9000 },
    });
    expect(rule(limited, 'RateByApiKey').Statement).toEqual({
      RateBasedStatement: {
        AggregateKeyType: 'CUSTOM_KEYS',
        CustomKeys: [{ Header: { Name: 'x-api-key', TextTransformations: [{ Priority: 0, Type: 'NONE' }] } }],
        EvaluationWindowSec: 300,
        Limit: 4000,
      },
    });
    expect(rule(limited, 'RateByAuthorization').Statement).toEqual({
      RateBasedStatement: {
        AggregateKeyType: 'CUSTOM_KEYS',
        CustomKeys: [
          {
            Header: {
              Name: 'authorization',
              TextTransformations: [
                { Priority: 0, Type: 'COMPRESS_WHITE_SPACE' },
                { Priority: 1, Type: 'LOWERCASE' },
              ],
            },
          },
        ],
        EvaluationWindowSec: 300,
        Limit: 4000,
      },
    });
  });

  test('answers 429 with retry-after, and 403, in the API’s error shape', () => {
    for (const name of ['RateByAddress', 'RateByApiKey', 'RateByAuthorization']) {
      expect(rule(template, name).Action).toEqual({
        Block: {
          CustomResponse: {
            ResponseCode: 429,
            CustomResponseBodyKey: 'rateLimited',
            ResponseHeaders: [{ Name: 'retry-after', Value: '60' }],
          },
        },
      });
    }
    expect(rule(template, 'ManagedRules').Action).toEqual({
      Block: { CustomResponse: { ResponseCode: 403, CustomResponseBodyKey: 'forbidden' } },
    });
    const [acl] = Object.values(template.findResources('AWS::WAFv2::WebACL')) as {
      Properties: { CustomResponseBodies: Record<string, { Content: string; ContentType: string }> };
    }[];
    const bodies = acl?.Properties.CustomResponseBodies ?? {};
    expect(Object.values(bodies).map(({ ContentType }) => ContentType)).toEqual([
      'APPLICATION_JSON',
      'APPLICATION_JSON',
    ]);
    expect(JSON.parse(bodies['rateLimited']?.Content ?? '')).toMatchObject({
      type: 'error',
      error: { type: 'rate_limit_error' },
    });
    expect(JSON.parse(bodies['forbidden']?.Content ?? '')).toMatchObject({
      type: 'error',
      error: { type: 'permission_error' },
    });
  });

  test('never blocks by a body', () => {
    // AWS's groups only count, whatever rules they hold now or later ...
    const groups = rules(template).filter(({ Statement }) => 'ManagedRuleGroupStatement' in Statement);
    expect(groups).toHaveLength(3);
    for (const group of groups) {
      expect(group.OverrideAction).toEqual({ Count: {} });
      expect(group.Action).toBeUndefined();
    }
    // ... and what blocks in their place goes by labels that no body rule adds.
    const { OrStatement } = rule(template, 'ManagedRules').Statement as {
      OrStatement: { Statements: { LabelMatchStatement: { Scope: string; Key: string } }[] };
    };
    const keys = OrStatement.Statements.map(({ LabelMatchStatement }) => LabelMatchStatement.Key);
    expect(keys).toEqual(expect.arrayContaining([...BLOCKING_LABELS]));
    expect(keys.filter((key) => /body|NoUserAgent/i.test(key))).toEqual([]);
    // No statement of our own looks at a body.
    expect(JSON.stringify(rules(template))).not.toMatch(/"(Body|JsonBody)"/);
  });

  test.each(Object.entries(COUNTED_RULES))('lets no body rule of %s end the evaluation', (group, names) => {
    expect(rule(template, group).Statement['ManagedRuleGroupStatement']).toEqual({
      VendorName: 'AWS',
      Name: group,
      RuleActionOverrides: names.map((name) => ({ Name: name, ActionToUse: { Count: {} } })),
    });
  });

  test('asks no SDK to solve a challenge', () => {
    expect(JSON.stringify(template.toJSON())).not.toMatch(/"(Challenge|Captcha)"/);
  });

  test('leaves reputation lists out where asked to', () => {
    const without = synthesize({ firewall: { reputationLists: false } });
    expect(JSON.stringify(rules(without))).not.toMatch(/amazon-ip-list|IpReputation/);
  });
});

describe('allowed countries', () => {
  const template = synthesize({ routing: { allowCountries: ['DE', 'JP'] } });

  test('are tried first and spare /readyz, as it is written, and nothing else', () => {
    expect(rule(template, 'AllowedCountries')).toMatchObject({
      Priority: 0,
      Action: { Block: { CustomResponse: { ResponseCode: 403, CustomResponseBodyKey: 'forbidden' } } },
      Statement: {
        AndStatement: {
          Statements: [
            { NotStatement: { Statement: { GeoMatchStatement: { CountryCodes: ['DE', 'JP'] } } } },
            {
              NotStatement: {
                Statement: {
                  ByteMatchStatement: {
                    FieldToMatch: { UriPath: {} },
                    PositionalConstraint: 'EXACTLY',
                    SearchString: '/readyz',
                    TextTransformations: [{ Priority: 0, Type: 'NONE' }],
                  },
                },
              },
            },
          ],
        },
      },
    });
  });

  test('are not asked about where none are given', () => {
    expect(rules(synthesize()).map(({ Name }) => Name)).not.toContain('AllowedCountries');
  });
});

describe('the firewall’s log', () => {
  const template = synthesize({ firewall: { logDays: 14 } });

  test('goes to a group that WAF may write to, for as long as configured', () => {
    template.hasResourceProperties('AWS::Logs::LogGroup', {
      LogGroupName: 'aws-waf-logs-causeway-production',
      RetentionInDays: 14,
    });
  });

  test('holds what was refused, and no credential and no body in any of its parts', () => {
    template.hasResourceProperties('AWS::WAFv2::LoggingConfiguration', {
      RedactedFields: [{ SingleHeader: { Name: 'x-api-key' } }, { SingleHeader: { Name: 'authorization' } }],
      LoggingFilter: {
        DefaultBehavior: 'DROP',
        Filters: [
          { Behavior: 'KEEP', Requirement: 'MEETS_ANY', Conditions: [{ ActionCondition: { Action: 'BLOCK' } }] },
        ],
      },
    });
    template.hasResourceProperties('AWS::WAFv2::WebACL', {
      DataProtectionConfig: {
        DataProtections: [
          {
            Action: 'SUBSTITUTION',
            Field: { FieldType: 'SINGLE_HEADER', FieldKeys: ['x-api-key', 'authorization'] },
            ExcludeRateBasedDetails: Match.absent(),
            ExcludeRuleMatchDetails: Match.absent(),
          },
          {
            Action: 'SUBSTITUTION',
            Field: { FieldType: 'BODY' },
            ExcludeRateBasedDetails: Match.absent(),
            ExcludeRuleMatchDetails: Match.absent(),
          },
        ],
      },
    });
    expect(rules(template).filter(({ VisibilityConfig }) => VisibilityConfig.SampledRequestsEnabled)).toEqual([]);
  });
});
