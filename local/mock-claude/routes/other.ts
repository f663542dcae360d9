/** The echo, the probes. */
import { type Answer, bytesAnswer, type Exchange, jsonAnswer } from '../exchange';

/** Says what arrived, whatever the method: what a gateway changed on the way can be read off. */
export async function echo(ex: Exchange): Promise<Answer> {
  await ex.body.drain();
  const { method, url, httpVersion, rawHeaders, bodyBytes, sha256 } = ex.record;
  return jsonAnswer({ name: ex.mock.name, method, url, httpVersion, rawHeaders, bodyBytes, sha256 });
}

/** `HEAD /` and `HEAD /api/hello`: clients' probes that they can reach the API. */
export function probe(): Answer {
  return bytesAnswer(Buffer.alloc(0), 'text/plain');
}
