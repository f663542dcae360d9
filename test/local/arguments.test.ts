import { HELP, parseArguments } from '../../local/arguments';
import { UserError } from '../../local/user-error';

const defaults = {
  help: false,
  port: 8080,
  tlsPort: 8443,
  config: 'causeway.config.ts',
  environment: 'local',
  upstream: 'mock',
};

describe('parseArguments', () => {
  it('has a default for everything', () => {
    expect(parseArguments([])).toEqual(defaults);
  });

  it.each<[string, readonly string[], Readonly<Record<string, unknown>>]>([
    ['ports', ['--port', '1', '--tls-port=65535'], { port: 1, tlsPort: 65_535 }],
    ['the real API', ['--upstream', 'anthropic'], { upstream: 'anthropic' }],
    [
      'another config and environment',
      ['--config', '/a b.ts', '--env', 'global'],
      { config: '/a b.ts', environment: 'global' },
    ],
    [
      'a certificate of one’s own',
      ['--cert', 'a.pem', '--key', 'b.pem'],
      { certificate: { chainFile: 'a.pem', keyFile: 'b.pem' } },
    ],
    ['--help', ['--help'], { help: true }],
  ])('reads %s', (_, argv, expected) => {
    expect(parseArguments(argv)).toEqual({ ...defaults, ...expected });
  });

  it.each<[readonly string[], string]>([
    [['--port', '0'], '--port is "0"; must be a port from 1 to 65535'],
    [['--port', '65536'], '--port is "65536"; must be a port from 1 to 65535'],
    [['--port', '80.5'], '--port is "80.5"; must be a port from 1 to 65535'],
    [['--port', '0x50'], '--port is "0x50"; must be a port from 1 to 65535'],
    [['--tls-port', ''], '--tls-port is ""; must be a port from 1 to 65535'],
    [['--port', '8443'], '--port and --tls-port are both 8443; they must differ'],
    [['--upstream', 'bedrock'], '--upstream is "bedrock"; must be mock or anthropic'],
    [['--cert', 'a.pem'], '--cert and --key belong together: give both or none'],
    [['--key', 'a.pem'], '--cert and --key belong together: give both or none'],
    [['--bogus'], "Unknown option '--bogus'; see npm start -- --help"],
    [['--help=yes'], "Option '--help' does not take an argument; see npm start -- --help"],
    [['--port'], "Option '--port <value>' argument missing; see npm start -- --help"],
    [['--port', '--help'], "Option '--port' argument is ambiguous; see npm start -- --help"],
    [['now'], "Unexpected argument 'now'; see npm start -- --help"],
  ])('refuses %j', (argv, message) => {
    expect(() => parseArguments(argv)).toThrow(new UserError(message));
  });
});

it('the help fits a terminal, and names the defaults that hold', () => {
  for (const line of HELP.split('\n')) expect(line.length).toBeLessThanOrEqual(96);
  for (const value of Object.values(defaults)) if (value !== false) expect(HELP).toContain(`(default: ${value})`);
});
