import { environmentOf, placesOf } from '../lib/registry/cli/places';
import { runCache } from '../lib/registry/cli/cache';
import { runRegistryProgram } from '../local/registry-program';

runRegistryProgram('npm run cache', (program) =>
  runCache(process.argv.slice(2), {
    ...program,
    places: (args) => placesOf(args, program.root, program.say),
    environment: (args) => environmentOf(args, program.root),
  }),
);
