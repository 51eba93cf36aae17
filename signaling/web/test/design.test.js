import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import en from '../lang/en.js';
import ru from '../lang/ru.js';
import { aspectRange, gridLayout, pageSize, selfLayout, stageLayout } from '../js/ui/layout.js';
import { fitControls } from '../js/ui/overflow.js';
import { nameStrength, randomName } from '../js/ui/random-name.js';

const placeholders = (s) => [...new Set((typeof s === 'string' ? s : Object.values(s).join(' ')).match(/\{\w+\}/g) ?? [])].sort();

test('both languages have the same keys and placeholders, and all plural forms', () => {
  assert.deepEqual(Object.keys(ru).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en)) {
    assert.deepEqual(placeholders(ru[key]), placeholders(en[key]), key);
    assert.equal(typeof ru[key], typeof en[key], key);
    if (typeof ru[key] !== 'object') continue;
    for (const form of ['one', 'few', 'many']) assert.ok(ru[key][form], `${key} ${form}`);
    for (const form of ['one', 'other']) assert.ok(en[key][form], `${key} ${form}`);
  }
});

const sizes = [];
for (const width of [320, 360, 480, 640, 768, 1024, 1440, 1920]) {
  for (const height of [240, 480, 640, 900, 1080]) sizes.push([width, height]);
}

test('1 to 25 tiles in 40 sizes: inside, apart, of the allowed shape', () => {
  for (const [width, height] of sizes) {
    for (let count = 1; count <= 25; count++) {
      const { tiles, w, h } = gridLayout({ width, height, count });
      assert.equal(tiles.length, count);
      if (w < 20 || h < 20) continue; // too many for the size: the pages come first
      const [low, high] = aspectRange(width, height, count);
      assert.ok(w / h > low * 0.95 && w / h < high * 1.05, `${width}×${height} ${count}: ${w}×${h}`);
      for (const [i, a] of tiles.entries()) {
        assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= width && a.y + a.h <= height, `${width}×${height} ${count}`);
        for (const b of tiles.slice(i + 1)) {
          const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
          assert.ok(apart, `${width}×${height} ${count}`);
        }
      }
    }
  }
});

test('no other number of columns gives 3 % more picture', () => {
  for (const [width, height] of sizes) {
    for (let count = 1; count <= Math.min(25, pageSize(width, height, 8)); count++) {
      const { w, h } = gridLayout({ width, height, count });
      assert.ok(w * h * count >= 0.97 * bestArea(width, height, count), `${width}×${height} ${count}`);
    }
  }
});

/** The largest total picture of all column counts, found without the module's own search. */
function bestArea(width, height, count) {
  const [low, high] = aspectRange(width, height, count);
  let best = 0;
  for (let cols = 1; cols <= count; cols++) {
    const rows = Math.ceil(count / cols);
    const cell = [(width - 8 * (cols - 1)) / cols, (height - 8 * (rows - 1)) / rows];
    const w = Math.min(cell[0], cell[1] * high);
    const h = Math.min(cell[1], cell[0] / low);
    if (w > 0 && h > 0) best = Math.max(best, w * h * count);
  }
  return best;
}

test('a window edge that is dragged does not make tiles jump', () => {
  let columns = 0;
  let changes = 0;
  for (let width = 900; width <= 1000; width += 2) {
    const { cols } = gridLayout({ width, height: 700, count: 7, prevCols: columns });
    if (columns && cols !== columns) changes += 1;
    columns = cols;
  }
  assert.ok(changes <= 1);
});

test('a page holds 8 on a small phone and never more than 25', () => {
  assert.equal(pageSize(360, 640, 6) >= 8, true);
  assert.equal(pageSize(3000, 2000, 8), 25);
});

test('the strip is beside the stage when it is wide, below when it is not', () => {
  assert.equal(stageLayout({ width: 1400, height: 800, others: 3 }).strip, 'right');
  assert.equal(stageLayout({ width: 600, height: 900, others: 3 }).strip, 'bottom');
  assert.equal(stageLayout({ width: 600, height: 900, others: 3, shareAspect: 16 / 9 }).strip, 'grid');
  assert.equal(stageLayout({ width: 600, height: 900, others: 0 }).strip, 'none');
  const { x, y, w, h } = selfLayout({ width: 1000, height: 600 });
  assert.ok(x + w < 1000 && y + h < 600);
});

test('controls go into More from the highest number; zero never goes', () => {
  const items = [0, 0, 4, 2, 0, 7].map((prio, i) => ({ id: String(i), prio, w: 48 }));
  assert.equal(fitControls(1000, items).size, 6);
  assert.deepEqual([...fitControls(330, items)], ['0', '1', '2', '3', '4']);
  assert.deepEqual([...fitControls(10, items)], ['0', '1', '4']);
});

test('the whole client is small', () => {
  const web = join(dirname(fileURLToPath(import.meta.url)), '..');
  let bytes = 0;
  for (const entry of readdirSync(web, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const isServed = /\/(?:js|css|lang)\/|\.(?:html|svg)$/.test(path) && !path.includes('node_modules');
    if (entry.isFile() && isServed) bytes += brotliCompressSync(readFileSync(path)).length;
  }
  assert.ok(bytes < 150_000, `${bytes} bytes compressed`);
});

test('room names', () => {
  assert.equal(nameStrength('a/b'), 0);
  assert.equal(nameStrength('test'), 1);
  assert.equal(nameStrength(randomName()), 2);
});
