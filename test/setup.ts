import { runMain } from '../local/user-error';
import { prepare } from './prepare';

// `npm run setup`: what the tests and checks need is installed, and nothing is run.
runMain(async () => {
  await prepare();
});
