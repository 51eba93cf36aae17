import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashParameters, parseConfig, roomNode, roomOfPath } from '../js/config.js';

const server = {
  hosts: { domain: 'meet.jitsi', muc: 'muc.meet.jitsi', focus: 'focus.meet.jitsi' },
  websocket: '/xmpp-websocket',
  bosh: '/http-bind',
};

test('a room node is the name in NFKC, lower case and percent-encoded in lower case', () => {
  assert.equal(roomNode('Calm Oak'), 'calm%20oak');
  assert.equal(roomNode('ﬁnal'), 'final');
  assert.equal(roomNode('Школа'), '%d1%88%d0%ba%d0%be%d0%bb%d0%b0');
});

test('the last part of the path names the room; the root is the front page', () => {
  assert.equal(roomOfPath('/'), null);
  assert.equal(roomOfPath('/Team-Room')?.title, 'Team Room');
  assert.equal(roomOfPath('/Team-Room')?.node, 'team-room');
  assert.equal(roomOfPath('/tenant/Room')?.node, 'room');
  assert.equal(roomOfPath('/100%')?.node, '100%25');
});

test('hash values are JSON or plain text', () => {
  const hash = hashParameters('#config.a=true&config.b=%22x%22&userInfo.displayName=Anna%20L&broken&=1');
  assert.deepEqual([...hash], [['config.a', true], ['config.b', 'x'], ['userInfo.displayName', 'Anna L']]);
});

test('services are found beside the page and carry the room', () => {
  const c = parseConfig(server, new URL('https://host:8443/Room'), 'room');
  assert.equal(c.websocket, 'wss://host:8443/xmpp-websocket?room=room');
  assert.equal(c.bosh, 'https://host:8443/http-bind?room=room');
  assert.equal(c.muc, 'muc.meet.jitsi');
  assert.equal(c.prejoin, true);
  assert.equal(c.resolution, 720);
});

test('the URL overrides the server', () => {
  const hash = '#config.prejoinConfig.enabled=false&config.startWithAudioMuted=true&config.resolution=360'
    + '&config.preferBosh=true&userInfo.displayName=%22Anna%22';
  const c = parseConfig({ ...server, startWithVideoMuted: true }, new URL(`http://localhost:8000/R${hash}`), 'r');
  assert.equal(c.prejoin, false);
  assert.equal(c.startAudioMuted, true);
  assert.equal(c.startVideoMuted, true);
  assert.equal(c.preferBosh, true);
  assert.equal(c.resolution, 360);
  assert.equal(c.displayName, 'Anna');
});

test('nonsense in the URL is not obeyed', () => {
  const c = parseConfig(null, new URL('http://localhost/R#config.resolution="x"&userInfo.displayName={"a":1}'), 'r');
  assert.equal(c.resolution, 720);
  assert.equal(c.displayName, '');
  assert.equal(c.domain, 'meet.jitsi');
});
