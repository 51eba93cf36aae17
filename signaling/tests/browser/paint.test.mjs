// How much a page asks for before something is seen, what it asks for at all, and in which form.
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { after, afterEach, before, test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { clean, openPerson, shows } from './people.mjs'
import { base, startServer } from './server.mjs'

const REQUESTS_BEFORE_PAINT = 12
const SHIFT = 0.05 // half of what counts as good

let server
let page

before(async () => {
  server = await startServer()
  page = await openPerson()
})
after(async () => {
  await page?.browser().close()
  await server?.stop()
})
afterEach(() => clean(page))

/** Loads a page as somebody who was never here, and says what it asked for before its first paint and after. */
async function visit(path, language, isReady) {
  await page.evaluate((lang) => localStorage.setItem('trestle.lang', lang), language)
  await page.setCacheEnabled(false)
  await page.goto('about:blank')
  await page.goto(`${base}${path}`)
  await shows(page, 'all of the page', isReady)
  await page.setCacheEnabled(true)
  return page.evaluate(() => {
    const painted = performance.getEntriesByName('first-contentful-paint')[0].startTime
    const all = ['navigation', 'resource'].flatMap((type) => performance.getEntriesByType(type))
      .map(({ name, startTime }) => ({ path: new URL(name).pathname, startTime }))
    const paths = (list) => list.map(({ path }) => path)
    return {
      painted, all: paths(all), before: paths(all.filter(({ startTime }) => startTime < painted)),
      shift: window.testShift,
    }
  })
}

const watchShift = () => {
  window.testShift = 0
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.testShift += entry.value
  }).observe({ type: 'layout-shift', buffered: true })
}

const pages = [
  ['the front page', '/', () => document.querySelector('.pill') !== null],
  ['the page before the meeting', `/Paint${process.pid}`, () => document.querySelector('#name') !== null],
]
for (const [name, path, isReady] of pages) {
  for (const language of ['en', 'ru']) {
    test(`${name} asks for at most ${REQUESTS_BEFORE_PAINT} files before its first paint, in ${language}`, async (t) => {
      await page.evaluateOnNewDocument(watchShift)
      const { painted, before: asked, all, shift } = await visit(path, language, isReady)
      t.diagnostic(`${asked.length} of ${all.length} requests, painted after ${Math.round(painted)} ms, shift ${shift}`)
      assert.ok(asked.length <= REQUESTS_BEFORE_PAINT, asked.join('\n'))
      assert.ok(shift <= SHIFT, `what is seen moves by ${shift}`)
      assert.deepEqual(all.filter((it) => it.includes('/lang/')).map((it) => it.split('/').at(-1)), [`${language}.js`])
      assert.equal(await page.$eval('html', (el) => el.lang), language)
    })
  }
}

test('the front page asks for nothing of the meeting', async () => {
  const { all } = await visit(...pages[0].slice(1, 2), 'en', pages[0][2])
  assert.deepEqual(all.filter((it) => /js\/(app|meeting|inputs|store|net|media)|meeting\.css|config\.js$/.test(it)
    && !it.endsWith('js/config.js')), [])
})

test('who comes again asks for the page and the settings only', async () => {
  await page.goto(`${base}${pages[1][1]}`)
  await shows(page, 'all of the page', pages[1][2])
  await page.goto('about:blank')
  await page.goto(`${base}${pages[1][1]}`)
  await shows(page, 'all of the page', pages[1][2])
  const transferred = await page.evaluate(() => performance.getEntriesByType('resource')
    .filter(({ transferSize }) => transferSize > 0).map(({ name }) => new URL(name).pathname))
  assert.deepEqual(transferred.filter((it) => it.startsWith('/_/')), [])
  assert.ok(transferred.includes('/config.js'))
})

/** One request as it is, with nothing unpacked. */
const ask = (path, headers) => new Promise((done, fail) => {
  get(new URL(path, base), { headers }, (answer) => {
    const parts = []
    answer.on('data', (part) => parts.push(part))
    answer.on('end', () => done({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }))
  }).on('error', fail)
})

test('every file of the pages unpacks to the same bytes', async () => {
  const unpack = { br: brotliDecompressSync, gzip: gunzipSync }
  const found = new Set(['/', '/Room'])
  for (const path of ['/', '/Room']) {
    const { body } = await ask(path, {})
    for (const [, asset] of body.toString().matchAll(/"(\/_\/[^"#]+)/g)) found.add(asset)
  }
  assert.ok(found.size > 50)
  for (const path of found) {
    const plain = await ask(path, {})
    assert.equal(plain.status, 200, path)
    assert.equal(plain.headers['content-encoding'], undefined)
    assert.equal(plain.headers['cache-control'],
      path.startsWith('/_/') ? 'public, max-age=31536000, immutable' : 'no-cache')
    for (const coding of ['br', 'gzip']) {
      const packed = await ask(path, { 'accept-encoding': coding })
      assert.equal(packed.headers['content-encoding'], coding)
      assert.ok(unpack[coding](packed.body).equals(plain.body), `${path} ${coding}`)
      const again = await ask(path, { 'accept-encoding': coding, 'if-none-match': packed.headers.etag })
      assert.equal(again.status, 304)
    }
  }
})
