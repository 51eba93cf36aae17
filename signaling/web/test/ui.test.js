import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parts } from '../js/ui/links.js';
import { lossOf } from '../js/ui/loss.js';
import { Once, shown } from '../js/ui/queue.js';
import { Seats } from '../js/ui/seats.js';
import { cornerByKey, cornerOf } from '../js/ui/self-view.js';
import { isClosing } from '../js/ui/sheet.js';
import { StageSpeaker } from '../js/media/speaker.js';

test('seats keep the order of arrival', () => {
  const seats = new Seats();
  assert.deepEqual(seats.arrange(['a', 'b', 'c']), ['a', 'b', 'c']);
  assert.deepEqual(seats.arrange(['a', 'c', 'd']), ['a', 'c', 'd']);
  assert.deepEqual(seats.arrange(['d', 'e', 'a']), ['a', 'd', 'e']);
});

/** Four people of whom two have a place; who speaks is named. */
function room(speaking, { keeps = [], spokeAt = {} } = {}) {
  return ['a', 'b', 'c', 'd'].map((id) => ({
    id, speaking: speaking.includes(id), spokeAt: spokeAt[id] ?? 0, keeps: keeps.includes(id),
  }));
}
const page = { from: 0, to: 2 };

test('who speaks off the page for two seconds takes the place of the most silent', () => {
  const seats = new Seats();
  seats.arrange(['a', 'b', 'c', 'd']);
  const people = room(['d'], { spokeAt: { a: 50, b: 10 } });
  assert.equal(seats.tick(people, page, 1000), false);
  assert.equal(seats.tick(people, page, 2900), false);
  assert.equal(seats.tick(people, page, 3000), true);
  assert.deepEqual(seats.order, ['a', 'd', 'c', 'b']);
});

test('a pause begins the two seconds again, and swaps are five seconds apart', () => {
  const seats = new Seats();
  seats.arrange(['a', 'b', 'c', 'd']);
  seats.tick(room(['d']), page, 0);
  seats.tick(room([]), page, 1900);
  assert.equal(seats.tick(room(['d']), page, 2000), false);
  assert.equal(seats.tick(room(['d']), page, 4000), true);
  seats.tick(room(['c']), page, 5000);
  assert.equal(seats.tick(room(['c']), page, 8000), false);
  assert.equal(seats.tick(room(['c']), page, 9000), true);
});

test('nobody takes the place of a speaker, a pin or a raised hand', () => {
  const seats = new Seats();
  seats.arrange(['a', 'b', 'c', 'd']);
  const people = room(['b', 'd'], { keeps: ['a'] });
  seats.tick(people, page, 0);
  assert.equal(seats.tick(people, page, 9000), false);
});

test('the self-view goes to the nearest corner, and where arrows lead', () => {
  const area = { width: 1000, height: 600 };
  assert.equal(cornerOf({ x: 100, y: 500 }, area), 'sw');
  assert.equal(cornerOf({ x: 900, y: 20 }, area), 'ne');
  assert.equal(cornerByKey('se', 'ArrowUp'), 'ne');
  assert.equal(cornerByKey('ne', 'ArrowLeft'), 'nw');
  assert.equal(cornerByKey('se', 'ArrowRight'), null);
  assert.equal(cornerByKey('se', 'a'), null);
});

test('urgent notices come first, then the older ones', () => {
  const entries = [[0, 5, 1], [1, 4, 3], [2, 1, 9], [3, 4, 2]].map(([id, prio, at]) => ({ id, prio, at }));
  assert.deepEqual(shown(entries, 3).map((e) => e.id), [2, 3, 1]);
  assert.deepEqual(shown(entries, 1).map((e) => e.id), [2]);
});

test('help is said once in its time', () => {
  const once = new Once(1000);
  assert.deepEqual([0, 999, 1000].map((now) => once.may('x', now)), [true, false, true]);
  assert.equal(once.may('y', 0), true);
});

test('a lost connection is silent at first, then said, counted, and at last a page', () => {
  const lost = { state: 'reconnecting', since: 0 };
  const said = (now, isOnline = true) => lossOf(lost, now, isOnline);
  assert.deepEqual([1999, 2000, 30_000, 300_000].map((now) => said(now)), ['none', 'lost', 'counting', 'silent']);
  assert.equal(said(5000, false), 'offline');
  assert.equal(lossOf({ state: 'joined', since: 0 }, 9e9, true), 'none');
});

test('links end before the full stop, and only http becomes one', () => {
  const found = (text) => parts(text).filter((p) => p.isLink).map((p) => p.text);
  assert.deepEqual(found('see https://a.example/x?y=1. And (http://b.example).'), ['https://a.example/x?y=1', 'http://b.example']);
  assert.deepEqual(found('javascript:alert(1) ftp://x file:///etc'), []);
  const text = 'a https://x.example/é, b';
  assert.equal(parts(text).map((p) => p.text).join(''), text);
});

test('the large picture follows after 1.2 s, holds for 3 s and stays in silence', () => {
  const stage = new StageSpeaker();
  stage.dominant('a', 0);
  assert.equal(stage.tick(0), 'a');
  stage.dominant('b', 100);
  assert.equal(stage.tick(1200), 'a');
  assert.equal(stage.tick(2999), 'a');
  assert.equal(stage.tick(3000), 'b');
  stage.dominant(null, 3100);
  assert.equal(stage.tick(60_000), 'b');
  stage.gone('b');
  assert.equal(stage.tick(60_001), null);
});

test('a sheet closes when it is pulled by a third or flicked', () => {
  for (const [pulled, speed, closes] of [[99, 0, false], [100, 0, true], [60, 0.4, false], [60, 0.5, true],
    [20, 3, false], [250, -1, true], [1, 0, false]]) {
    assert.equal(isClosing({ pulled, height: 300, speed }), closes, `${pulled} px, ${speed} px/ms`);
  }
});
