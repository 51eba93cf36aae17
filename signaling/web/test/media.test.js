import assert from 'node:assert/strict';
import { test } from 'node:test';
import { receiverConstraints } from '../js/net/bridge.js';
import { Slots, readMap } from '../js/media/slots.js';
import { verdictOf } from '../js/media/probe.js';
import { Ring, StageSpeaker } from '../js/media/speaker.js';
import { Bars, StatsReader, barsOf } from '../js/media/stats.js';
import { Store, hands, isPaused, screens } from '../js/store.js';

const entry = (source, ssrc, more = {}) => ({ source, owner: source.split('-')[0], ssrc, rtx: null, videoType: 'camera', ...more });
const track = (id) => ({ id });

test('a slot gets a source before or after its track is there', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.apply('video', [entry('a-v0', 1)]);
  assert.equal(store.state.sources.get('a-v0').track, null);
  slots.setTrack(1, track('one'));
  assert.equal(store.state.sources.get('a-v0').track.id, 'one');
});

test('a message applies as a whole: slots swap their sources', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.apply('video', [entry('a-v0', 1), entry('b-v0', 2)]);
  slots.setTrack(1, track('one'));
  slots.setTrack(2, track('two'));
  slots.apply('video', [entry('b-v0', 1), entry('a-v0', 2)]);
  const of = (name) => store.state.sources.get(name).track.id;
  assert.deepEqual([of('a-v0'), of('b-v0')], ['two', 'one']);
});

test('a source that lost its slot has no picture; slots not named stay', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.apply('audio', [entry('a-a0', 1), entry('b-a0', 2)]);
  slots.setTrack(1, track('one'));
  slots.apply('audio', [entry('c-a0', 1)]);
  assert.equal(store.state.sources.get('a-a0').track, null);
  assert.equal(store.state.sources.get('a-a0').ssrc, null);
  assert.equal(store.state.sources.get('c-a0').track.id, 'one');
  assert.equal(store.state.slots.get(2).source, 'b-a0');
});

test('who leaves takes the sources away, the slot is free', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.presence('a', new Map([['a-v0', { muted: false, videoType: 'camera' }]]));
  slots.apply('video', [entry('a-v0', 1)]);
  slots.leave('a');
  assert.equal(store.state.sources.size, 0);
  assert.equal(store.state.slots.get(1).source, null);
});

test('a map holds only what can be a source', () => {
  assert.deepEqual(readMap('x'), []);
  const read = readMap([null, {}, { source: 'a-v0', owner: 'a', ssrc: '5' },
    { source: 'a-v1', owner: 'a', ssrc: 6, rtx: '-1', videoType: 'DESKTOP_HIGH_FPS' }]);
  assert.deepEqual(read, [{ source: 'a-v1', owner: 'a', ssrc: 6, rtx: null, videoType: 'desktop' }]);
});

test('paused is: unmuted, asked for, mapped, and not sent', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.presence('a', new Map([['a-v0', { muted: false, videoType: 'camera' }]]));
  slots.apply('video', [entry('a-v0', 1)]);
  store.state.wanted = new Map([['a-v0', 180]]);
  const source = store.state.sources.get('a-v0');
  slots.forwarded(new Set(['a-v0']));
  assert.equal(isPaused(store.state, source), false);
  slots.forwarded(new Set());
  assert.equal(isPaused(store.state, source), true);
  source.muted = true;
  assert.equal(isPaused(store.state, source), false);
});

test('the newest screen is first, hands are in the order of raising', () => {
  const store = new Store();
  const slots = new Slots(store);
  slots.presence('a', new Map([['a-v1', { muted: false, videoType: 'desktop' }]]));
  slots.presence('b', new Map([['b-v1', { muted: false, videoType: 'desktop' }]]));
  store.state.sources.get('b-v1').since += 5;
  assert.deepEqual(screens(store.state).map((s) => s.name), ['b-v1', 'a-v1']);
  store.state.people.set('a', { id: 'a', hand: 9 });
  Object.assign(store.state.self, { id: 'me', hand: 3 });
  assert.deepEqual(hands(store.state), ['me', 'a']);
});

test('only what is seen is asked for', () => {
  const message = receiverConstraints({ heights: new Map([['a-v0', 360]]), onStage: ['a-v0'] });
  assert.deepEqual(message.constraints, { 'a-v0': { maxHeight: 360 } });
  assert.deepEqual(message.defaultConstraints, { maxHeight: 0 });
});

test('the large picture follows after 1.2 s of speech and holds 3 s', () => {
  const stage = new StageSpeaker();
  stage.dominant('a', 0);
  assert.equal(stage.tick(0), 'a', 'at once while nobody is large');
  stage.dominant('b', 500);
  assert.equal(stage.tick(1600), 'a');
  assert.equal(stage.tick(2999), 'a');
  assert.equal(stage.tick(3000), 'b');
  stage.dominant(null, 3500);
  assert.equal(stage.tick(9000), 'b', 'stays when all are silent');
  stage.gone('b');
  assert.equal(stage.tick(9001), null);
});

test('a ring is on at once and off 600 ms after the voice', () => {
  const ring = new Ring();
  assert.equal(ring.level(0.5, 0), true);
  assert.equal(ring.level(0, 599), true);
  assert.equal(ring.level(0, 600), false);
});

test('bars', () => {
  assert.equal(barsOf({ bitrate: 70, wanted: 100, loss: 0, silentFor: 0 }), 4);
  assert.equal(barsOf({ bitrate: 60, wanted: 100, loss: 0, silentFor: 0 }), 3);
  assert.equal(barsOf({ bitrate: 10, wanted: 100, loss: 0.05, silentFor: 0 }), 2);
  assert.equal(barsOf({ bitrate: 10, wanted: 100, loss: 0.2, silentFor: 0 }), 1);
  assert.equal(barsOf({ bitrate: 100, wanted: 100, loss: 0, silentFor: 3000 }), 0);
});

test('bars fall after 2 s and rise after 5 s', () => {
  const bars = new Bars();
  assert.equal(bars.update(1, 1000), 4);
  assert.equal(bars.update(1, 2900), 4);
  assert.equal(bars.update(1, 3000), 1);
  assert.equal(bars.update(4, 4000), 1);
  assert.equal(bars.update(4, 8900), 1);
  assert.equal(bars.update(4, 9000), 4);
});

test('rates, loss and path come from two readings', () => {
  const reader = new StatsReader();
  const report = (bytes, packets, lost) => new Map(Object.entries({
    t: { type: 'transport', bytesSent: bytes, bytesReceived: bytes * 2, selectedCandidatePairId: 'p' },
    p: { type: 'candidate-pair', currentRoundTripTime: 0.024, remoteCandidateId: 'r' },
    r: { type: 'remote-candidate', protocol: 'udp', port: 10000 },
    c: { type: 'codec', mimeType: 'video/VP8' },
    i: { id: 'i', type: 'inbound-rtp', kind: 'video', ssrc: 5, codecId: 'c', bytesReceived: bytes, packetsReceived: packets, packetsLost: lost, frameHeight: 360, frameWidth: 640 },
    j: { id: 'j', type: 'inbound-rtp', kind: 'video', ssrc: 6, bytesReceived: 0 },
  }));
  reader.read(report(0, 0, 0), () => null, 1000, null);
  const stats = reader.read(report(125_000, 90, 10), (ssrc) => (ssrc === 5 ? 'a-v0' : null), 2000, 9);
  assert.equal(stats.up, 1_000_000);
  assert.equal(stats.down, 2_000_000);
  assert.equal(stats.rtt, 24);
  assert.equal(stats.port, 10000);
  assert.equal(stats.lossDown, 0.1);
  assert.equal(stats.received.get('a-v0').codec, 'VP8');
  assert.equal(stats.received.size, 1);
});

test('the connection test in words', () => {
  const of = { connected: true, protocol: 'udp', rtt: 20, mbps: 5 };
  assert.equal(verdictOf(of), 'good');
  assert.equal(verdictOf({ ...of, rtt: 400 }), 'weak');
  assert.equal(verdictOf({ ...of, protocol: 'tcp' }), 'tcp');
  assert.equal(verdictOf({ ...of, connected: false }), 'none');
});
