import { resolveEnvironment, type EnvironmentInput } from '../../lib/config';
import { credentialsFrom } from '../../local/credentials';
import { UserError } from '../../local/user-error';

const environment = (input: EnvironmentInput = {}) => resolveEnvironment({ environments: { local: input } }, 'local');
const two = environment({
  upstreams: [
    { id: 'anthropic', host: 'api.anthropic.com' },
    { id: 'second', host: 'second.example.com', credential: 'on-aws' },
    { id: 'third', host: 'third.example.com', credential: 'anthropic' },
  ],
});

describe('credentialsFrom', () => {
  it('takes the real API’s from the variable that its SDKs read', () => {
    expect(credentialsFrom(environment(), { ANTHROPIC_API_KEY: 'sk-ant-1' })).toEqual({
      version: 1,
      credentials: { anthropic: 'sk-ant-1' },
    });
  });

  it('takes each credential once, by the name that the config gives it', () => {
    expect(credentialsFrom(two, { ANTHROPIC_API_KEY: 'a', CAUSEWAY_CREDENTIAL_ON_AWS: 'b' })).toEqual({
      version: 1,
      credentials: { anthropic: 'a', 'on-aws': 'b' },
    });
  });

  it('names every variable that is missing or empty', () => {
    expect(() => credentialsFrom(two, { ANTHROPIC_API_KEY: '' })).toThrow(
      new UserError(
        "ANTHROPIC_API_KEY and CAUSEWAY_CREDENTIAL_ON_AWS must be set: the upstream's credential is read from there. Without one, npm start alone runs against the mock Claude API",
      ),
    );
  });

  it.each(['sk ant', 'sk\nant', 'sk-ant\n', ' sk', 'schlüssel'])('refuses %j without showing it', (value) => {
    expect(() => credentialsFrom(environment(), { ANTHROPIC_API_KEY: value })).toThrow(
      new UserError(
        'ANTHROPIC_API_KEY holds a space, a line break or a character beyond ASCII, which no credential does',
      ),
    );
  });
});
