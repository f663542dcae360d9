import { openSync, readdirSync, readFileSync, statSync } from 'node:fs';

import { writeJsonState, writeStateFile } from '../../local/state-file';
import { Sandbox } from './sandbox';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => {
  sandbox.remove();
});

it('is readable by its owner only, also where it was not before, and leaves nothing beside it', () => {
  const file = sandbox.write('state/file', 'old', 0o644);
  writeStateFile(file, 'new');
  expect(readFileSync(file, 'utf8')).toBe('new');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(sandbox.path('state'))).toEqual(['file']);
});

it('whoever reads the old one while it is replaced reads it to its end', () => {
  const file = sandbox.write('file', 'the old bytes');
  const reader = openSync(file, 'r');
  writeStateFile(file, 'new');
  expect(readFileSync(reader, 'utf8')).toBe('the old bytes');
});

it('writes JSON for people too', () => {
  const file = sandbox.path('file.json');
  writeJsonState(file, { a: [1] });
  expect(readFileSync(file, 'utf8')).toBe('{\n  "a": [\n    1\n  ]\n}\n');
});
