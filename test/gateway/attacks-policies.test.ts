import { POLICIES } from './support/attacks/policies';
import { testAttacks } from './support/attacks/run';

testAttacks(POLICIES);
