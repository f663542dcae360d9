/** Why a registry cannot be read or changed as asked: one message that names the thing and the way out. */
export class RegistryError extends Error {
  override readonly name: string = 'RegistryError';
}

/** What was to be changed is not there. */
export class AbsentError extends RegistryError {
  override readonly name = 'AbsentError';
}

/** What is stored is no registry. */
export class BrokenError extends RegistryError {
  override readonly name = 'BrokenError';
}

/** The command line is wrong. */
export class UsageError extends RegistryError {
  override readonly name = 'UsageError';
}
