import assert from 'node:assert/strict';
import { test } from 'node:test';
import './dom.js';
import { readOffer, readReason, readSources, sessionAccept, sessionTerminate, sourceChange } from '../js/net/jingle.js';
import { attr, child, children, parse } from '../js/net/xml.js';
import { offerXml } from './offer.js';

test('a session-initiate is read whole', () => {
  const offer = readOffer(parse(offerXml));
  assert.equal(offer.sid, 's1');
  assert.equal(offer.bridgeSession, 'b1');
  assert.deepEqual(offer.channels, ['ws://localhost:8000/colibri-ws/jvb1/c/e?pwd=x']);
  assert.equal(offer.transport.candidates.length, 2);
  assert.equal(offer.media.audio.payloads[0]?.name, 'opus');
  assert.equal(offer.media.audio.mixed, true);
  assert.equal(offer.media.video.mixed, false);
});

test('layers and RTX of a source fold into one with its first SSRC', () => {
  const sources = readOffer(parse(offerXml)).sources.filter((s) => s.owner === 'aaaa');
  assert.deepEqual(sources.map((s) => [s.name, s.kind, s.ssrc, s.rtx]),
    [['aaaa-v0', 'video', 21, 22], ['aaaa-a0', 'audio', 25, null]]);
});

test('sources of older servers are read from XML', () => {
  const jingle = parse(`<jingle xmlns="urn:xmpp:jingle:1" action="source-add" sid="s1">
   <content name="video"><description xmlns="urn:xmpp:jingle:apps:rtp:1" media="video">
    <source xmlns="urn:xmpp:jingle:apps:rtp:ssma:0" ssrc="31" name="bbbb-v1" videoType="desktop">
     <ssrc-info xmlns="http://jitsi.org/jitmeet" owner="r@muc.d/bbbb"/></source>
    <source xmlns="urn:xmpp:jingle:apps:rtp:ssma:0" ssrc="32" name="bbbb-v1"/>
    <source xmlns="urn:xmpp:jingle:apps:rtp:ssma:0" ssrc="bad" name="bbbb-v2"/>
    <ssrc-group xmlns="urn:xmpp:jingle:apps:rtp:ssma:0" semantics="FID"><source ssrc="31"/><source ssrc="32"/></ssrc-group>
   </description></content></jingle>`);
  assert.deepEqual(readSources(jingle), [
    { owner: 'bbbb', name: 'bbbb-v1', kind: 'video', ssrc: 31, rtx: 32, videoType: 'desktop' }]);
});

test('an offer without transport or codecs is refused', () => {
  assert.throws(() => readOffer(parse('<jingle xmlns="urn:xmpp:jingle:1" sid="x"/>')));
  assert.throws(() => readOffer(parse(offerXml.replace('ufrag="uf"', ''))));
});

test('broken JSON of sources names no source', () => {
  const jingle = (text) => parse(`<jingle xmlns="urn:xmpp:jingle:1"><json-message xmlns="http://jitsi.org/jitmeet">${text}</json-message></jingle>`);
  for (const text of ['', '{', '[]', 'null', '{"sources":7}', '{"sources":{"a":[[null],[[]],["x"]]}}',
    '{"sources":{"a":[[{"s":"-1"}]]}}']) {
    assert.deepEqual(readSources(jingle(text)), [], text);
  }
});

const source = {
  kind: 'video', name: 'me-v0', msid: 'm <1>', videoType: 'camera', ssrcs: [1, 2],
  groups: [{ semantics: 'FID', ssrcs: [1, 2] }],
};

test('a session-accept carries the answer, with a namespace on every extension', () => {
  const offer = readOffer(parse(offerXml));
  const answer = { transport: { ...offer.transport, candidates: [] }, media: offer.media, sources: [source] };
  const jingle = parse(sessionAccept(offer, 'u@d/r', answer).text);
  assert.equal(attr(jingle, 'action'), 'session-accept');
  assert.equal(attr(jingle, 'initiator'), 'r@muc.d/focus');
  const [audio, video] = children(jingle, 'content');
  const description = child(video, 'description', 'urn:xmpp:jingle:apps:rtp:1');
  const written = child(description, 'source', 'urn:xmpp:jingle:apps:rtp:ssma:0');
  assert.equal(attr(child(written, 'parameter'), 'value'), 'm <1>');
  assert.equal(children(child(description, 'ssrc-group')).length, 2);
  assert.equal(children(child(audio, 'description'), 'source').length, 0);
  const fingerprint = child(child(audio, 'transport', 'urn:xmpp:jingle:transports:ice-udp:1'), 'fingerprint');
  assert.equal(fingerprint?.textContent, 'AA:BB');
});

test('a restart names the session of the bridge', () => {
  const offer = readOffer(parse(offerXml));
  const jingle = parse(sessionTerminate(offer, { reason: 'connectivity-error', text: 'ICE failed', restart: true }).text);
  const bridge = child(jingle, 'bridge-session', 'http://jitsi.org/protocol/focus');
  assert.equal(attr(bridge, 'restart'), 'true');
  assert.equal(readReason(jingle), 'ICE failed');
});

test('a screen is told by source-add in XML', () => {
  const jingle = parse(sourceChange(readOffer(parse(offerXml)), 'source-add', [source]).text);
  assert.equal(attr(child(jingle, 'content'), 'name'), 'video');
});
