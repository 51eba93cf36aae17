// People meet in real browsers, through the real binary, with its default ports.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { mediaStats, newPage, openBrowser, roomUrl, until, watch } from './browser.mjs'
import { startServer } from './server.mjs'

const base = 'http://localhost:8000'
let server
const open = []

before(async () => { server = await startServer() })
after(async () => {
  const how = await server?.stop()
  assert.equal(how?.code, 0, 'the server ends by itself on SIGTERM')
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((browser) => browser.close()))
  assert.ok(server.running(), `the server is up:\n${server.log().slice(-4000)}`)
})

let rooms = 0
const newRoom = () => `Meeting${process.pid}x${rooms++}`

async function enter(name, room, parameters = {}, options = {}) {
  const browser = await openBrowser(name, options)
  open.push(browser)
  const page = await newPage(browser)
  await page.goto(roomUrl(base, room, parameters))
  return page
}

/** Waits until the page plays `videos` others, each for some two seconds, and hears them. */
async function meets(page, videos, seconds = 45) {
  return until(`${videos} videos and sounds`, async () => {
    const s = await mediaStats(page)
    return s.video.filter((v) => v.frames > 30).length >= videos && s.audio.filter((a) => a.packets > 0).length >= videos && s
  }, seconds).catch(async (error) => {
    const s = await mediaStats(page)
    throw new Error(`${error.message}\n${JSON.stringify(s)}\n${page.problems.join('\n')}\n${server.log().slice(-3000)}`)
  })
}

test('two in Chromium see and hear each other through the bridge', async () => {
  const room = newRoom()
  const pages = [await enter('chromium', room), await enter('chromium', room)]
  for (const page of pages) await meets(page, 1)
  const results = await Promise.all(pages.map((page) => watch(page, { seconds: 20 })))
  for (const { final } of results) {
    assert.deepEqual(final.ports, [10000], 'the selected pair leads to the bridge')
    assert.ok(final.codecs.includes('video/VP8'))
  }
  for (const page of pages) assert.deepEqual(page.problems, [])
})

test('three of which one is Firefox', async () => {
  const room = newRoom()
  const pages = [await enter('chromium', room), await enter('firefox', room), await enter('chromium', room)]
  for (const page of pages) await meets(page, 2)
  await Promise.all(pages.map((page) => watch(page, { seconds: 20, videos: 2, sounds: 2 })))
})

test('two over BOSH', async () => {
  const room = newRoom()
  const parameters = { 'config.preferBosh': true }
  const pages = [await enter('chromium', room, parameters), await enter('chromium', room, parameters)]
  for (const page of pages) await meets(page, 1)
  await Promise.all(pages.map((page) => watch(page, { seconds: 5 })))
})

test('a screen shared by Chromium is seen by Firefox', async () => {
  const room = newRoom()
  const sharer = await enter('chromium', room)
  const watcher = await enter('firefox', room)
  await meets(watcher, 1)
  await sharer.click('[data-action="share"]')
  await until('camera and screen at the watcher', async () => {
    const s = await mediaStats(watcher)
    return s.video.filter((v) => v.frames > 5).length >= 2
  }, 30)
  await watch(watcher, { seconds: 5, videos: 2, gap: 3 })
})

test('three layers of 720 lines arrive at the bridge', async () => {
  const room = newRoom()
  const sender = await enter('chromium', room, { 'config.resolution': 720 })
  const receiver = await enter('chromium', room, {}, { width: 1920, height: 1080 })
  await meets(receiver, 1)
  await until('three streams sent and reported on', async () => {
    const s = await mediaStats(sender)
    const sent = s.sent.filter((x) => x.packets > 20)
    const heights = sent.map((x) => x.height).sort((a, b) => a - b)
    return heights.join() === '180,360,720' && sent.every((x) => s.reported.includes(x.ssrc))
  }, 40).catch(async (error) => {
    throw new Error(`${error.message} ${JSON.stringify(await mediaStats(sender))}`)
  })
})

test('after a reload both see each other again', async () => {
  const room = newRoom()
  const [stays, reloads] = [await enter('chromium', room), await enter('chromium', room)]
  await meets(stays, 1)
  await meets(reloads, 1)
  await reloads.reload()
  await meets(reloads, 1)
  await until('the one who stayed sees the new one', async () => {
    const before = await mediaStats(stays)
    await new Promise((done) => setTimeout(done, 1000))
    const now = await mediaStats(stays)
    return now.video.some((v) => v.frames > (before.video.find((w) => w.id === v.id)?.frames ?? 0) + 3)
  }, 30)
  await Promise.all([stays, reloads].map((page) => watch(page, { seconds: 5 })))
})

test('when the first leaves, the next becomes moderator and the others go on', async () => {
  const room = newRoom()
  const first = await enter('chromium', room)
  await until('the first is in', async () => (await role(first)) === 'moderator')
  const second = await enter('chromium', room)
  await until('the second is in', async () => (await role(second)) === 'participant')
  const third = await enter('chromium', room)
  await meets(third, 2)
  await first.close()
  await until('the second is moderator', async () => (await role(second)) === 'moderator', 30)
  assert.equal(await role(third), 'participant')
  await Promise.all([second, third].map((page) => watch(page, { seconds: 5 })))
})

/** The own role as the client knows it. */
function role(page) {
  return page.evaluate(() => document.documentElement.dataset.role)
}
