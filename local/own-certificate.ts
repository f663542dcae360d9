import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { StartArguments } from './arguments';
import { UserError } from './user-error';

/**
 * Refuses a certificate and key of the operator's own that cannot be served, before anything starts. Whether the chain is
 * complete is the gateway's to judge, which knows the trusted authorities.
 *
 * @param now - @default the clock
 * @throws UserError that names the option, the file and what is wrong with it
 */
export function checkOwnCertificate(files: NonNullable<StartArguments['certificate']>, now = new Date()): void {
  const certificate = parse('--cert', files.chainFile, 'no PEM certificate', (pem) => new X509Certificate(pem));
  const key = parse('--key', files.keyFile, 'no unencrypted PEM private key', (pem) => createPrivateKey(pem));
  const subject = certificate.subject.replaceAll('\n', ', ');
  if (!certificate.checkPrivateKey(key)) {
    throw new UserError(`--key ${files.keyFile} does not match the certificate of ${subject} in ${files.chainFile}`);
  }
  if (Date.parse(certificate.validTo) <= now.getTime()) {
    throw new UserError(
      `--cert ${files.chainFile}: the certificate of ${subject} has expired (${certificate.validTo}): give a valid one`,
    );
  }
  if (Date.parse(certificate.validFrom) > now.getTime()) {
    throw new UserError(
      `--cert ${files.chainFile}: the certificate of ${subject} is not valid before ${certificate.validFrom}`,
    );
  }
}

function parse<T>(option: string, file: string, problem: string, read: (pem: Buffer) => T): T {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'it may not be read' : (code ?? message);
    throw new UserError(`${option} ${file}: ${reason}`, { cause: error });
  }
  try {
    return read(pem);
  } catch (error) {
    throw new UserError(`${option} ${file}: it holds ${problem}`, { cause: error });
  }
}
