import type { AttackTable } from './attack';
import { CREDENTIALS } from './credentials';
import { FRAMING } from './framing';
import { HEADERS } from './headers';
import { HTTP2 } from './http2';
import { PATHS } from './paths';
import { POLICIES } from './policies';

/** Every table; docs/security.md holds them too. */
export const ATTACK_TABLES: readonly AttackTable[] = [CREDENTIALS, PATHS, FRAMING, HEADERS, POLICIES, HTTP2];
