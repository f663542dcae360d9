import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { parseArgs } from 'node:util';

import { UserError } from '../local/user-error';
import { MockAdmin } from './mock-admin';
import type { CredentialHeader, TargetOptions } from './target';

/** What `npm run conformance -- --help` prints. */
export const HELP = `Holds a gateway for the Claude API against the API's gateway contract.

  npm run conformance -- --base-url URL --key KEY [options]

  --base-url URL    the gateway, as ANTHROPIC_BASE_URL has it
  --key KEY         a key of the gateway                        (default: ANTHROPIC_API_KEY)
  --header H        what the checks authenticate with: x-api-key, authorization or both
                                                                        (default: x-api-key)
  --model NAME      a model that the key may use                (default: claude-sonnet-4-5)
  --mock-url URL    the mock Claude API that is the gateway's upstream: enables the checks
                    that need to see what it received and to say what it answers
  --silence SECONDS how long a stream is kept silent, with --mock-url          (default: 65)
  --timeout SECONDS for one answer                                             (default: 60)
  --ca FILE         authority of the certificates of both URLs, PEM
  --json            JSON instead of a table
  --help            this text

Without --mock-url a real upstream will do: about 30 requests, less than 1000 tokens.
Exit code: 0 all required checks hold, 1 they do not, 2 wrong arguments.
What is checked and why: docs/conformance.md
`;

/** What the command line asks for. */
export interface Arguments {
  readonly target: TargetOptions;
  readonly json: boolean;
}

/**
 * Reads the command line.
 *
 * @param environmentKey - the key where none is given
 * @returns undefined where help is asked for
 * @throws UserError that names the option and what it takes
 */
export function parseArguments(argv: readonly string[], environmentKey: string | undefined): Arguments | undefined {
  const values = read(argv);
  if (values.help) return undefined;
  const key = values.key ?? environmentKey;
  if (values['base-url'] === undefined) throw wrong('--base-url is missing: the URL of the gateway');
  if (key === undefined || key === '') throw wrong('--key is missing: a key of the gateway');
  if (!/^[\x21-\x7e]+$/.test(key)) throw wrong('--key holds a character that a header cannot carry');
  const ca = values.ca === undefined ? undefined : [...rootCertificates, pem(values.ca)];
  const mockUrl = values['mock-url'] === undefined ? undefined : url('--mock-url', values['mock-url']);
  return {
    json: values.json,
    target: {
      baseUrl: url('--base-url', values['base-url']),
      key,
      header: header(values.header),
      model: values.model,
      timeoutMs: seconds('--timeout', values.timeout),
      silenceMs: seconds('--silence', values.silence),
      ...(ca === undefined ? {} : { ca }),
      ...(mockUrl === undefined ? {} : { mock: new MockAdmin(mockUrl, ca) }),
    },
  };
}

function wrong(message: string): UserError {
  return new UserError(`${message} (npm run conformance -- --help)`, { exitCode: 2 });
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        'base-url': { type: 'string' },
        key: { type: 'string' },
        header: { type: 'string', default: 'x-api-key' },
        model: { type: 'string', default: 'claude-sonnet-4-5' },
        'mock-url': { type: 'string' },
        silence: { type: 'string', default: '65' },
        timeout: { type: 'string', default: '60' },
        ca: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    throw wrong(error instanceof Error ? (error.message.split(/\.\s/)[0] ?? '') : String(error));
  }
}

function url(option: string, text: string): URL {
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.search !== '' || parsed.username !== '') {
    throw wrong(`${option} is "${text}"; must be an http or https URL without query and credentials`);
  }
  return parsed;
}

function header(text: string): CredentialHeader {
  if (text === 'x-api-key' || text === 'authorization' || text === 'both') return text;
  throw wrong(`--header is "${text}"; must be x-api-key, authorization or both`);
}

function seconds(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 3600)) throw wrong(`${option} is "${text}"; must be a number of seconds up to 3600`);
  return value * 1000;
}

function pem(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrong(`--ca ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw wrong(`--ca ${file} holds no certificate in PEM`);
}
