import type { Metric } from './metrics';

/** Where the generated module stands, from the project's root. */
export const LUA_CATALOGUE_FILE = 'gateway/lua/causeway/core/metrics.lua';

/** Renders the metric catalogue as the Lua module that the data plane's EMF writer reads. */
export function renderLuaCatalogue(metrics: readonly Metric[]): string {
  return [
    '--- The metric catalogue: name -> unit, kind and dimension sets.',
    '-- Generated from lib/observability/metrics.ts by `npm run generate`: do not edit.',
    '-- A line carries exactly those sets of a metric whose dimensions it has all as properties.',
    'return {',
    ...metrics.flatMap(({ name, unit, kind, dimensions }) => [
      `  ${name} = {`,
      `    unit = ${quote(unit)},`,
      `    kind = ${quote(kind)},`,
      '    dimensions = {',
      ...dimensions.map((set) => `      { ${set.map(quote).join(', ')} },`),
      '    },',
      '  },',
    ]),
    '}',
    '',
  ].join('\n');
}

/** Names and units are letters and digits only, which the catalogue's test holds: nothing needs escaping. */
function quote(text: string): string {
  return `'${text}'`;
}
