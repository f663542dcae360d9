import type { Environment } from '../config';
import { architecturePicture } from './architecture-picture';

/** Where the page stands in the repository. */
export const ARCHITECTURE_PAGE = 'docs/architecture-aws.md';

/** The page of pictures: one for each environment that is deployed. */
export function architecturePage(environments: readonly Environment[]): string {
  return [
    '# What is deployed',
    '',
    'Made by `npm run architecture` from the environments of `causeway.config.ts`; do not edit by hand.',
    '',
    ...environments.flatMap((environment) => [
      `## ${environment.name}`,
      '',
      '```mermaid',
      architecturePicture(environment).trimEnd(),
      '```',
      '',
    ]),
    'Solid arrows are the way of a request, dotted ones the ways beside it. Of names, the public one holds geolocation',
    'records, the latency one a record for each region; a country whose region is unhealthy falls back to everybody’s way,',
    'unless it is pinned.',
    '',
  ].join('\n');
}
