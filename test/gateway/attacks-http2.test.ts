import { HTTP2 } from './support/attacks/http2';
import { testAttacks } from './support/attacks/run';

testAttacks(HTTP2);
