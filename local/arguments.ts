import { parseArgs } from 'node:util';

import { UserError } from './user-error';

/** What `npm start --` understands. */
export interface StartArguments {
  readonly help: boolean;
  /** Port of the plain HTTP listener on loopback. */
  readonly port: number;
  /** Port of the TLS listener on loopback. */
  readonly tlsPort: number;
  /** Path of the config file. */
  readonly config: string;
  /** Environment of that config. */
  readonly environment: string;
  readonly upstream: 'mock' | 'anthropic';
  /** PEM files to be served instead of the local authority's. */
  readonly certificate?: { readonly chainFile: string; readonly keyFile: string };
}

/** What `npm start -- --help` prints. */
export const HELP = `Runs the Causeway gateway on this machine.

  npm start -- [options]

  --upstream mock|anthropic  where requests go: the mock Claude API on this machine, or the
                             real one with ANTHROPIC_API_KEY               (default: mock)
  --port N                   plain HTTP on 127.0.0.1                       (default: 8080)
  --tls-port N               HTTPS on 127.0.0.1                            (default: 8443)
  --config FILE              the configuration        (default: causeway.config.ts)
  --env NAME                 which of its environments                     (default: local)
  --cert FILE --key FILE     certificate chain and key (PEM) for HTTPS; replaced on disk,
                             they are served within seconds
                                        (default: issued by an authority of this checkout)
  --help                     this text

Paths are relative to the repository. A configuration that is edited while the gateway runs is
taken over; one that is broken is reported, and the running one serves on.

Ctrl-C or SIGTERM stops: open streams are finished first; a second one cuts them.
`;

/**
 * Reads the command line.
 *
 * @throws UserError that names the option and what it takes.
 */
export function parseArguments(argv: readonly string[]): StartArguments {
  const values = read(argv);
  const { cert, key } = values;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UserError('--cert and --key belong together: give both or none');
  }
  const { upstream } = values;
  if (upstream !== 'mock' && upstream !== 'anthropic') {
    throw new UserError(`--upstream is "${upstream}"; must be mock or anthropic`);
  }
  const parsed = {
    help: values.help,
    port: port('--port', values.port),
    tlsPort: port('--tls-port', values['tls-port']),
    config: values.config,
    environment: values.env,
    upstream,
    ...(cert !== undefined && key !== undefined ? { certificate: { chainFile: cert, keyFile: key } } : {}),
  } as const;
  if (parsed.port === parsed.tlsPort)
    throw new UserError(`--port and --tls-port are both ${parsed.port}; they must differ`);
  return parsed;
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        help: { type: 'boolean', default: false },
        port: { type: 'string', default: '8080' },
        'tls-port': { type: 'string', default: '8443' },
        config: { type: 'string', default: 'causeway.config.ts' },
        env: { type: 'string', default: 'local' },
        upstream: { type: 'string', default: 'mock' },
        cert: { type: 'string' },
        key: { type: 'string' },
      },
    }).values;
  } catch (error) {
    // parseArgs throws TypeErrors whose further sentences are about positional arguments, which there are none of here.
    const [reason = ''] = (error as TypeError).message.split(/\.\s/);
    throw new UserError(`${reason}; see npm start -- --help`);
  }
}

function port(option: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 65_535) {
    throw new UserError(`${option} is "${text}"; must be a port from 1 to 65535`);
  }
  return value;
}
