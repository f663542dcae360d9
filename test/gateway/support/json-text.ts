import fc from 'fast-check';

/** A small generator of numbers that a seed determines (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Pick = (below: number) => number;

const SPACES = ['', '', '', '', ' ', '\n', '\t', '\r\n  '];
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function escaped(unit: string, pick: Pick): string {
  const hex = unit.charCodeAt(0).toString(16).padStart(4, '0');
  return `\\u${pick(2) === 0 ? hex : hex.toUpperCase()}`;
}

/** A string as one of the ways to write it. */
function writeString(text: string, pick: Pick): string {
  const habit = pick(4);
  let out = '';
  for (const character of text) {
    const alone = /^\p{Surrogate}$/u.test(character);
    if (alone || (character < ' ' && SHORT[character] === undefined) || (habit === 0 && pick(4) === 0)) {
      for (let i = 0; i < character.length; i += 1) out += escaped(character.charAt(i), pick);
    } else if (character === '/' && pick(2) === 0) out += '\\/';
    else out += SHORT[character] ?? character;
  }
  return `"${out}"`;
}

function writeNumber(value: number, pick: Pick): string {
  const plain = JSON.stringify(value);
  const forms = [
    plain,
    plain,
    value.toExponential(),
    value.toExponential().replace('e', 'E'),
    `${plain.replace(/e.*/, '')}e0`,
  ];
  return forms[pick(forms.length)] ?? plain;
}

/** A document as one of the many ways to write it: spaces, escapes, forms of numbers. */
export function writeJson(value: unknown, pick: Pick): string {
  const space = (): string => SPACES[pick(SPACES.length)] ?? '';
  if (typeof value === 'string') return writeString(value, pick);
  if (typeof value === 'number') return writeNumber(value, pick);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const parts = Array.isArray(value)
    ? value.map((element) => `${space()}${writeJson(element, pick)}${space()}`)
    : Object.entries(value).map(
        ([name, element]) =>
          `${space()}${writeString(name, pick)}${space()}:${space()}${writeJson(element, pick)}${space()}`,
      );
  const inside = parts.length === 0 ? space() : parts.join(',');
  return Array.isArray(value) ? `[${inside}]` : `{${inside}}`;
}

/** Texts with everything that a string may hold. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('\ud800', 'a\udfff', '\ud83d\ude00', '\\u006d', '"', 'model', 'stream', '\u0000'),
  },
);

const scalar = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 2, arbitrary: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constant(0)) },
  { weight: 1, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.constant(null) },
);

const names = fc.oneof(
  { weight: 3, arbitrary: text },
  {
    weight: 2,
    arbitrary: fc.constantFrom('model', 'stream', 'Model', 'mode', 'models', 'params', 'requests', '__proto__', ''),
  },
);

function object(element: fc.Arbitrary<unknown>, maxKeys: number): fc.Arbitrary<unknown> {
  return fc
    .uniqueArray(fc.tuple(names, element), { maxLength: maxKeys, selector: ([name]) => name })
    .map((entries) => Object.fromEntries(entries));
}

const level1 = fc.oneof(scalar, object(scalar, 3), fc.array(scalar, { maxLength: 3 }));
const level2 = fc.oneof(
  { weight: 3, arbitrary: scalar },
  { weight: 1, arbitrary: object(level1, 3) },
  { weight: 1, arbitrary: fc.array(level1, { maxLength: 3 }) },
);

/** Requests and other documents; no key twice. */
const documents: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: object(level2, 6) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.record({ model: fc.oneof(text, level1), stream: fc.oneof(fc.boolean(), scalar) }, { requiredKeys: [] }),
        object(level2, 4),
        fc.boolean(),
      )
      .map(([wanted, rest, first]) =>
        first ? { ...wanted, ...(rest as object) } : { ...(rest as object), ...wanted },
      ),
  },
  { weight: 1, arbitrary: level2 },
);

/** A document and the seed of the way it is written. */
export const written: fc.Arbitrary<readonly [unknown, number]> = fc.tuple(documents, fc.integer());

/** Changes some bytes: cut, doubled, swapped, overwritten, JSON's own marks put in. */
export function mutate(bytes: Buffer, pick: Pick): Buffer {
  let out = bytes;
  const marks = [
    '{',
    '}',
    '[',
    ']',
    '"',
    ',',
    ':',
    '\\',
    '\\u00',
    '0',
    '-',
    'e',
    '\0',
    '\u00ff',
    '"model":"x",',
    '//',
    '\n',
  ];
  for (let count = 1 + pick(3); count > 0; count -= 1) {
    const at = pick(out.length + 1);
    const end = Math.min(out.length, at + 1 + pick(6));
    switch (pick(6)) {
      case 0:
        out = Buffer.concat([out.subarray(0, at), out.subarray(end)]);
        break;
      case 1:
        out = Buffer.concat([out.subarray(0, end), out.subarray(at)]);
        break;
      case 2:
        out = Buffer.concat([
          out.subarray(0, at),
          Buffer.from(marks[pick(marks.length)] ?? '', 'latin1'),
          out.subarray(at),
        ]);
        break;
      case 3:
        out = out.subarray(0, at);
        break;
      default:
        out = Buffer.from(out);
        if (at < out.length) out[at] = pick(256);
    }
  }
  return out;
}
