import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { resolveEnvironment, type Environment, type EnvironmentInput } from '../../lib/config';
import { renderGateway, type Placement, type RenderedFiles } from '../../lib/nginx';
import { createAuthority, issueLeaf } from '../../local/pki';

/** Somewhere to let nginx read what was rendered. */
export interface Bench {
  readonly directory: string;
  readonly placement: Placement;
  /** What `nginx -t` says of rendered files; empty where it takes them. */
  judge(files: RenderedFiles): string;
  close(): void;
}

/** Makes a directory with a certificate. */
export async function createBench(): Promise<Bench> {
  const directory = mkdtempSync(join(tmpdir(), 'causeway-render-'));
  const authority = await createAuthority();
  const leaf = await issueLeaf({ authority, hosts: ['localhost'] });
  const certificate = { chainFile: join(directory, 'chain.pem'), keyFile: join(directory, 'key.pem') };
  writeFileSync(certificate.chainFile, leaf.chain);
  writeFileSync(certificate.keyFile, leaf.key);
  writeFileSync(join(directory, 'ca.pem'), authority.root);
  const prefix = join(directory, 'conf');
  const placement: Placement = {
    prefix,
    runtimeDirectory: join(directory, 'run'),
    luaDirectory: join(__dirname, '..', '..', 'gateway', 'lua'),
    httpListen: ['127.0.0.1:18080'],
    httpsListen: ['127.0.0.1:18443'],
    certificate,
    registrySource: join(directory, 'registry.json'),
    credentialsSource: join(directory, 'credentials.json'),
    workers: 2,
    region: 'test-region-1',
  };
  mkdirSync(placement.runtimeDirectory);
  return {
    directory,
    placement,
    judge: (files) => {
      rmSync(prefix, { recursive: true, force: true });
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(prefix, path)), { recursive: true });
        writeFileSync(join(prefix, path), content);
      }
      const { status, stderr } = spawnSync('nginx', ['-t', '-q', '-p', prefix, '-c', 'nginx.conf'], {
        stdio: ['ignore', 'ignore', 'pipe'],
        encoding: 'utf8',
      });
      // How many files this machine lets a process open is no matter of what was rendered.
      const said = stderr.split('\n').filter((line) => line !== '' && !line.includes('open file resource limit'));
      return status === 0 && said.length === 0 ? '' : `status ${status ?? 'none'}: ${said.join('\n')}`;
    },
    close: () => {
      rmSync(directory, { recursive: true });
    },
  };
}

/** An environment as an operator might write it. */
export function environmentOf(input: EnvironmentInput): Environment {
  return resolveEnvironment({ environments: { test: input } }, 'test');
}

/** All rendered files in one, for searches. */
export function render(input: EnvironmentInput, placement: Placement): string {
  return Object.values(renderGateway(environmentOf(input), placement)).join('\n');
}

/** A directive as nginx reads it: its name and arguments, without quotes. Blocks are directives that end in `{`. */
export type Directive = readonly string[];

/**
 * Reads directives as nginx does (src/core/ngx_conf_file.c), independently of how they were written. The bodies of Lua
 * blocks are left out.
 */
export function readDirectives(text: string): Directive[] {
  const directives: Directive[] = [];
  let words: string[] = [];
  let at = 0;
  const word = (): string => {
    const quote = /["']/.exec(text.charAt(at))?.[0];
    if (quote !== undefined) at += 1;
    let value = '';
    while (at < text.length) {
      const character = text.charAt(at);
      if (quote === undefined ? /[\s;{]/.test(character) : character === quote) break;
      if (character === '\\') {
        at += 1;
        const next = text.charAt(at);
        // Other characters keep the backslash in front of them.
        value += /["'\\]/.test(next) ? next : `\\${next}`;
      } else value += character;
      at += 1;
    }
    if (quote !== undefined) at += 1;
    return value;
  };
  while (at < text.length) {
    const character = text.charAt(at);
    if (/\s/.test(character)) at += 1;
    else if (character === '#') at = (text.indexOf('\n', at) + text.length + 1) % (text.length + 1);
    else if (character === ';' || character === '{') {
      directives.push(character === '{' ? [...words, '{'] : words);
      if (character === '{' && (words[0] ?? '').endsWith('_by_lua_block')) at = text.indexOf('}', at);
      words = [];
      at += 1;
    } else if (character === '}') at += 1;
    else words.push(word());
  }
  return directives;
}
