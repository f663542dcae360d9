import { join } from 'node:path';

import { HELP, parseArguments } from './arguments';
import { runInContainer } from './container';
import { ensureDebianPackages, examplePackages, gatewayPackages } from './debian-packages';
import { asUserError, LocalGateway } from './gateway';
import { runMain } from './user-error';
import { welcome } from './welcome';

const repoDir = join(__dirname, '..');

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2));
  if (args.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const outcome = await ensureDebianPackages([...gatewayPackages, ...examplePackages]);
  if (outcome === 'docker') {
    return runInContainer({ repoDir, args: process.argv.slice(2), ports: [args.port, args.tlsPort] });
  }
  const gateway = new LocalGateway({
    args,
    stateDirectory: '.causeway',
    // A published port reaches a container from outside its loopback.
    listenAddress: process.env['CAUSEWAY_IN_CONTAINER'] === '1' ? '0.0.0.0' : '127.0.0.1',
    variables: process.env,
    say: (line) => process.stderr.write(`causeway: ${line}\n`),
  });
  const stopped = stopOnSignal(gateway);
  try {
    await gateway.start();
  } catch (error) {
    throw asUserError(error);
  }
  process.stdout.write(
    welcome({
      baseUrl: `http://127.0.0.1:${args.port}`,
      tlsUrl: `https://127.0.0.1:${args.tlsPort}`,
      ...(gateway.caFile === undefined ? {} : { caFile: gateway.caFile }),
      key: gateway.key,
      upstream: args.upstream,
      logFile: gateway.logFile,
      readySeconds: performance.now() / 1000,
    }),
  );
  const outcomeOf = await Promise.race([stopped, gateway.ended().then(() => 'nginx ended' as const)]);
  if (outcomeOf === 'stopped') return 0;
  await gateway.stop(0);
  process.stderr.write('causeway: nginx ended by itself; everything is stopped\n');
  return 1;
}

/** Settles when a signal has stopped the gateway. The first lets streams end, the second cuts them. */
function stopOnSignal(gateway: LocalGateway): Promise<'stopped'> {
  return new Promise((settle, reject) => {
    let stopping = false;
    const onSignal = (): void => {
      if (stopping) {
        gateway.cut();
        return;
      }
      stopping = true;
      process.stderr.write('causeway: stopping; open streams are finished first (once more to cut them)\n');
      gateway.stop(gateway.graceMs).then(() => {
        settle('stopped');
      }, reject);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  });
}

runMain(main);
