// The library below asks for it at load time.
import 'reflect-metadata';

import { createPrivateKey, webcrypto, X509Certificate as NodeCertificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';

import * as x509 from '@peculiar/x509';

import { withLock } from './lock';

/** A certificate and its private key, both as PEM (the key as PKCS#8). */
export interface KeyPairPem {
  readonly cert: string;
  readonly key: string;
}

/**
 * A certificate authority: a root that clients trust, and an intermediate that signs. The root's own key is thrown away
 * once it has signed the intermediate, so it can leak from nowhere.
 */
export interface Authority {
  /** The root's certificate: what clients are given as their CA file. PEM. */
  readonly root: string;
  readonly intermediate: KeyPairPem;
}

/** What {@link createAuthority} is given. */
export interface AuthorityOptions {
  /** The beginning of the certificates' common names. @default 'Causeway local' */
  readonly name?: string;
  /** @default an hour ago, as clocks differ */
  readonly notBefore?: Date;
  /** @default ten years from now */
  readonly notAfter?: Date;
}

/** What {@link issueLeaf} is given. */
export interface LeafOptions {
  readonly authority: Authority;
  /** Host names and addresses; the first is the common name too. */
  readonly hosts: readonly [string, ...string[]];
  /** @default an hour ago, as clocks differ */
  readonly notBefore?: Date;
  /** @default 397 days from now, the most that browsers take, but no longer than the authority */
  readonly notAfter?: Date;
  /** P-256, or RSA of 2048 bits. @default 'ec' */
  readonly keyType?: 'ec' | 'rsa';
}

/** A server's certificate in the forms that are needed. PEM throughout. */
export interface Leaf extends KeyPairPem {
  /** The leaf alone. Served as it is, it is an incomplete chain. */
  readonly cert: string;
  /** What a server has to present: the leaf, then the intermediate. */
  readonly chain: string;
  readonly key: string;
}

const day = 86_400_000;
const hour = 3_600_000;
const crypto = webcrypto;
const signature = { name: 'ECDSA', hash: 'SHA-256' } as const;
const algorithms = {
  ec: { name: 'ECDSA', namedCurve: 'P-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
} as const;

x509.cryptoProvider.set(crypto);

/** Makes a root and an intermediate certificate authority, both on P-256. */
export async function createAuthority(options: AuthorityOptions = {}): Promise<Authority> {
  const name = options.name ?? 'Causeway local';
  const validity = {
    notBefore: options.notBefore ?? new Date(Date.now() - hour),
    notAfter: options.notAfter ?? new Date(Date.now() + 3650 * day),
  };
  const rootKeys = await generateKeys('ec');
  const intermediateKeys = await generateKeys('ec');
  // The serial in the name: roots of one name but different keys in one trust store confuse OpenSSL.
  const rootSerial = serialNumber();
  const rootName = commonName(`${name} root ${rootSerial.slice(2, 10)}`);
  const root = await x509.X509CertificateGenerator.create({
    serialNumber: rootSerial,
    subject: rootName,
    issuer: rootName,
    ...validity,
    publicKey: rootKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: signature,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      keyUsage(x509.KeyUsageFlags.keyCertSign, x509.KeyUsageFlags.cRLSign),
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const intermediate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: commonName(`${name} intermediate ${rootSerial.slice(2, 10)}`),
    issuer: rootName,
    ...validity,
    publicKey: intermediateKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: signature,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      keyUsage(x509.KeyUsageFlags.keyCertSign, x509.KeyUsageFlags.cRLSign),
      await x509.SubjectKeyIdentifierExtension.create(intermediateKeys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  return {
    root: certificatePem(root),
    intermediate: { cert: certificatePem(intermediate), key: await keyPem(intermediateKeys.privateKey) },
  };
}

/** Issues a server certificate. Dates in the past make one that has expired, for tests. */
export async function issueLeaf(options: LeafOptions): Promise<Leaf> {
  const issuer = new x509.X509Certificate(options.authority.intermediate.cert);
  const issuerKey = await crypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(options.authority.intermediate.key).export({ type: 'pkcs8', format: 'der' }),
    algorithms.ec,
    false,
    ['sign'],
  );
  const keyType = options.keyType ?? 'ec';
  const keys = await generateKeys(keyType);
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: commonName(options.hosts[0]),
    issuer: issuer.subjectName,
    notBefore: options.notBefore ?? new Date(Date.now() - hour),
    notAfter: options.notAfter ?? new Date(Math.min(Date.now() + 397 * day, issuer.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey: issuerKey,
    signingAlgorithm: signature,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      keyType === 'rsa'
        ? keyUsage(x509.KeyUsageFlags.digitalSignature, x509.KeyUsageFlags.keyEncipherment)
        : keyUsage(x509.KeyUsageFlags.digitalSignature),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        options.hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  const cert = certificatePem(leaf);
  return { cert, chain: cert + options.authority.intermediate.cert, key: await keyPem(keys.privateKey) };
}

/** Files of a server certificate. */
export interface LeafFiles {
  /** The leaf and the intermediate, as nginx's `ssl_certificate` wants them. */
  readonly certFile: string;
  /** Readable by its owner only. */
  readonly keyFile: string;
}

/** What {@link ensureLocalPki} leaves on disk. */
export interface LocalPki {
  /** The root's certificate: for `curl --cacert`, `NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, and nginx towards the mock. */
  readonly caFile: string;
  /** The gateway's own certificate. */
  readonly gateway: LeafFiles;
  /** The mock upstream's. */
  readonly mock: LeafFiles;
  /** Issues further certificates that the same CA file verifies. */
  readonly authority: Authority;
}

const loopback = ['localhost', '127.0.0.1', '::1'] as const;
/** Less than this left, and a certificate is replaced. Milliseconds. */
const renewal = 30 * day;

/**
 * The certificates of a local gateway: made once, then reused; what has less than 30 days left, or does not hold together,
 * is made anew. Several processes may ask at once.
 *
 * @param dir - only its owner can read it. @default '.causeway/pki'
 * @param now - @default the clock
 */
export async function ensureLocalPki(dir = join('.causeway', 'pki'), now = new Date()): Promise<LocalPki> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
  return withLock(join(dir, 'lock'), async () => {
    const files = {
      ca: join(dir, 'ca.pem'),
      intermediateCert: join(dir, 'intermediate.pem'),
      intermediateKey: join(dir, 'intermediate.key'),
    };
    let authority = readAuthority(files, now);
    if (authority === undefined) {
      authority = await createAuthority({
        notBefore: new Date(now.getTime() - hour),
        notAfter: new Date(now.getTime() + 3650 * day),
      });
      replaceFile(files.ca, authority.root, 0o644);
      replaceFile(files.intermediateCert, authority.intermediate.cert, 0o644);
      replaceFile(files.intermediateKey, authority.intermediate.key, 0o600);
    }
    const leaf = async (name: string): Promise<LeafFiles> => {
      const leafFiles = { certFile: join(dir, `${name}.pem`), keyFile: join(dir, `${name}.key`) };
      if (leafIsGood(leafFiles, authority, now)) return leafFiles;
      const issued = await issueLeaf({
        authority,
        hosts: loopback,
        notBefore: new Date(now.getTime() - hour),
        notAfter: new Date(
          Math.min(now.getTime() + 397 * day, Date.parse(new NodeCertificate(authority.intermediate.cert).validTo)),
        ),
      });
      replaceFile(leafFiles.keyFile, issued.key, 0o600);
      replaceFile(leafFiles.certFile, issued.chain, 0o644);
      return leafFiles;
    };
    return { caFile: files.ca, gateway: await leaf('gateway'), mock: await leaf('mock'), authority };
  });
}

function readAuthority(
  files: Readonly<Record<'ca' | 'intermediateCert' | 'intermediateKey', string>>,
  now: Date,
): Authority | undefined {
  try {
    const authority = {
      root: readFileSync(files.ca, 'utf8'),
      intermediate: {
        cert: readFileSync(files.intermediateCert, 'utf8'),
        key: readFileSync(files.intermediateKey, 'utf8'),
      },
    };
    const root = new NodeCertificate(authority.root);
    const intermediate = new NodeCertificate(authority.intermediate.cert);
    const good =
      intermediate.verify(root.publicKey) &&
      intermediate.checkPrivateKey(createPrivateKey(authority.intermediate.key)) &&
      lasts(intermediate, now) &&
      lasts(root, now);
    return good ? authority : undefined;
  } catch {
    // Absent, cut off or no PEM: made anew.
    return undefined;
  }
}

function leafIsGood(files: LeafFiles, authority: Authority, now: Date): boolean {
  if (!existsSync(files.certFile) || !existsSync(files.keyFile)) return false;
  try {
    const chain = readFileSync(files.certFile, 'utf8');
    const certificate = new NodeCertificate(chain);
    return (
      chain.endsWith(authority.intermediate.cert) &&
      certificate.verify(new NodeCertificate(authority.intermediate.cert).publicKey) &&
      certificate.checkPrivateKey(createPrivateKey(readFileSync(files.keyFile))) &&
      lasts(certificate, now)
    );
  } catch {
    return false;
  }
}

function lasts(certificate: NodeCertificate, now: Date): boolean {
  return (
    Date.parse(certificate.validTo) - now.getTime() >= renewal && Date.parse(certificate.validFrom) <= now.getTime()
  );
}

/** Whole or not at all: a reader never sees half a file, and a key never has another mode than its own. */
function replaceFile(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  writeFileSync(temporary, text, { mode, flag: 'wx' });
  renameSync(temporary, path);
}

async function generateKeys(type: 'ec' | 'rsa'): Promise<webcrypto.CryptoKeyPair> {
  return type === 'ec'
    ? crypto.subtle.generateKey(algorithms.ec, true, ['sign', 'verify'])
    : crypto.subtle.generateKey(algorithms.rsa, true, ['sign', 'verify']);
}

/** Structured, so that no character of a name is taken for syntax. */
function commonName(name: string): x509.JsonName {
  return [{ CN: [name] }];
}

function keyUsage(...flags: readonly x509.KeyUsageFlags[]): x509.KeyUsagesExtension {
  let all = 0;
  for (const flag of flags) all |= flag;
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- flags that are set together have no name in the library's enum
  return new x509.KeyUsagesExtension(all, true);
}

/** 16 octets, positive and without a leading zero, as RFC 5280 wants it. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

function certificatePem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();
}
