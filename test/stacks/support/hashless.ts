/** Content hashes of assets, and the versions that follow from them. */
const HASH = /[0-9a-f]{64}/g;

/** A template without the hashes of assets: they change with every line of Lua, and say nothing about the stack. */
export function hashless(template: unknown): unknown {
  return JSON.parse(JSON.stringify(template).replace(HASH, '<hash>')) as unknown;
}
