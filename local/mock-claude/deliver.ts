/** Sends an answer, with the faults its script asks for: the one place that touches the response. */
import type { OutgoingHttpHeaders } from 'node:http';
import { type Answer, ClientGone, type Exchange, type Unit } from './exchange';
import { sseEvent } from './sse';

/** Waits; throws `ClientGone` when the client leaves first. */
function pause(ex: Exchange, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = (): void => {
      clearTimeout(timer);
      reject(new ClientGone());
    };
    const timer = setTimeout(() => {
      ex.gone.removeEventListener('abort', left);
      resolve();
    }, ms);
    if (ex.gone.aborted) left();
    else ex.gone.addEventListener('abort', left, { once: true });
  });
}

/** Never comes back; throws `ClientGone` when the client leaves. */
export function waitForLeave(ex: Exchange): Promise<never> {
  return new Promise((_, reject) => {
    if (ex.gone.aborted) reject(new ClientGone());
    else
      ex.gone.addEventListener(
        'abort',
        () => {
          reject(new ClientGone());
        },
        { once: true },
      );
  });
}

/** Waits until what was written is with the kernel: Node holds a tick's writes together, and a destroyed socket drops them. */
async function handedOver(ex: Exchange): Promise<void> {
  do await pause(ex, 1);
  while (ex.req.socket.writableLength > 0);
}

/** Ends the connection as a script asked. */
export async function cutNow(ex: Exchange, reset: boolean): Promise<never> {
  if (ex.res.headersSent) await handedOver(ex);
  // A peer's kernel throws away what it has not read when a RST comes: give what was written a moment to be read.
  if (reset && ex.res.headersSent) await pause(ex, 50);
  ex.cut = true;
  ex.mock.cutConnection(ex.req, reset);
  throw new ClientGone();
}

/** Writes bytes, and waits where the client reads more slowly than the mock writes. */
async function write(ex: Exchange, bytes: Buffer): Promise<void> {
  if (ex.gone.aborted) throw new ClientGone();
  const flushed = ex.res.write(bytes);
  ex.record.sentBytes += bytes.length;
  if (flushed) return;
  await new Promise<void>((resolve, reject) => {
    const left = (): void => {
      ex.res.off('drain', drained);
      reject(new ClientGone());
    };
    const drained = (): void => {
      ex.gone.removeEventListener('abort', left);
      resolve();
    };
    ex.res.once('drain', drained);
    ex.gone.addEventListener('abort', left, { once: true });
  });
}

async function writeDripping(ex: Exchange, bytes: Buffer): Promise<void> {
  const { drip } = ex.script;
  if (drip === undefined) {
    await write(ex, bytes);
    return;
  }
  for (let from = 0; from < bytes.length; from += drip.bytes) {
    await write(ex, bytes.subarray(from, from + drip.bytes));
    await pause(ex, drip.ms);
  }
}

async function keepSilent(ex: Exchange, totalMs: number, pingEveryMs: number | undefined): Promise<void> {
  const until = Date.now() + totalMs;
  for (;;) {
    const left = until - Date.now();
    if (left <= 0) return;
    await pause(ex, Math.min(left, pingEveryMs ?? left));
    if (pingEveryMs !== undefined && until - Date.now() > 0) await write(ex, sseEvent('ping', { type: 'ping' }));
  }
}

/** Writes one unit, or as much of it as the script lets through. */
async function writeUnit(ex: Exchange, unit: Unit, number: number): Promise<void> {
  const { cut } = ex.script;
  if (unit.delayMs !== undefined && unit.delayMs > 0) await pause(ex, unit.delayMs);
  let allowed = unit.bytes.length;
  if (cut?.midEvent === number) allowed = Math.floor(allowed / 2);
  if (cut?.afterBytes !== undefined) allowed = Math.min(allowed, cut.afterBytes - ex.record.sentBytes);
  await writeDripping(ex, allowed === unit.bytes.length ? unit.bytes : unit.bytes.subarray(0, allowed));
  if (allowed < unit.bytes.length) await cutNow(ex, cut?.reset ?? false);
  ex.record.sentEvents = number;
  unit.sent?.();
}

function finalHeaders(ex: Exchange, answer: Answer): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    'request-id': ex.requestId,
    'anthropic-organization-id': ex.mock.organizationId,
    'x-mock-name': ex.mock.name,
    ...answer.headers,
  };
  for (const [name, value] of Object.entries(ex.script.headers ?? {})) {
    const lower = name.toLowerCase();
    // `undefined` rather than a delete: writeHead would refuse it, so it is filtered below.
    headers[lower] = value ?? undefined;
  }
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
}

/** Sends `answer` under `ex.script`. Throws `ClientGone` when the connection ends first, by either side. */
export async function deliver(ex: Exchange, answer: Answer): Promise<void> {
  const { delayMs, cut, silence } = ex.script;
  if (delayMs !== undefined) await pause(ex, delayMs);
  if (cut?.beforeHeaders === true) await cutNow(ex, cut.reset ?? false);
  if (ex.gone.aborted) throw new ClientGone();
  ex.record.status = answer.status;
  ex.res.writeHead(answer.status, finalHeaders(ex, answer));
  // A plain body goes in one packet with its headers; where time or a cut may come between, the headers go first.
  const plain = 'content-length' in answer.headers && cut === undefined && silence === undefined;
  if (!plain) ex.res.flushHeaders();
  const early = async (sent: number): Promise<void> => {
    // In this order, so that a script can say: silent after event 3, then gone.
    if (silence?.afterEvents === sent) await keepSilent(ex, silence.ms, silence.pingEveryMs);
    if (cut?.afterEvents === sent || cut?.afterBytes === ex.record.sentBytes) await cutNow(ex, cut.reset ?? false);
  };
  let number = 0;
  await early(0);
  for await (const unit of answer.units) {
    number += 1;
    await writeUnit(ex, unit, number);
    await early(number);
  }
  await new Promise<void>((resolve, reject) => {
    ex.gone.addEventListener(
      'abort',
      () => {
        reject(new ClientGone());
      },
      { once: true },
    );
    ex.res.end(resolve);
  });
}
