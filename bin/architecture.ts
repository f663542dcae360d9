import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { deployableEnvironments } from '../lib/app';
import { loadConfig } from '../lib/config';
import { ARCHITECTURE_PAGE, architecturePage } from '../lib/docs/architecture-page';

// Writes docs/architecture-aws.md; with `--check` only says whether it is up to date.
const root = resolve(__dirname, '..');
const file = resolve(root, ARCHITECTURE_PAGE);
const page = architecturePage(deployableEnvironments(loadConfig(resolve(root, 'causeway.config.ts'))));
if (!process.argv.includes('--check')) {
  writeFileSync(file, page);
} else if (readFileSync(file, 'utf8') !== page) {
  console.error(`${ARCHITECTURE_PAGE} is not what causeway.config.ts says: run npm run architecture`);
  process.exitCode = 1;
}
