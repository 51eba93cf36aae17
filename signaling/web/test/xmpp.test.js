import assert from 'node:assert/strict';
import { test } from 'node:test';
import './dom.js';
import { Room, readSources } from '../js/net/muc.js';
import { FEATURES, StanzaError, Xmpp, capabilities } from '../js/net/xmpp.js';
import { Xml, attr, child, children, escape, parse, xml } from '../js/net/xml.js';

const features = (inner) => parse(`<stream:features xmlns:stream="http://etherx.jabber.org/streams">${inner}</stream:features>`);
const anonymous = '<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>ANONYMOUS</mechanism></mechanisms>';

/** A server of one line each: `answers` maps what is sent to what comes back. */
class FakeTransport {
  constructor(answer) {
    this.sent = [];
    this.answer = answer;
    this.closed = false;
  }

  async open() { return features(anonymous); }

  async restart() { return features('<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>'); }

  send(stanza) {
    const el = parse(stanza.text);
    this.sent.push(el);
    const back = this.answer(el);
    if (back) queueMicrotask(() => this.onstanza(parse(back)));
  }

  close() { this.closed = true; }

  get last() { return this.sent.at(-1); }
}

const config = { domain: 'd', websocket: 'ws://h/x', bosh: '', preferBosh: false };

function basics(el) {
  if (el.localName === 'auth') return '<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>';
  if (child(el, 'bind')) {
    return `<iq xmlns="jabber:client" id="${attr(el, 'id')}" type="result"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>0123abcd-1@d/r</jid></bind></iq>`;
  }
  return null;
}

async function connected(answer = () => null) {
  const xmpp = new Xmpp(config);
  const transport = new FakeTransport((el) => basics(el) ?? answer(el));
  xmpp.transport = transport;
  await xmpp.connect();
  return { xmpp, transport };
}

test('text and attributes are escaped, and what XML forbids is left out', () => {
  assert.equal(xml('a', { b: '"<', c: null }, '<&>', new Xml('<d/>'), 0).text,
    '<a b="&quot;&lt;">&lt;&amp;&gt;<d/>0</a>');
  assert.equal(escape('a\u0000\u001bb\ud800'), 'ab\ufffd');
  assert.throws(() => parse('<a>'));
});

test('a guest signs in and binds', async () => {
  const { xmpp } = await connected();
  assert.equal(xmpp.jid, '0123abcd-1@d/r');
  xmpp.close();
});

test('a server that refuses is an error with its text', async () => {
  const xmpp = new Xmpp(config);
  xmpp.transport = new FakeTransport((el) => (el.localName === 'auth'
    ? '<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized/><text>no</text></failure>' : null));
  await assert.rejects(xmpp.connect(), /no/);
});

test('a result counts only from the one who was asked', async () => {
  const { xmpp, transport } = await connected();
  const asked = xmpp.request({ to: 'focus.d', type: 'get' }, xml('q', { xmlns: 'u' }));
  const id = attr(transport.last, 'id');
  transport.onstanza(parse(`<iq xmlns="jabber:client" id="${id}" type="result" from="evil@d"/>`));
  transport.onstanza(parse(`<iq xmlns="jabber:client" id="${id}" type="error" from="focus.d"><error type="auth"><not-authorized xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`));
  await assert.rejects(asked, (e) => e instanceof StanzaError && e.condition === 'not-authorized');
  xmpp.close();
});

test('what nobody handles is answered with an error, disco with the features', async () => {
  const { xmpp, transport } = await connected();
  transport.onstanza(parse('<iq xmlns="jabber:client" id="1" type="get" from="x@d"><unknown xmlns="u"/></iq>'));
  await new Promise(setImmediate);
  assert.equal(attr(transport.last, 'type'), 'error');
  transport.onstanza(parse('<iq xmlns="jabber:client" id="2" type="get" from="x@d"><query xmlns="http://jabber.org/protocol/disco#info" node="n"/></iq>'));
  await new Promise(setImmediate);
  const query = child(transport.last, 'query');
  assert.deepEqual(children(query, 'feature').map((f) => attr(f, 'var')), FEATURES);
  assert.equal(attr(query, 'node'), 'n');
  assert.match((await capabilities()).text, /ver="[A-Za-z0-9+/]{27}="/);
  xmpp.close();
});

test('a lost transport rejects what is asked and is said once', async () => {
  const { xmpp, transport } = await connected();
  let lost = 0;
  xmpp.onlost = () => { lost += 1; };
  const asked = xmpp.request({ type: 'get' }, xml('q'));
  transport.onclose('gone');
  transport.onclose('gone');
  await assert.rejects(asked);
  assert.equal(lost, 1);
});

function events() {
  const log = [];
  const names = ['occupant', 'gone', 'removed', 'message', 'messageFailed', 'configChanged', 'bridge', 'focusGone'];
  const on = Object.fromEntries(names.map((name) => [name, (...args) => log.push([name, ...args])]));
  return { log, on };
}

const item = (jid, role = 'participant', status = '') => `<x xmlns="http://jabber.org/protocol/muc#user"><item jid="${jid}" role="${role}" affiliation="none"/>${status}</x>`;

async function inRoom() {
  const { xmpp, transport } = await connected();
  const { log, on } = events();
  const room = new Room(xmpp, { jid: 'r@muc.d', nick: '0123abcd', focusJid: 'focus@auth.d', caps: new Xml('<c/>') }, on);
  const joined = room.join({ name: 'Me', hand: null, sources: { '0123abcd-a0': { muted: true } } }, '');
  const say = (text) => transport.onstanza(parse(text));
  const close = () => { joined.catch(() => {}); room.abandon(); xmpp.close(); };
  return { transport, log, room, joined, say, close };
}

test('entering the room: focus, others, oneself', async () => {
  const { close, transport, log, room, joined, say } = await inRoom();
  assert.equal(attr(transport.last, 'to'), 'r@muc.d/0123abcd');
  say(`<presence xmlns="jabber:client" from="r@muc.d/focus">${item('focus@auth.d/focus', 'moderator')}</presence>`);
  assert.equal(room.hasFocus, true);
  say(`<presence xmlns="jabber:client" from="r@muc.d/aaaa">${item('a@d/r')}<nick xmlns="http://jabber.org/protocol/nick">Anna</nick><jitsi_participant_raisedHand>5</jitsi_participant_raisedHand><SourceInfo>{"aaaa-v0":{"muted":false},"evil-v0":{"muted":false}}</SourceInfo></presence>`);
  say(`<presence xmlns="jabber:client" from="r@muc.d/0123abcd">${item('0123abcd-1@d/r', 'moderator', '<status code="110"/>')}</presence>`);
  await joined;
  const [, anna] = log.find(([what, who]) => what === 'occupant' && who.id === 'aaaa');
  assert.equal(anna.name, 'Anna');
  assert.equal(anna.hand, 5);
  assert.deepEqual([...anna.sources.keys()], ['aaaa-v0'], 'nobody speaks for another');
  close();
});

test('an occupant called focus that is not the focus is not believed', async () => {
  const { close, room, say } = await inRoom();
  say(`<presence xmlns="jabber:client" from="r@muc.d/focus">${item('evil@d/focus', 'moderator')}</presence>`);
  assert.equal(room.hasFocus, false);
  close();
});

test('a password that is asked for rejects the join', async () => {
  const { close, joined, say } = await inRoom();
  say('<presence xmlns="jabber:client" from="r@muc.d/0123abcd" type="error"><error type="auth"><not-authorized xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></presence>');
  await assert.rejects(joined, (e) => e instanceof StanzaError && e.condition === 'not-authorized');
  close();
});

test('several changes of presence in one turn are one stanza', async () => {
  const { close, transport, room, joined, say } = await inRoom();
  say(`<presence xmlns="jabber:client" from="r@muc.d/0123abcd">${item('0123abcd-1@d/r', 'participant', '<status code="110"/>')}</presence>`);
  await joined;
  const before = transport.sent.length;
  room.update({ hand: 7 });
  room.update({ name: 'New' });
  await new Promise(setImmediate);
  assert.equal(transport.sent.length, before + 1);
  assert.equal(child(transport.last, 'nick')?.textContent, 'New');
  assert.equal(child(transport.last, 'jitsi_participant_raisedHand')?.textContent, '7');
  close();
});

test('being removed names who did it', async () => {
  const { close, log, say } = await inRoom();
  say('<presence xmlns="jabber:client" from="r@muc.d/0123abcd" type="unavailable"><x xmlns="http://jabber.org/protocol/muc#user"><item role="none"><actor nick="aaaa"/><reason>out</reason></item><status code="110"/><status code="307"/></x></presence>');
  assert.deepEqual(log.at(-1), ['removed', { kind: 'kicked', by: 'aaaa', reason: 'out' }]);
  close();
});

test('messages come with sender and time, errors with the id', async () => {
  const { close, log, room, say } = await inRoom();
  say('<message xmlns="jabber:client" from="r@muc.d/aaaa" type="groupchat" id="m1"><body>hi &lt;b&gt;</body></message>');
  assert.equal(log.at(-1)[1].text, 'hi <b>');
  say('<message xmlns="jabber:client" from="other@muc.d/aaaa" type="groupchat" id="m2"><body>no</body></message>');
  assert.equal(log.length, 1, 'other rooms are not ours');
  room.say('m3', 'text');
  say('<message xmlns="jabber:client" from="r@muc.d" type="error" id="m3"/>');
  assert.deepEqual(log.at(-1), ['messageFailed', 'm3']);
  close();
});

test('older clients say what is muted in elements of their own', () => {
  const p = parse('<presence xmlns="jabber:client"><audiomuted>true</audiomuted><videomuted>false</videomuted><videoType>desktop</videoType></presence>');
  assert.deepEqual([...readSources(p, 'a')], [
    ['a-a0', { muted: true, videoType: 'camera' }], ['a-v0', { muted: false, videoType: 'desktop' }]]);
  for (const text of ['null', '7', '"x"', '[1]', '{', '{"a-v0":null}']) {
    const broken = parse(`<presence xmlns="jabber:client"><SourceInfo>${escape(text)}</SourceInfo></presence>`);
    assert.equal(readSources(broken, 'a').size, 0, text);
  }
});
