import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

import { repoDir } from '../local/sandbox';
import { anchorsOf, linksOf, page } from './markdown';

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: repoDir,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(repoDir, path)));

it.each(pages)('every link of %s leads to something', (path) => {
  const dead = linksOf(page(path)).filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [target = '', anchor] = link.split('#');
    const file = target === '' ? path : normalize(join(dirname(path), target));
    if (!existsSync(join(repoDir, file))) return true;
    return anchor !== undefined && !(file.endsWith('.md') && anchorsOf(page(file)).has(anchor));
  });
  expect(dead).toEqual([]);
});

it('knows the pages, and what a dead link is', () => {
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md']));
  expect(linksOf('[a](b.md#c) ![d](e.png) `[f](g)`\n\n```md\n[h](i)\n```\n')).toEqual(['b.md#c', 'e.png']);
  expect([...anchorsOf('# A `b`, c\n\n```sh\n# no\n```\n## Über 2\n')]).toEqual(['a-b-c', 'über-2']);
});
