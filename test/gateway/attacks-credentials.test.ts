import { CREDENTIALS } from './support/attacks/credentials';
import { testAttacks } from './support/attacks/run';

testAttacks(CREDENTIALS);
