// Strangers throw bytes at every door while people meet; the meeting does not notice.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import dgram from 'node:dgram'
import net from 'node:net'
import { after, before, test } from 'node:test'
import { mediaStats, newPage, openBrowser, roomUrl, until, watch } from './browser.mjs'
import { startServer } from './server.mjs'

const room = 'Hostile'
let server
const open = []
const pages = []

before(async () => {
  server = await startServer()
  for (let i = 0; i < 2; i++) {
    open.push(await openBrowser('chromium'))
    pages.push(await newPage(open[i]))
    await pages[i].goto(roomUrl('http://localhost:8000', room))
  }
  for (const page of pages) {
    await until('the other plays', async () => (await mediaStats(page)).video.length > 0, 30)
  }
})
after(async () => {
  await Promise.all(open.map((browser) => browser.close()))
  const how = await server?.stop()
  assert.equal(how?.code, 0, server?.log().slice(-4000))
})

/** Runs the attack while both pages are watched. */
async function attacked(attack) {
  let over = false
  const attacking = (async () => {
    while (!over) {
      await attack()
      await new Promise((done) => setTimeout(done, 20))
    }
  })()
  try {
    await Promise.all(pages.map((page) => watch(page, { seconds: 6, gap: 1.5 })))
  } finally {
    over = true
    await attacking
  }
  assert.ok(server.running(), server.log().slice(-4000))
  assert.ok(!/panick/.test(server.log()), server.log().slice(-4000))
}

/** A STUN binding request for a ufrag that is nobody's. */
function stun(username, { length, tail = 0 } = {}) {
  const name = Buffer.from(username)
  const padded = Buffer.concat([name, Buffer.alloc((4 - (name.length % 4)) % 4)])
  const attribute = Buffer.alloc(4)
  attribute.writeUInt16BE(0x0006, 0)
  attribute.writeUInt16BE(name.length, 2)
  const head = Buffer.alloc(20)
  head.writeUInt16BE(1, 0)
  head.writeUInt16BE(length ?? padded.length + 4, 2)
  head.writeUInt32BE(0x2112a442, 4)
  randomBytes(12).copy(head, 8)
  return Buffer.concat([head, attribute, padded, Buffer.alloc(tail)])
}

const rtp = (type, length) => Buffer.concat([Buffer.from([0x90, type]), randomBytes(length)])

test('datagrams of strangers get no answer', async () => {
  const socket = dgram.createSocket('udp4')
  let answers = 0
  socket.on('message', () => { answers += 1 })
  await new Promise((done) => socket.bind(0, '127.0.0.1', done))
  const send = (bytes) => new Promise((done) => socket.send(bytes, 10000, '127.0.0.1', done))
  const dtls = (type, body) => Buffer.concat([
    Buffer.from([type, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1]), Buffer.from([body.length >> 8, body.length & 255]), body])
  await attacked(async () => {
    for (const bytes of [
      Buffer.alloc(0), Buffer.from([0]), randomBytes(1), randomBytes(40), randomBytes(1500), Buffer.alloc(9000, 0x80),
      stun('nobody:atall'), stun('', {}), stun('x'.repeat(600)), stun('A:b', { length: 0xffff }), stun('A:b', { length: 3 }),
      Buffer.from([0, 1]), stun('Aaaaaaaa:b', { tail: 900 }),
      dtls(22, randomBytes(200)), dtls(21, Buffer.from([2, 40])), dtls(23, randomBytes(60)), dtls(22, Buffer.alloc(0)),
      Buffer.from([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255]),
      rtp(111, 0), rtp(111, 10), rtp(100, 1200), rtp(200, 2), rtp(201, 30), rtp(205, 3), rtp(206, 60),
      Buffer.from([0xbf, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0x90, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0xff, 0xff]),
    ]) await send(bytes)
  })
  socket.close()
  assert.equal(answers, 0)
})

/** Sends bytes to a TCP port and gives what comes back until it is closed, or half a second. */
function talk(port, ...parts) {
  return new Promise((done) => {
    const socket = net.connect(port, '127.0.0.1')
    let got = ''
    const late = setTimeout(() => socket.destroy(), 500)
    socket.on('data', (data) => { got = (got + data.toString('latin1')).slice(0, 100_000) })
    socket.on('error', () => {})
    socket.on('close', () => { clearTimeout(late); done(got) })
    for (const part of parts) socket.write(part)
  })
}

const post = (path, body, headers = 'Content-Type: text/xml\r\n') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`

const bombs = [
  '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>',
  '<a>'.repeat(5000),
  `<a ${Array.from({ length: 2000 }, (_, i) => `x${i}="1"`).join(' ')}/>`,
  `<message xmlns="jabber:client"><body>${'x'.repeat(400_000)}</body></message>`,
  '<a b="', '<?xml version="1.1"?><?php ?>', '\u0000\u0001\uffff', '</a></a>', '<body rid="-1"/>',
  '<body xmlns="http://jabber.org/protocol/httpbind" rid="99999999999999999999" to="x" wait="-5" hold="4000000000"/>',
  '<body xmlns="http://jabber.org/protocol/httpbind" rid="1" sid="nobody"/>',
]

test('broken BOSH, XML over TCP and HTTP', async () => {
  await attacked(async () => {
    await Promise.all([
      ...bombs.map((bomb) => talk(5280, post('/http-bind', bomb))),
      ...bombs.slice(0, 4).map((bomb) => talk(5222, '<?xml version="1.0"?><stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="meet.jitsi" version="1.0">', bomb)),
      talk(8000, 'GET / HTTP/1.1\r\n', 'X: '.padEnd(100_000, 'y')), talk(8000, randomBytes(4000)), talk(8443, randomBytes(4000)),
      talk(8000, 'GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
      talk(8080, post('/colibri/v2/conferences', '{"meeting-id":'.repeat(2000), 'Content-Type: application/json\r\n')),
    ])
  })
})

/** One masked WebSocket frame. */
function frame(opcode, payload, { length } = {}) {
  const size = length ?? payload.length
  const head = size < 126 ? Buffer.from([0x80 | opcode, 0x80 | size])
    : Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | 127]), (() => { const b = Buffer.alloc(8); b.writeBigUInt64BE(BigInt(size)); return b })()])
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

const upgrade = (path, protocol) =>
  `GET ${path} HTTP/1.1\r\nHost: localhost:8000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
  + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${createHash('md5').update(path).digest('base64')}\r\n`
  + (protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n` : '\r\n')

test('broken WebSocket streams and bridge channels', async () => {
  const refused = await talk(8000, upgrade('/colibri-ws/trestle/nobody/0000?pwd=x'))
  assert.match(refused, /^HTTP\/1\.1 (403|404)/)
  const begin = '<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="meet.jitsi" version="1.0"/>'
  await attacked(async () => {
    await Promise.all([
      ...bombs.map((bomb) => talk(8000, upgrade('/xmpp-websocket', 'xmpp'), frame(1, Buffer.from(begin)), frame(1, Buffer.from(bomb)))),
      ...['nobody/0000?pwd=x', '..%2f..%2f?pwd=', 'a/b/c/d?pwd=x', '?'].map((end) => talk(8000, upgrade(`/colibri-ws/trestle/${end}`))),
      talk(8000, upgrade('/xmpp-websocket', 'xmpp'), frame(1, Buffer.alloc(10), { length: 2 ** 50 })),
      talk(8000, upgrade('/xmpp-websocket', 'xmpp'), frame(15, Buffer.alloc(3))),
      talk(8000, upgrade('/xmpp-websocket', 'xmpp'), frame(1, Buffer.from([0xff, 0xfe]))),
    ])
  })
})

test('private interfaces refuse what a foreign page would send', async () => {
  const ask = (port, headers) => talk(port, `GET /about/health HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`)
  for (const port of [8080, 8888]) {
    assert.match(await ask(port, `Host: 127.0.0.1:${port}\r\n`), /^HTTP\/1\.1 200/)
    assert.match(await ask(port, 'Host: evil.example\r\n'), /^HTTP\/1\.1 4/)
    assert.match(await ask(port, `Host: 127.0.0.1:${port}\r\nOrigin: https://evil.example\r\n`), /^HTTP\/1\.1 4/)
  }
  assert.match(await talk(8080, post('/colibri/v2/conferences', '{"meeting-id":"a","create":true}', 'Content-Type: text/plain\r\n').replace('Host: localhost', 'Host: localhost:8080')), /^HTTP\/1\.1 4/)
})
