import { PATHS } from './support/attacks/paths';
import { testAttacks } from './support/attacks/run';

testAttacks(PATHS);
