import { validateLine } from '../../lib/observability/emf-schema';

type Json = Record<string, unknown>;

const ALL = ['Environment', 'Region'];
const count = (Name: string): Json => ({ Name, Unit: 'Count' });

function directive(sets: readonly string[][], metrics: readonly Json[]): Json {
  return { Namespace: 'Causeway', Dimensions: sets, Metrics: metrics };
}

function request(over: Json = {}): Json {
  return {
    _aws: {
      Timestamp: 1_767_225_600_000,
      CloudWatchMetrics: [
        directive([ALL, [...ALL, 'RouteClass'], [...ALL, 'Consumer']], [count('Requests')]),
        directive([ALL, [...ALL, 'RouteClass']], [{ Name: 'Latency', Unit: 'Milliseconds' }, count('Errors5xx')]),
        directive([ALL, [...ALL, 'Consumer'], [...ALL, 'Model']], [count('InputTokens')]),
      ],
    },
    Environment: 'local',
    Region: 'local',
    RouteClass: 'generate',
    Consumer: 'team-a',
    Model: 'claude-sonnet-4-5',
    Requests: 1,
    Latency: 12.5,
    Errors5xx: 0,
    InputTokens: 25,
    requestId: 'req_1',
    method: 'POST',
    path: '/v1/messages',
    status: 200,
    startTime: '2026-01-01T00:00:00.000Z',
    aborted: false,
    ...over,
  };
}

function gauges(over: Json = {}): Json {
  return {
    _aws: {
      Timestamp: 1_767_225_600_000,
      CloudWatchMetrics: [directive([ALL], [count('ActiveConnections'), { Name: 'Ready', Unit: 'None' }])],
    },
    Environment: 'local',
    Region: 'local',
    ActiveConnections: 3,
    Ready: 1,
    worker: 0,
    ...over,
  };
}

/** The line without some of its properties. */
function without(line: Json, ...names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(line).filter(([name]) => !names.includes(name)));
}

/** The line with other directives. */
function announcing(line: Json, directives: readonly Json[]): Json {
  return { ...line, _aws: { Timestamp: 1, CloudWatchMetrics: directives } };
}

const check = (line: Json): string[] => validateLine(JSON.stringify(line));

test('a request line and a gauge line are good', () => {
  expect(check(request())).toEqual([]);
  expect(check(gauges())).toEqual([]);
});

test('a request without a consumer carries the sets that it can fill, and only those', () => {
  const line = without(request(), 'Consumer', 'InputTokens', 'Latency', 'Errors5xx');
  expect(check(announcing(line, [directive([ALL, [...ALL, 'RouteClass']], [count('Requests')])]))).toEqual([]);
  expect(
    check(announcing(line, [directive([ALL, [...ALL, 'RouteClass'], [...ALL, 'Consumer']], [count('Requests')])])),
  ).toEqual([
    'Requests: has dimensions [Environment,Region,Consumer] [Environment,Region,RouteClass] [Environment,Region]; ' +
      "with this line's properties they must be [Environment,Region,RouteClass] [Environment,Region]",
  ]);
});

test.each<[string, string, string[]]>([
  ['no JSON', '{"a":', ['is no JSON: Unexpected end of JSON input']],
  ['no object', '[]', ['line: Invalid input: expected object, received array']],
  ['no metrics', '{"a":1}', ['_aws: Invalid input: expected object, received undefined']],
  [
    'a key that stands twice',
    JSON.stringify(request()).replace('"method":"POST"', '"method":"POST","method":"GET"'),
    ['method: stands twice'],
  ],
])('%s is a problem', (_, line, problems) => {
  expect(validateLine(line)).toEqual(problems);
});

test.each<[string, Json, string[]]>([
  ['an unknown property', request({ prompt: 'hello' }), ['prompt: is no known property']],
  ['a property of the other kind', request({ worker: 1 }), ['worker: is no known property']],
  ['a metric that is not announced', request({ Errors4xx: 1 }), ['Errors4xx: is not announced in _aws']],
  ['a missing property', without(request(), 'requestId'), ['requestId: is missing']],
  ['an empty property', request({ method: '' }), ['method: Too small: expected string to have >=1 characters']],
  ['a query in the path', request({ path: '/v1/models?limit=1' }), ['path: must hold no query']],
  ['a status that is none', request({ status: 0 }), ['status: Too small: expected number to be >=100']],
  ['a time that is none', request({ startTime: 'yesterday' }), ['startTime: Invalid ISO datetime']],
  ['a null', request({ aborted: null }), ['aborted: Invalid input: expected boolean, received null']],
  [
    'a metric without a value',
    without(request(), 'Latency'),
    ['Latency: Invalid input: expected number, received undefined'],
  ],
  ['a value that is text', request({ Latency: '12' }), ['Latency: Invalid input: expected number, received string']],
  ['a negative time', request({ Latency: -1 }), ['Latency: Too small: expected number to be >=0']],
  ['a fraction of a count', request({ Errors5xx: 0.5 }), ['Errors5xx: Invalid input: expected int, received number']],
  [
    'a dimension that CloudWatch would drop',
    request({ Model: ':x' }),
    ['Model: must be visible ASCII that does not start with a colon'],
  ],
  [
    'a line without Requests',
    without(
      announcing(request(), [directive([ALL, [...ALL, 'RouteClass']], [count('Refusals')])]),
      'Requests',
      'Latency',
      'Errors5xx',
      'InputTokens',
    ),
    ['Refusals: Invalid input: expected number, received undefined', 'Requests: is missing'],
  ],
  [
    'a metric that is not in the catalogue',
    announcing(gauges({ Bananas: 1 }), [
      directive([ALL], [count('ActiveConnections'), { Name: 'Ready', Unit: 'None' }, count('Bananas')]),
    ]),
    ['Bananas: is not in the catalogue'],
  ],
  [
    'a wrong unit',
    announcing(gauges(), [directive([ALL], [count('ActiveConnections'), count('Ready')])]),
    ['Ready: has unit Count; must be None'],
  ],
  [
    'a metric announced twice',
    announcing(gauges(), [
      directive([ALL], [count('ActiveConnections'), { Name: 'Ready', Unit: 'None' }]),
      directive([ALL], [count('ActiveConnections')]),
    ]),
    ['ActiveConnections: is announced twice'],
  ],
  [
    'metrics of both kinds on one line',
    announcing(gauges({ EstimatedUsage: 1 }), [
      directive([ALL], [count('ActiveConnections'), { Name: 'Ready', Unit: 'None' }, count('EstimatedUsage')]),
    ]),
    ['mixes metrics of a request with those of the node'],
  ],
  [
    'a dimension that is none',
    announcing(gauges(), [directive([[...ALL, 'Task']], [count('ActiveConnections')])]),
    [
      '_aws.CloudWatchMetrics.0.Dimensions.0.2: Invalid option: expected one of "Environment"|"Region"|"RouteClass"|"Consumer"|"Upstream"|"Model"|"Dict"',
    ],
  ],
  [
    'a key in the envelope that EMF does not know',
    announcing(gauges(), [{ ...directive([ALL], [count('ActiveConnections')]), Extra: 1 }]),
    ['_aws.CloudWatchMetrics.0: Unrecognized key: "Extra"'],
  ],
])('%s is a problem', (_, line, problems) => {
  expect(check(line)).toEqual(problems);
});
