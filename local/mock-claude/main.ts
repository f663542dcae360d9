/** Command line of the mock Claude API. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type MockClaudeOptions, startMockClaude } from './server';

const HELP = `Mock Claude API: a test tool that invents its answers.

  tsx local/mock-claude/main.ts [options]

  --port N          port to listen on (default 9443; 0: a free one)
  --host ADDRESS    address to listen on (default 127.0.0.1)
  --cert FILE       certificate chain, PEM; with --key: TLS, without both: plain HTTP
  --key FILE        private key, PEM
  --name NAME       name in the answers (default mock-claude)
  --require-key K   accept only this upstream credential (may be repeated; default: any)
  --keep-bodies     keep request bodies of up to 64 KiB for GET /__mock/requests
  --help            this text

What it answers and how to script faults: docs/mock-claude.md
`;

/** Ends the process with one line on stderr. */
function fail(message: string): never {
  process.stderr.write(`mock-claude: ${message}\n`);
  process.exit(1);
}

function read(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return fail(`--${option} ${path}: ${(error as Error).message}`);
  }
}

function parse(): MockClaudeOptions {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '9443' },
      host: { type: 'string', default: '127.0.0.1' },
      cert: { type: 'string' },
      key: { type: 'string' },
      name: { type: 'string' },
      'require-key': { type: 'string', multiple: true },
      'keep-bodies': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535) fail(`--port ${values.port}: a number from 0 to 65535 is needed`);
  if ((values.cert === undefined) !== (values.key === undefined)) fail('--cert and --key go together');
  const requireKeys = values['require-key'];
  return {
    host: values.host,
    port,
    keepBodies: values['keep-bodies'],
    ...(values.cert !== undefined && values.key !== undefined
      ? { tls: { cert: read('cert', values.cert), key: read('key', values.key) } }
      : {}),
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(requireKeys === undefined ? {} : { requireKeys }),
  };
}

function explain(error: unknown, options: MockClaudeOptions): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const address = `${options.host ?? ''}:${options.port ?? 0}`;
  if (code === 'EADDRINUSE') return `${address} is in use by another program; choose another --port or --host`;
  if (code === 'EACCES') return `${address}: not allowed to listen there; ports below 1024 may need privileges`;
  if (code === 'EADDRNOTAVAIL') return `${address}: this machine has no such address`;
  return options.tls === undefined ? message : `${message} (is --cert/--key a matching pair in PEM?)`;
}

async function main(): Promise<void> {
  let options: MockClaudeOptions;
  try {
    options = parse();
  } catch (error) {
    fail(`${(error as Error).message} (--help shows the options)`);
  }
  try {
    const mock = await startMockClaude(options);
    process.stdout.write(`mock-claude: listening on ${mock.baseUrl}\n`);
    const stop = (): void => {
      void mock.close().then(() => process.exit(0));
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
  } catch (error) {
    fail(explain(error, options));
  }
}

void main();
