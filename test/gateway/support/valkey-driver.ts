import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { TestGateway } from '../harness';

// Takes the place of what answers outside /v1/: a call of io/valkey.lua comes in as JSON, what it gave goes out.
const DRIVER = `
local cjson = require('cjson.safe')
local clock = require('causeway.io.clock')
local context = require('causeway.phase.context')
local valkey = require('causeway.io.valkey')
local M = {}
function M.run()
  context.begin(clock.monotonic_ms())
  ngx.req.read_body()
  local asked = cjson.decode(ngx.req.get_body_data())
  local began = clock.monotonic_ms()
  local whole, reply, problem = pcall(valkey[asked.name], unpack(asked.args))
  local text = cjson.encode({
    raised = not whole and tostring(reply) or nil,
    reply = reply,
    problem = problem,
    ms = clock.monotonic_ms() - began,
    worker = ngx.worker.pid(),
  })
  ngx.header['content-length'] = #text
  ngx.print(text)
end
return M
`;

/** What a call of io/valkey.lua gave. */
export interface Outcome {
  readonly reply?: unknown;
  /** Why there is no reply. */
  readonly problem?: string;
  /** What it raised, which it never may. */
  readonly raised?: string;
  /** How long it took. */
  readonly ms: number;
  readonly worker: number;
}

/** A copy of the data plane whose Valkey client can be called from outside; for `placement.luaDirectory`. */
export function drivenLua(): { readonly directory: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'causeway-lua-'));
  cpSync(join(__dirname, '..', '..', '..', 'gateway', 'lua'), directory, { recursive: true });
  writeFileSync(join(directory, 'causeway', 'phase', 'probe.lua'), DRIVER);
  return {
    directory,
    remove: () => {
      rmSync(directory, { recursive: true });
    },
  };
}

/** Calls a function of io/valkey.lua in a gateway that was started with {@link drivenLua}. */
export async function drive(gateway: TestGateway, name: string, ...args: readonly unknown[]): Promise<Outcome> {
  const response = await fetch(`${gateway.baseUrl}/`, { method: 'POST', body: JSON.stringify({ name, args }) });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const outcome = (await response.json()) as Outcome;
  if (outcome.raised !== undefined) throw new Error(`io/valkey.lua raised: ${outcome.raised}`);
  return outcome;
}
