import type { Environment } from '../config';
import { merge, sum, type Estimate } from './estimate';
import { PRICES } from './prices';
import type { LineItem } from './resource-prices';
import { idleMetrics, metricsOfUse, perMillionRequests, TYPICAL_REQUEST } from './usage';

/** What the smallest environment should cost at most, in USD a month. */
export const TARGET_MONTHLY = 120;

const EXCLUDED = [
  'free tiers, discounts, support and taxes; other regions than us-east-1 cost up to 60 % more',
  'requests to Claude itself',
  'more tasks than the floor, and more nodes of Valkey',
  'storage of logs, images and backups; flow logs; AppConfig polling; Lambda; DNS queries; traffic between AZs',
  'CloudFront, which costs by use: about 1.10 USD per million requests',
];

/** An environment's base cost with what each request adds, as text. */
export function renderReport(environment: Environment, base: Estimate): string {
  const metrics = idleMetrics(environment);
  const monthly = base.monthly + sum(metrics);
  const requests = perMillionRequests(environment);
  return [
    `Environment ${environment.name}: ${usd(monthly)} a month before the first request, ${usd(sum(requests))} per million requests`,
    `(list prices of us-east-1 as of ${PRICES.asOf}, USD)`,
    '',
    ...base.stacks
      .filter(({ items }) => items.length > 0)
      .flatMap(({ name, items, monthly: ofStack }) => [`${name}: ${usd(ofStack)}`, ...items.map(line), '']),
    `Metrics of the gateway without a request: ${usd(sum(metrics))}`,
    ...metrics.map(line),
    '',
    `Per million requests of ${TYPICAL_REQUEST.requestKb} KB with answers of ${TYPICAL_REQUEST.responseKb} KB: ${usd(sum(requests))}`,
    ...requests.map(line),
    '',
    'Metrics that come with use, in each region, a month:',
    ...metricsOfUse(environment).map(line),
    '',
    ...(base.unknownTypes.length === 0 ? [] : [`No price is known of: ${base.unknownTypes.join(', ')}`, '']),
    verdict(monthly, base),
    '',
    'Not included:',
    ...EXCLUDED.map((what) => `  ${what}`),
    '',
  ].join('\n');
}

/** Whether the target is met, and otherwise what keeps the sum above it. */
function verdict(monthly: number, base: Estimate): string {
  if (monthly <= TARGET_MONTHLY) return `Below the ${usd(TARGET_MONTHLY)} a month that a minimal environment aims at.`;
  const largest = merge(base.stacks.flatMap(({ items }) => items)).slice(0, 3);
  const named = largest.map((item) => `${item.quantity} × ${item.what} (${usd(sum([item]))})`);
  return `Above the ${usd(TARGET_MONTHLY)} a month that a minimal environment aims at, mostly by ${named.join(', ')}.`;
}

function line({ what, quantity, each }: LineItem): string {
  const count = Number.isInteger(quantity) ? String(quantity) : quantity.toFixed(1);
  return `  ${usd(quantity * each).padStart(12)}  ${count.padStart(5)} × ${what}`;
}

function usd(amount: number): string {
  return `${amount.toFixed(2)} USD`;
}
