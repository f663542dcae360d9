import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { CONFORMANCE_PAGE, conformancePage } from './page';

const file = resolve(__dirname, '..', CONFORMANCE_PAGE);
writeFileSync(file, conformancePage(readFileSync(file, 'utf8')));
