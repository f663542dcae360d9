import { resolve } from 'node:path';
import { App } from 'aws-cdk-lib';
import { addEnvironments } from '../lib/app';
import { ConfigError, loadConfig } from '../lib/config';
import { deployableEnvironments } from '../lib/config/deployable';

// What `cdk` runs. `-c environment=<name>` builds one environment, `-c config=<file>` reads another file.
const app = new App();
const context = (key: string): string | undefined => {
  const value: unknown = app.node.tryGetContext(key);
  return typeof value === 'string' ? value : undefined;
};
try {
  const config = loadConfig(context('config') ?? resolve(__dirname, '../causeway.config.ts'));
  addEnvironments(app, deployableEnvironments(config, context('environment')));
  app.synth();
} catch (error) {
  // What is wrong with a config is said in one message; anything else is a fault of ours and keeps its stack trace.
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
