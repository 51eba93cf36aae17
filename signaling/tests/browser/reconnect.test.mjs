// What is lost comes back by itself: the media by a new session, the server by joining again.
import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { mediaStats, newPage, openBrowser, roomUrl, until, watch } from './browser.mjs'
import { startServer } from './server.mjs'

const config = `
[web]
http = "127.0.0.1:8000"
https = ""
`
let server
let wire
const open = []

/** A way to the server that can be cut: all connections end, and none begins for a while. */
async function startWire(to) {
  const sockets = new Set()
  let closedUntil = 0
  const listener = createServer((near) => {
    if (Date.now() < closedUntil) { near.destroy(); return }
    const far = connect(to, '127.0.0.1')
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => { sockets.delete(socket); other.destroy() })
      socket.pipe(other)
    }
  })
  await new Promise((done) => listener.listen(0, '127.0.0.1', done))
  return {
    url: `http://localhost:${listener.address().port}`,
    cut(seconds) {
      closedUntil = Date.now() + seconds * 1000
      for (const socket of sockets) socket.destroy()
    },
    close() {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

before(async () => {
  server = await startServer({ config })
  wire = await startWire(8000)
})
after(async () => {
  wire?.close()
  await server?.stop()
})
afterEach(() => Promise.all(open.splice(0).map((browser) => browser.close())))

async function enter(base, room) {
  const browser = await openBrowser('chromium')
  open.push(browser)
  const page = await newPage(browser)
  await page.goto(roomUrl(base, room))
  return page
}

const meets = (page) => until('the other plays and is heard', async () => {
  const { video, audio } = await mediaStats(page)
  return video.length > 0 && audio.some((a) => a.packets > 0)
}, 30)

/** The connection as the client knows it. */
const connection = (page) => page.evaluate(`(async () => {
  const { store } = await testImport('js/store.js')
  return store.state.connection
})()`)

test('lost media come back by a new session', async () => {
  const [one, other] = [await enter('http://localhost:8000', 'Restart'), await enter('http://localhost:8000', 'Restart')]
  await Promise.all([meets(one), meets(other)])
  await one.evaluate(() => {
    const pc = window.testPeers.at(-1)
    Object.defineProperty(pc, 'iceConnectionState', { get: () => 'failed' })
    pc.oniceconnectionstatechange()
  })
  await until('a second session', async () => {
    const { peers, state } = await mediaStats(one)
    return peers === 2 && state === 'connected'
  })
  await Promise.all([meets(one), meets(other)])
  await Promise.all([one, other].map((page) => watch(page, { seconds: 5 })))
  assert.deepEqual((({ state, cause }) => ({ state, cause }))(await connection(one)), { state: 'joined', cause: null })
})

test('a lost connection to the server is made again, with name and hand kept', async () => {
  const [one, other] = [await enter(wire.url, 'Rejoin'), await enter('http://localhost:8000', 'Rejoin')]
  await Promise.all([meets(one), meets(other)])
  await one.evaluate(`(async () => {
    const app = await testImport('js/app.js')
    app.setName('Anna')
    app.raiseHand(true)
  })()`)
  wire.cut(4)
  await until('it notices', async () => (await connection(one)).state === 'reconnecting')
  await until('it is back', async () => (await connection(one)).state === 'joined', 30)
  await meets(one)
  await until('the other sees one person, with name and hand', () => other.evaluate(`(async () => {
    const { store } = await testImport('js/store.js')
    const people = [...store.state.people.values()]
    return people.length === 1 && people[0].name === 'Anna' && people[0].hand !== null
  })()`), 40)
  await meets(other)
})
