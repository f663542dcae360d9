import type { Check } from '../check';
import { authentication } from './authentication';
import { errors } from './errors';
import { requestBodies } from './request-bodies';
import { requestHeaders } from './request-headers';
import { responseBodies } from './response-bodies';
import { responseHeaders } from './response-headers';
import { baseline, routes } from './routes';
import { streamTimes } from './stream-times';
import { streams } from './streams';

/** Every check, in the order of the table. The first is what the others rest on. */
export const CHECKS: readonly Check[] = [
  baseline,
  ...routes,
  ...authentication,
  ...requestHeaders,
  ...requestBodies,
  ...responseHeaders,
  ...responseBodies,
  ...errors,
  ...streams,
  ...streamTimes,
];
