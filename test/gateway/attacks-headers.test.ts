import { HEADERS } from './support/attacks/headers';
import { testAttacks } from './support/attacks/run';

testAttacks(HEADERS);
