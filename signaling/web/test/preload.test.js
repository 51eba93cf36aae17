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

/** What a page asks for before and after its first paint. */
function askedBy(page) {
  const html = readFileSync(join(web, page), 'utf8');
  const [now, rest = ''] = html.split('<template id="rest">');
  const names = (text, tag) => [...text.matchAll(tag)].map((m) => m[1]);
  const scripts = (text) => names(text, /<script type="module" src="\/_\/assets\/([^"]+)">/g);
  const links = (text) => names(text, /rel="modulepreload" href="\/_\/assets\/([^"]+)"/g);
  return { now: [...scripts(now), ...links(now)], entry: scripts(rest)[0], rest: links(rest) };
}

for (const page of ['index.html', 'room.html']) {
  test(`${page} asks for all modules that the first paint does without at once, not one after the other`, () => {
    const { now, entry, rest } = askedBy(page);
    const needed = [...modules(entry)].filter((m) => m !== entry && !now.includes(m));
    assert.deepEqual(rest.sort(), needed.sort());
  });
}

test('the front page has its words for the first paint, the page of a room needs none', () => {
  assert.deepEqual(askedBy('index.html').now, ['js/i18n.js']);
  assert.deepEqual(modules('js/i18n.js').size, 1);
  assert.deepEqual(askedBy('room.html').now, []);
});

test('no module loads a language but the one that is used', () => {
  for (const entry of ['js/ui/front.js', 'js/ui/room.js']) {
    assert.deepEqual([...modules(entry)].filter((m) => m.startsWith('lang/')), []);
  }
});

test('the front page loads nothing of the meeting', () => {
  const loaded = [...modules('js/ui/front.js')];
  assert.deepEqual(loaded.filter((m) => /js\/(app|meeting|inputs|store|net|media)/.test(m)), []);
});
