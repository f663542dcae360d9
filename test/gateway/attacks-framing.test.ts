import { FRAMING } from './support/attacks/framing';
import { testAttacks } from './support/attacks/run';

testAttacks(FRAMING);
