// Asked by bootstrap.sh before it would run `npm ci`: exits 0 when node_modules already holds just what package-lock.json
// asks for, because somebody ran npm by hand. Plain JavaScript, as it runs where nothing is installed yet.
import { readFileSync } from 'node:fs';
import process from 'node:process';

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function complete() {
  const wanted = readJson('package-lock.json').packages;
  // npm writes this one when an install has come to its end.
  const present = readJson('node_modules/.package-lock.json').packages;
  return Object.entries(wanted).every(([path, { version, integrity, optional, link }]) => {
    if (path === '' || link === true) return true;
    const found = present[path];
    // Optional packages are mostly programs for other platforms.
    if (found === undefined) return optional === true;
    // The files too: an install that was killed leaves npm's list behind, and packages gone.
    return found.integrity === integrity && readJson(`${path}/package.json`).version === version;
  });
}

try {
  process.exitCode = complete() ? 0 : 1;
} catch {
  process.exitCode = 1;
}
