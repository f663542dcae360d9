import { placesOf } from '../lib/registry/cli/places';
import { runKeys } from '../lib/registry/cli/run';
import { runRegistryProgram } from '../local/registry-program';

runRegistryProgram('npm run keys', (program) =>
  runKeys(process.argv.slice(2), {
    ...program,
    places: (args) => placesOf(args, program.root, program.say),
  }),
);
