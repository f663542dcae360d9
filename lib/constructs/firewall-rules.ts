import type { CfnWebACL } from 'aws-cdk-lib/aws-wafv2';
import type { Environment } from '../config';
import { READY_PATH } from '../gateway-image';

type Rule = CfnWebACL.RuleProperty;
type Statement = CfnWebACL.StatementProperty;

/** The headers that carry a credential: what limits are keyed by, and what no log may hold. */
export const CREDENTIAL_HEADERS = ['x-api-key', 'authorization'] as const;

/** Seconds that rate rules look back over. */
const RATE_WINDOW_SECONDS = 300;
/** When a client that was cut off should try again: about a window's fifth later it may be below the limit. */
const RETRY_AFTER_SECONDS = 60;

/** Answers in the API's own error shape, so that SDKs raise the exception they raise for the API. */
export const CUSTOM_RESPONSE_BODIES: Record<string, CfnWebACL.CustomResponseBodyProperty> = {
  forbidden: jsonError('permission_error', 'The request was refused by the firewall in front of the gateway.'),
  rateLimited: jsonError('rate_limit_error', 'Too many requests reached the gateway; retry later.'),
};

/**
 * The rules of AWS's own groups that may block, by the label that they add. All of them read the address, the path, the
 * query or a header. Not among them: `NoUserAgent_Header`, for minimal clients send none.
 *
 * It is a list of what may block and not of what may not, because AWS adds rules to its groups: one that reads bodies
 * (as ReactJSRCE_BODY of 2025) would otherwise refuse the prompts that quote what it looks for.
 */
export const BLOCKING_LABELS: readonly string[] = [
  ...label('core-rule-set', [
    'BadBots_Header',
    'SizeRestrictions_QueryString',
    'SizeRestrictions_Cookie_Header',
    'SizeRestrictions_URIPath',
    'EC2MetaDataSSRF_Cookie',
    'EC2MetaDataSSRF_URIPath',
    'EC2MetaDataSSRF_QueryArguments',
    'GenericLFI_QueryArguments',
    'GenericLFI_URIPath',
    'RestrictedExtensions_URIPath',
    'RestrictedExtensions_QueryArguments',
    'GenericRFI_QueryArguments',
    'GenericRFI_URIPath',
    'CrossSiteScripting_Cookie',
    'CrossSiteScripting_QueryArguments',
    'CrossSiteScripting_URIPath',
  ]),
  ...label('known-bad-inputs', [
    'JavaDeserializationRCE_Header',
    'JavaDeserializationRCE_URIPath',
    'JavaDeserializationRCE_QueryString',
    'Host_Localhost_Header',
    'Propfind_Method',
    'ExploitablePaths_URIPath',
    'Log4JRCE_Header',
    'Log4JRCE_URIPath',
    'Log4JRCE_QueryString',
  ]),
];

const REPUTATION_LABELS: readonly string[] = label('amazon-ip-list', [
  'AWSManagedIPReputationList',
  'AWSManagedReconnaissanceList',
]);

/** Rules that read bodies, or ask for a header that no SDK owes: they count, and never end their group's evaluation. */
export const COUNTED_RULES = {
  AWSManagedRulesCommonRuleSet: [
    'NoUserAgent_HEADER',
    'SizeRestrictions_BODY',
    'CrossSiteScripting_BODY',
    'GenericLFI_BODY',
    'GenericRFI_BODY',
    'EC2MetaDataSSRF_BODY',
  ],
  AWSManagedRulesKnownBadInputsRuleSet: ['JavaDeserializationRCE_BODY', 'Log4JRCE_BODY', 'ReactJSRCE_BODY'],
} as const;

/** The rules of an environment's firewall in the order in which they are tried. */
export function firewallRules(environment: Environment): Rule[] {
  const { firewall, routing } = environment;
  const rules = [
    ...(routing.allowCountries === undefined ? [] : [allowedCountries(routing.allowCountries)]),
    // The rule by address also counts what carries no credential, which the rules by header do not see at all.
    rate('RateByAddress', firewall.perAddressPer5Minutes, { aggregateKeyType: 'IP' }),
    ...CREDENTIAL_HEADERS.map((name) =>
      rate(name === 'x-api-key' ? 'RateByApiKey' : 'RateByAuthorization', firewall.perCredentialPer5Minutes, {
        aggregateKeyType: 'CUSTOM_KEYS',
        customKeys: [{ header: { name, textTransformations: SAME_CREDENTIAL[name] } }],
      }),
    ),
    // The list of anonymous addresses is not used: it holds the cloud providers, where a company's own jobs run.
    ...(firewall.reputationLists ? [counted('AWSManagedRulesAmazonIpReputationList', [])] : []),
    counted('AWSManagedRulesCommonRuleSet', COUNTED_RULES.AWSManagedRulesCommonRuleSet),
    counted('AWSManagedRulesKnownBadInputsRuleSet', COUNTED_RULES.AWSManagedRulesKnownBadInputsRuleSet),
    blocking('ManagedRules', [...(firewall.reputationLists ? REPUTATION_LABELS : []), ...BLOCKING_LABELS]),
  ];
  return rules.map((rule, priority) => ({ ...rule, priority }));
}

/** Spellings of one credential that the gateway takes for the same must not be given a limit each. */
const SAME_CREDENTIAL: Record<(typeof CREDENTIAL_HEADERS)[number], CfnWebACL.TextTransformationProperty[]> = {
  'x-api-key': [{ priority: 0, type: 'NONE' }],
  authorization: [
    { priority: 0, type: 'COMPRESS_WHITE_SPACE' },
    { priority: 1, type: 'LOWERCASE' },
  ],
};

function allowedCountries(countryCodes: readonly string[]): Omit<Rule, 'priority'> {
  return {
    name: 'AllowedCountries',
    statement: {
      andStatement: {
        statements: [
          { notStatement: { statement: { geoMatchStatement: { countryCodes: [...countryCodes] } } } },
          { notStatement: { statement: readinessPath() } },
        ],
      },
    },
    action: { block: { customResponse: { responseCode: 403, customResponseBodyKey: 'forbidden' } } },
    visibilityConfig: visibility('AllowedCountries'),
  };
}

/** Where Route 53's checkers and the probes ask, from whatever country they run in. */
function readinessPath(): Statement {
  return {
    byteMatchStatement: {
      fieldToMatch: { uriPath: {} },
      positionalConstraint: 'EXACTLY',
      searchString: READY_PATH,
      // As sent, and not decoded: the path that is spared is this one and no spelling that something could read as another.
      textTransformations: [{ priority: 0, type: 'NONE' }],
    },
  };
}

function rate(
  name: string,
  limit: number,
  key: Pick<CfnWebACL.RateBasedStatementProperty, 'aggregateKeyType' | 'customKeys'>,
): Omit<Rule, 'priority'> {
  return {
    name,
    statement: { rateBasedStatement: { ...key, limit, evaluationWindowSec: RATE_WINDOW_SECONDS } },
    action: {
      block: {
        customResponse: {
          responseCode: 429,
          customResponseBodyKey: 'rateLimited',
          responseHeaders: [{ name: 'retry-after', value: String(RETRY_AFTER_SECONDS) }],
        },
      },
    },
    visibilityConfig: visibility(name),
  };
}

/** One of AWS's groups, which here only labels: `blocking` decides what a label means, and answers in the API's shape. */
function counted(group: string, neverEnding: readonly string[]): Omit<Rule, 'priority'> {
  return {
    name: group,
    statement: {
      managedRuleGroupStatement: {
        vendorName: 'AWS',
        name: group,
        ...(neverEnding.length === 0
          ? {}
          : { ruleActionOverrides: neverEnding.map((name) => ({ name, actionToUse: { count: {} } })) }),
      },
    },
    overrideAction: { count: {} },
    visibilityConfig: visibility(group),
  };
}

function blocking(name: string, labels: readonly string[]): Omit<Rule, 'priority'> {
  return {
    name,
    statement: {
      orStatement: { statements: labels.map((key) => ({ labelMatchStatement: { scope: 'LABEL', key } })) },
    },
    action: { block: { customResponse: { responseCode: 403, customResponseBodyKey: 'forbidden' } } },
    visibilityConfig: visibility(name),
  };
}

function visibility(metricName: string): CfnWebACL.VisibilityConfigProperty {
  // Sampled requests would show headers in the console to whoever may look at metrics; the log is enough.
  return { cloudWatchMetricsEnabled: true, sampledRequestsEnabled: false, metricName };
}

function label(group: string, rules: readonly string[]): readonly string[] {
  return rules.map((rule) => `awswaf:managed:aws:${group}:${rule}`);
}

function jsonError(type: string, message: string): CfnWebACL.CustomResponseBodyProperty {
  return { contentType: 'APPLICATION_JSON', content: JSON.stringify({ type: 'error', error: { type, message } }) };
}
