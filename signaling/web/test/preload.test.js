import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const web = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Every module that one leads to, itself first, by its path below the folder. */
function modules(path, seen = new Set()) {
  if (seen.has(path)) return seen;
  seen.add(path);
  const text = readFileSync(join(web, path), 'utf8');
  for (const [, target] of text.matchAll(/^(?:import|export)[^;]*?from '(\.[^']+)';/gms)) {
    modules(join(dirname(path), target), seen);
  }
  return seen;
}

for (const page of ['index.html', 'room.html']) {
  test(`${page} asks for all its modules at once, not one after the other`, () => {
    const html = readFileSync(join(web, page), 'utf8');
    const entry = /<script type="module" src="\/_\/assets\/([^"]+)">/.exec(html)?.[1];
    const preloaded = [...html.matchAll(/rel="modulepreload" href="\/_\/assets\/([^"]+)"/g)].map((m) => m[1]);
    assert.deepEqual(preloaded.sort(), [...modules(entry)].filter((m) => m !== entry).sort());
  });
}

test('the front page loads nothing of the meeting', () => {
  const loaded = [...modules('js/ui/front.js')];
  assert.deepEqual(loaded.filter((m) => /js\/(app|meeting|inputs|store|net|media)/.test(m)), []);
});
