import { all, fail, pass, type Check, type Outcome } from '../check';
import { describe } from '../describe';
import { nameOf, eventsOf } from '../sse';
import type { Answer, Sending, Target } from '../target';

const SOURCE = 'docs: llm-gateway-protocol, endpoints';

interface Json {
  readonly [field: string]: unknown;
}

function json(answer: Answer): Json | undefined {
  try {
    const value: unknown = JSON.parse(answer.body.toString());
    // An object by the check before it; its fields are unknown until they are looked at.
    return typeof value === 'object' && value !== null ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

async function answersJson(
  target: Target,
  sending: Sending,
  wanted: string,
  holds: (value: Json) => boolean,
): Promise<Outcome> {
  const answer = await target.send(sending);
  const value = json(answer);
  const isJson = answer.headers['content-type']?.startsWith('application/json') === true;
  if (answer.status === 200 && isJson && value !== undefined && holds(value)) return pass();
  return fail('the route does not answer as the API does', `HTTP 200, application/json: ${wanted}`, describe(answer));
}

function list(path: string, more: Pick<Check, 'id' | 'title' | 'proves'>): Check {
  return {
    ...more,
    source: SOURCE,
    needs: 'any',
    level: 'advised',
    cost: { requests: 1 },
    run: (target) =>
      answersJson(
        target,
        { path, headers: { 'anthropic-beta': 'files-api-2025-04-14' } },
        'a list under "data"',
        (value) => Array.isArray(value['data']),
      ),
  };
}

/** A plain message: what everything else rests on. */
export const baseline: Check = {
  id: 'route.messages',
  title: 'POST /v1/messages answers a message',
  proves: 'The gateway serves the API at all. Without it no other check is run.',
  source: SOURCE,
  needs: 'any',
  level: 'required',
  cost: { requests: 1, tokens: 12 },
  run: (target) =>
    answersJson(
      target,
      { body: target.message() },
      'a message with content, stop_reason and usage',
      (value) =>
        value['type'] === 'message' &&
        Array.isArray(value['content']) &&
        'stop_reason' in value &&
        typeof value['usage'] === 'object',
    ),
};

/** The API's routes. */
export const routes: readonly Check[] = [
  {
    id: 'route.stream',
    title: 'POST /v1/messages with "stream": true answers events',
    proves: 'SDKs and Claude Code, which stream, work.',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1, tokens: 12 },
    run: async (target) => {
      const answer = await target.send({ body: target.message({ stream: true }) });
      const names = eventsOf(answer.body).map(nameOf);
      const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      const whole =
        names.includes('message_start') && names.includes('message_delta') && names.at(-1) === 'message_stop';
      if (answer.status === 200 && isStream && whole && answer.broken === undefined) return pass();
      return fail(
        'the answer is no stream of a message',
        'HTTP 200, text/event-stream: message_start … message_delta, message_stop',
        describe(answer),
      );
    },
  },
  {
    id: 'route.count-tokens',
    title: 'POST /v1/messages/count_tokens answers a number',
    proves: 'Claude Code knows how full its context is.',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 1 },
    run: (target) => {
      const { model } = target.options;
      const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Say hello.' }] });
      return answersJson(
        target,
        { path: '/v1/messages/count_tokens', body },
        'a number under "input_tokens"',
        (value) => typeof value['input_tokens'] === 'number',
      );
    },
  },
  {
    id: 'route.models',
    title: 'GET /v1/models and /v1/models/{id} answer models',
    proves: 'Clients find out which models there are (Claude Code gives it 3 s and follows no redirect).',
    source: SOURCE,
    needs: 'any',
    level: 'required',
    cost: { requests: 2 },
    run: async (target) => {
      let first = '';
      return all([
        () =>
          answersJson(target, { path: '/v1/models' }, 'models under "data"', ({ data }) => {
            const model: unknown = Array.isArray(data) ? data[0] : undefined;
            first = typeof model === 'object' && model !== null && 'id' in model ? String(model.id) : '';
            return first !== '';
          }),
        () => answersJson(target, { path: `/v1/models/${first}` }, `the model ${first}`, ({ id }) => id === first),
      ]);
    },
  },
  list('/v1/messages/batches', {
    id: 'route.batches',
    title: 'GET /v1/messages/batches answers a list',
    proves: 'Message batches can be used through the gateway.',
  }),
  list('/v1/files', {
    id: 'route.files',
    title: 'GET /v1/files answers a list',
    proves: 'Files can be used through the gateway.',
  }),
  {
    id: 'route.sessions',
    title: 'GET /v1/sessions/{id}/events/stream answers events',
    proves: 'Managed agents, which stream on a GET, work.',
    source: 'docs: api, managed agents',
    needs: 'echo',
    level: 'advised',
    run: async (target) => {
      const answer = await target.send({ path: '/v1/sessions/sesn_conformance/events/stream' });
      const isStream = answer.headers['content-type']?.startsWith('text/event-stream') === true;
      if (answer.status === 200 && isStream && eventsOf(answer.body).length > 0) return pass();
      return fail('the answer is no stream of events', 'HTTP 200, text/event-stream', describe(answer));
    },
  },
  {
    id: 'route.probes',
    title: 'HEAD / and HEAD /api/hello are answered',
    proves: 'Clients that probe whether they are online are not told that they are not.',
    source: SOURCE,
    needs: 'any',
    level: 'advised',
    cost: { requests: 2 },
    run: (target) =>
      all(
        ['/', '/api/hello'].map((path) => async () => {
          const answer = await target.send({ method: 'HEAD', path });
          return answer.status < 400
            ? pass()
            : fail(`the probe HEAD ${path} is refused`, 'a status below 400', describe(answer));
        }),
      ),
  },
  {
    id: 'route.admin-closed',
    title: '/v1/organizations does not reach the upstream',
    proves: 'Users of the gateway cannot administer the organisation with its credential.',
    source: 'docs: api, Admin API: deny by default at a gateway',
    needs: 'echo',
    level: 'advised',
    run: async (target) => {
      const answer = await target.send({ path: '/v1/organizations/me' });
      if (answer.seen === undefined) return pass();
      return fail('the gateway forwards the Admin API', 'a refusal by the gateway', `forwarded; ${describe(answer)}`);
    },
  },
];
