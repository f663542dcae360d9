import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** Where programs stand that run the data plane's Lua for tests. */
const TOOLS = join(__dirname, '..', '..', '..', 'gateway', 'spec', 'tools');

function framed(documents: readonly Buffer[]): Buffer {
  return Buffer.concat(
    documents.flatMap((document) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(document.length);
      return [length, document];
    }),
  );
}

/**
 * Runs a program of gateway/spec/tools under LuaJIT: documents in, a line each out.
 *
 * Rejects, with the document, where the program crashes or hangs.
 */
export function driveLua(
  program: string,
  documents: readonly Buffer[],
  options: { readonly args?: readonly string[]; readonly timeoutMs?: number } = {},
): Promise<string[]> {
  const { args = [], timeoutMs = 30_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn('luajit', [join(TOOLS, program), ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let problems = '';
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (data: Buffer) => output.push(data));
    child.stderr.on('data', (data: Buffer) => (problems += data.toString()));
    // It ended before it had read everything; its exit code tells more.
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(limit);
      const lines = Buffer.concat(output).toString('utf8').split('\n').slice(0, -1);
      if (code === 0 && lines.length === documents.length) {
        resolve(lines);
        return;
      }
      const document = documents[lines.length]?.subarray(0, 300).toString('base64') ?? '';
      const how = late ? `hung for ${timeoutMs} ms` : `ended with ${code ?? signal ?? ''}: ${problems.slice(0, 500)}`;
      reject(new Error(`${program} ${how}; at document ${lines.length} (base64): ${document}`));
    });
    child.stdin.end(framed(documents));
  });
}
