import { defineConfig } from './lib/config';

export default defineConfig({
  environments: {
    // What `npm start` runs. Its upstream is the mock Claude API, unless `--upstream anthropic` is given.
    local: {},
  },
});
