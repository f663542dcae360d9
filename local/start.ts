import { join, relative } from 'node:path';

import { HELP, parseArguments } from './arguments';
import { runInContainer } from './container';
import { ensureDebianPackages, examplePackages, gatewayPackages } from './debian-packages';
import { asUserError, LocalGateway } from './gateway';
import { runMain } from './user-error';
import { welcome } from './welcome';

const repoDir = join(__dirname, '..');
/** A Ctrl-C reaches us twice, from the terminal and from npm, which passes it on: within this time it is one. */
const SAME_SIGNAL_MS = 1000;

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2));
  if (args.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const outcome = await ensureDebianPackages([...gatewayPackages, ...examplePackages]);
  if (outcome === 'docker') {
    const credentials = Object.keys(process.env).filter((name) => name.startsWith('CAUSEWAY_CREDENTIAL_'));
    return runInContainer({
      repoDir,
      args: process.argv.slice(2),
      ports: [args.port, args.tlsPort],
      envNames: ['ANTHROPIC_API_KEY', 'CAUSEWAY_DEBUG', ...credentials],
    });
  }
  const gateway = new LocalGateway({
    args,
    stateDirectory: '.causeway',
    // A published port reaches a container from outside its loopback.
    listenAddress: process.env['CAUSEWAY_IN_CONTAINER'] === '1' ? '0.0.0.0' : '127.0.0.1',
    variables: process.env,
    say: (line) => process.stderr.write(`causeway: ${line}\n`),
  });
  const stop = stopOnSignal(gateway);
  try {
    await Promise.race([gateway.start(), stop.done]);
  } catch (error) {
    // What fails because it is being stopped is no failure.
    if (!stop.asked()) throw asUserError(error);
  }
  if (!stop.asked()) {
    process.stdout.write(
      welcome({
        baseUrl: `http://127.0.0.1:${args.port}`,
        tlsUrl: `https://127.0.0.1:${args.tlsPort}`,
        // Relative: in a container the checkout is elsewhere than for whoever reads this.
        ...(gateway.caFile === undefined ? {} : { caFile: relative(repoDir, gateway.caFile) }),
        ...(gateway.key === undefined ? {} : { key: gateway.key }),
        upstream: args.upstream,
        logFile: relative(repoDir, gateway.logFile),
        readySeconds: performance.now() / 1000,
      }),
    );
    await Promise.race([stop.done, gateway.ended()]);
  }
  if (stop.asked()) {
    await stop.done;
    return 0;
  }
  await gateway.stop(0);
  process.stderr.write(`causeway: nginx ended by itself, so everything is stopped (its log: ${gateway.errorLog})\n`);
  return 1;
}

/** A stop that a signal asks for. */
interface Stop {
  /** Whether a signal has come. */
  asked(): boolean;
  /** Settles when the gateway has stopped because of it. */
  readonly done: Promise<void>;
}

/** The first signal lets streams end, the second cuts them. */
function stopOnSignal(gateway: LocalGateway): Stop {
  let since: number | undefined;
  const done = new Promise<void>((settle, reject) => {
    const onSignal = (): void => {
      const now = performance.now();
      if (since !== undefined) {
        if (now - since > SAME_SIGNAL_MS) gateway.cut();
        return;
      }
      since = now;
      process.stderr.write('causeway: stopping; open streams are finished first (once more to cut them)\n');
      gateway.stop(gateway.graceMs).then(settle, reject);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  });
  return { asked: () => since !== undefined, done };
}

runMain(main);
