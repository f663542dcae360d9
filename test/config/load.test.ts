import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '..', '..');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'causeway-load-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

/**
 * Runs TypeScript as the entry points do, under tsx: jest has loaders and a module cache of its own, so that nothing
 * about loading could be learnt from it.
 */
function run(name: string, body: string): unknown {
  const script = join(directory, `${name}.run.ts`);
  writeFileSync(
    script,
    `import { loadConfig } from ${JSON.stringify(join(ROOT, 'lib', 'config'))};
import { writeFileSync } from 'node:fs';
const attempt = (file: string) => { try { return loadConfig(file); } catch (error) { return \`\${(error as Error).name}: \${(error as Error).message}\`; } };
const answer = (value: unknown) => console.log(JSON.stringify(value));
${body}`,
  );
  const output = execFileSync(process.execPath, ['--import', 'tsx', script], { cwd: ROOT, encoding: 'utf8' });
  return JSON.parse(output) as unknown;
}

function write(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

test('what cannot be loaded is one line that says why', () => {
  const files = {
    'syntax.ts': "export default {\n  environments: { local: { auth: { mode 'keys' } } },\n};\n",
    'await.ts': 'await 1;\nexport default { environments: {} };\n',
    'no-default.ts': 'export const config = { environments: {} };\n',
    'import.ts': "import './nowhere';\nexport default { environments: {} };\n",
    'throws.ts': "throw new Error('no such luck\\nand a second line');\n",
    'throws-text.ts': "throw 'no such luck';\n",
    'shape.ts': 'export default { environments: { local: 5 } };\n',
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  mkdirSync(join(directory, 'folder.ts'));
  const names = [...Object.keys(files), 'folder.ts', 'missing.ts'];
  const paths = names.map((name) => join(directory, name));
  expect(run('broken', `answer(${JSON.stringify(paths)}.map(attempt));`)).toEqual([
    `ConfigError: syntax.ts: does not load: line 2, column 40: Expected "}" but found "'keys'"`,
    'ConfigError: await.ts: does not load: line 1, column 0: Top-level await is currently not supported with the "cjs" output format',
    'ConfigError: no-default.ts: must say `export default defineConfig({ environments: { … } })`; it exports no such object',
    "ConfigError: import.ts: does not load: Cannot find module './nowhere'",
    'ConfigError: throws.ts: does not load: no such luck',
    'ConfigError: throws-text.ts: does not load: no such luck',
    'ConfigError: shape.ts: environments.local: is 5; must be an object',
    `ConfigError: folder.ts: there is no file ${join(directory, 'folder.ts')}`,
    `ConfigError: missing.ts: there is no file ${join(directory, 'missing.ts')}`,
  ]);
});

test('an edited file is seen anew, through a link too, and a broken edit does not stick', () => {
  const file = write('edited.ts', '');
  const link = join(directory, 'link.ts');
  symlinkSync(file, link);
  const versions = [
    'export default { environments: { a: {} } };',
    'export default { environments: { b: {} } };',
    'throw new Error("broken");',
    'export default { environments: { c: {} } };',
  ];
  const loads = `answer(${JSON.stringify(versions)}.flatMap((text) => {
    writeFileSync(${JSON.stringify(file)}, text);
    return ${JSON.stringify([file, link])}.map(attempt);
  }));`;
  expect(run('edited', loads)).toEqual([
    { environments: { a: {} } },
    { environments: { a: {} } },
    { environments: { b: {} } },
    { environments: { b: {} } },
    'ConfigError: edited.ts: does not load: broken',
    'ConfigError: link.ts: does not load: broken',
    { environments: { c: {} } },
    { environments: { c: {} } },
  ]);
});
