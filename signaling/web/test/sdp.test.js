import assert from 'node:assert/strict';
import { test } from 'node:test';
import './dom.js';
import { readOffer } from '../js/net/jingle.js';
import { addSimulcast, layers, ownGroups, readLocal, writeRemote } from '../js/net/sdp.js';
import { parse } from '../js/net/xml.js';
import { offerXml } from './offer.js';

const offer = readOffer(parse(offerXml));
const line = (kind, direction, ssrc = null, rtx = null, more = {}) => ({
  kind, direction, ssrc, rtx, stream: 'slot-9', ...more,
});

test('every m-line repeats the one transport and has its index as mid', () => {
  const sdp = writeRemote(offer, [line('audio', 'sendrecv', 12), line('video', 'sendrecv', 11),
    line('video', 'sendonly', 501, 502)], 3);
  assert.match(sdp, /^v=0\r\no=- 1 3 IN IP4 0\.0\.0\.0\r\n/);
  assert.match(sdp, /a=group:BUNDLE 0 1 2\r\n/);
  assert.equal(sdp.match(/a=ice-ufrag:uf\r\n/g)?.length, 3);
  assert.equal(sdp.match(/a=candidate:1 1 udp 2130706431 127\.0\.0\.1 10000 typ host generation 0\r\n/g)?.length, 3);
  assert.ok(!sdp.includes('ssltcp'), 'no candidate that a browser does not know');
  assert.match(sdp, /a=mid:2\r\na=sendonly\r\n/);
  assert.match(sdp, /a=ssrc-group:FID 501 502\r\n/);
  assert.match(sdp, /a=fmtp:111 minptime=10;useinbandfec=1\r\n/);
  assert.match(sdp, /a=rtcp-fb:100 nack pli\r\n/);
});

test('an m-line that the bridge does not send on names no SSRC', () => {
  const sdp = writeRemote(offer, [line('audio', 'inactive', 12), line('video', 'recvonly')], 1);
  assert.ok(!sdp.includes('a=ssrc'));
  assert.ok(!sdp.includes('a=msid:'));
});

test('a value of the other side cannot begin a line', () => {
  const evil = structuredClone(offer);
  evil.transport.ufrag = 'x\r\na=evil:1';
  evil.media.audio.payloads[0].name = 'opus\na=evil:2';
  const sdp = writeRemote(evil, [line('audio', 'sendrecv')], 1);
  assert.ok(!/^a=evil/m.test(sdp));
});

test('Firefox is asked for three RIDs with an extension id that is free in every medium', () => {
  const sdp = writeRemote(offer, [line('audio', 'sendrecv'), line('video', 'sendrecv', null, null, { rids: true })], 1);
  assert.match(sdp, /a=simulcast:recv 1;2;3\r\n/);
  assert.match(sdp, /a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n/);
});

const answer = [
  'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1', 'a=extmap-allow-mixed',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=ice-ufrag:me', 'a=ice-pwd:secret',
  'a=fingerprint:sha-256 CC:DD', 'a=setup:active', 'a=mid:0',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'a=rtpmap:111 opus/48000/2',
  'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtcp-fb:111 transport-cc', 'a=ssrc:7 cname:c',
  'm=video 9 UDP/TLS/RTP/SAVPF 100 96', 'a=mid:1',
  'a=extmap:2/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  'a=rtpmap:100 VP8/90000', 'a=rtcp-fb:100 nack pli', 'a=rtpmap:96 rtx/90000', 'a=fmtp:96 apt=100',
  'a=ssrc-group:FID 8 9', 'a=ssrc:8 cname:c', 'a=ssrc:8 msid:- t', 'a=ssrc:9 cname:c', 'a=ssrc:9 msid:- t', '',
].join('\r\n');

test('the browser\'s answer is read', () => {
  const { transport, lines: [audio, video] } = readLocal(answer);
  assert.deepEqual(transport, {
    ufrag: 'me', pwd: 'secret', candidates: [],
    fingerprints: [{ hash: 'sha-256', value: 'CC:DD', setup: 'active' }],
  });
  assert.deepEqual(audio.ssrcs, [7]);
  assert.equal(audio.description.mixed, true);
  assert.deepEqual(audio.description.payloads[0].parameters,
    [{ name: 'minptime', value: '10' }, { name: 'useinbandfec', value: '1' }]);
  assert.deepEqual(video.description.extensions, [], 'RID is between the browser and itself');
  assert.deepEqual(video.description.payloads[0].feedback, [{ type: 'nack', subtype: 'pli' }]);
});

test('Chromium\'s camera gets three layers, and keeps them', () => {
  const munged = addSimulcast(answer, '1', [20, 21, 22, 23]);
  const video = readLocal(munged).lines[1];
  assert.deepEqual(video.groups, [
    { semantics: 'SIM', ssrcs: [8, 20, 22] }, { semantics: 'FID', ssrcs: [8, 9] },
    { semantics: 'FID', ssrcs: [20, 21] }, { semantics: 'FID', ssrcs: [22, 23] }]);
  assert.deepEqual(video.ssrcs, [8, 9, 20, 21, 22, 23]);
  assert.match(munged, /a=ssrc:23 msid:- t\r\n/);
  assert.equal(addSimulcast(munged, '1', [1, 2, 3, 4]), munged);
  assert.equal(addSimulcast(answer, '0', [1, 2, 3, 4]), answer, 'nothing for a line without RTX');
});

test('Firefox\'s three pairs are named as layers', () => {
  const pairs = [[1, 2], [3, 4], [5, 6]].map((ssrcs) => ({ semantics: 'FID', ssrcs }));
  const { groups } = ownGroups({ ssrcs: [1, 2, 3, 4, 5, 6], groups: pairs });
  assert.deepEqual(groups[0], { semantics: 'SIM', ssrcs: [1, 3, 5] });
  assert.deepEqual(ownGroups({ ssrcs: [1, 2], groups: pairs.slice(0, 1) }).groups.length, 1);
});

test('layers are 180, 360 and the rest, without copies', () => {
  const shown = (height) => layers(height).filter((l) => l.active).map((l) => height / l.scaleResolutionDownBy);
  assert.deepEqual(shown(720), [180, 360, 720]);
  assert.deepEqual(shown(480), [180, 360, 480]);
  assert.deepEqual(shown(360), [180, 360]);
  assert.deepEqual(shown(180), [180]);
});
