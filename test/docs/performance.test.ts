import { faultGoalsOf, goalsOf, type Figures, type Goal } from '../../bench/goals';
import type { FaultFigures } from '../../bench/faults';
import { page, tableRows } from './markdown';

const text = page('docs/performance.md');

/** The results that the page names. */
function results(pattern: RegExp): unknown {
  const path = pattern.exec(text)?.[0];
  if (path === undefined) throw new Error(`docs/performance.md names no file like ${pattern}`);
  return JSON.parse(page(path));
}

test('the figures in docs/performance.md are those of the results that it names', () => {
  const figures = results(/bench\/results\/\d{4}-\d\d-\d\d\.json/) as Figures;
  const { faults } = results(/bench\/results\/\d{4}-\d\d-\d\d-faults\.json/) as { faults: readonly FaultFigures[] };
  const row = ({ figure, measured, goal, met }: Goal): string[] => [figure, measured, goal, met ? 'yes' : 'no'];
  expect(tableRows(text, 'figure')).toEqual([...goalsOf(figures), ...faultGoalsOf(faults)].map(row));
});
