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

/** What modules ask for when it is wanted, and all that leads to. */
function later(paths) {
  const found = new Set();
  for (const path of paths) {
    const text = readFileSync(join(web, path), 'utf8');
    for (const [, target] of text.matchAll(/\bimport\('(\.[^']+)'\)/g)) modules(join(dirname(path), target), found);
  }
  return [...found].filter((m) => !paths.has(m));
}

/** What a page asks for before its first paint, after it, and for the meeting. */
function askedBy(page) {
  const html = readFileSync(join(web, page), 'utf8');
  const [now, rest = '', meeting = ''] = html.split('<template id=');
  const names = (text, tag) => [...text.matchAll(tag)].map((m) => m[1]);
  const scripts = (text) => names(text, /<script type="module" src="\/_\/assets\/([^"]+)">/g);
  const links = (text) => names(text, /rel="modulepreload" href="\/_\/assets\/([^"]+)"/g);
  return { now: [...scripts(now), ...links(now)], entry: scripts(rest)[0], rest: links(rest), meeting: links(meeting) };
}

for (const page of ['index.html', 'room.html']) {
  test(`${page} asks for what the first paint does without at once, not one after the other`, () => {
    const { now, entry, rest, meeting } = askedBy(page);
    const needed = modules(entry);
    assert.deepEqual(rest.sort(), [...needed].filter((m) => m !== entry && !now.includes(m)).sort());
    assert.deepEqual(meeting.sort(), later(needed).sort());
  });
}

test('the page before the meeting does without the code of the meeting', () => {
  const loaded = [...modules('js/ui/room.js')];
  assert.deepEqual(loaded.filter((m) => /js\/(meeting|net\/(?!sdp)|media\/(pc|slots)|ui\/(meeting|deck|stage|panel|chat|people))/.test(m)), []);
});

test('the front page has its words for the first paint, the page of a room needs none', () => {
  assert.deepEqual(askedBy('index.html').now, ['js/i18n.js']);
  assert.deepEqual(modules('js/i18n.js').size, 1);
  assert.deepEqual(askedBy('room.html').now, []);
});

test('no module loads a language but the one that is used', () => {
  for (const entry of ['js/ui/front.js', 'js/ui/room.js', 'js/ui/meeting-page.js']) {
    assert.deepEqual([...modules(entry)].filter((m) => m.startsWith('lang/')), []);
  }
});

test('the front page loads nothing of the meeting', () => {
  const loaded = [...modules('js/ui/front.js')];
  assert.deepEqual(loaded.filter((m) => /js\/(app|meeting|inputs|store|net|media)/.test(m)), []);
});
