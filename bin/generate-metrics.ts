import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LUA_CATALOGUE_FILE, renderLuaCatalogue } from '../lib/observability/lua-catalogue';
import { METRICS } from '../lib/observability/metrics';

writeFileSync(join(__dirname, '..', LUA_CATALOGUE_FILE), renderLuaCatalogue(METRICS));
