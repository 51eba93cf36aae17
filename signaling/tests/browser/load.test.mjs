// Pages whose files do not all come: the network of the person changes while they load.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { newPage, openBrowser, until } from './browser.mjs'
import { attribute, focused, shows, text } from './people.mjs'
import { base, startServer } from './server.mjs'

const LOADS = 5 // by itself, as js/boot.js has it
let server
let rooms = 0
const newRoom = () => `/Load${process.pid}x${rooms++}`

before(async () => { server = await startServer() })
after(async () => { await server?.stop() })

/** A page of its own whose requests the test can end; `visit` opens a path and begins to count its loads. */
async function openWire(browser) {
  const context = await browser.createBrowserContext()
  const page = await newPage(context)
  const wire = { loads: 0, ended: 0, path: '', breaks: () => false }
  await page.evaluateOnNewDocument(() => {
    document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective}`))
  })
  await page.setRequestInterception(true)
  page.on('request', async (request) => {
    const { pathname } = new URL(request.url())
    if (pathname === wire.path && request.method() === 'GET') wire.loads += 1
    if (!await wire.breaks(pathname, request.method())) return request.continue()
    wire.ended += 1
    return request.abort('failed')
  })
  wire.visit = async (path, breaks) => {
    Object.assign(wire, { loads: 0, ended: 0, path, breaks })
    await page.goto(`${base}${path}`, { waitUntil: 'domcontentloaded' })
  }
  wire.close = async () => {
    assert.deepEqual(page.problems.filter((it) => /CSP|^error:/.test(it)), [])
    await context.close()
  }
  return [page, wire]
}

/** The front page; the page before the meeting with all the code that comes after it. */
const hasFront = () => document.querySelector('.pill') !== null && document.body.innerText.includes('Name a room')
const hasRoom = () => document.querySelector('#name') !== null && document.querySelector('.net b') !== null
const inMeeting = () => document.body.className.includes('meet') && document.documentElement.dataset.role !== undefined
const notice = 'html > [role="alert"]'

for (const name of ['chromium', 'firefox']) {
  test(name, async (t) => {
    const browser = await openBrowser(name)
    try { await all(t, browser) } finally { await browser.close() }
  })
}

/** Everything in one browser. */
async function all(t, browser) {
  const files = ['js/ui/prejoin.js', 'js/net/xmpp.js', 'lang/en.js', 'css/base.css', 'js/boot.js', '/config.js']
  for (const file of files) {
    await t.test(`a room whose first load goes without ${file} comes by itself`, async () => {
      const [page, wire] = await openWire(browser)
      // boot.js is asked for twice by a page
      await wire.visit(newRoom(), (path) => path.endsWith(file) && wire.loads === 1 && (wire.ended === 0 || !path.endsWith('boot.js')))
      await shows(page, 'the page before the meeting', hasRoom)
      assert.ok(wire.ended > 0)
      assert.equal(wire.loads, file.endsWith('boot.js') ? 1 : 2)
      assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), [], 'the count is forgotten')
      await wire.close()
    })
  }

  await t.test('the front page comes by itself too', async () => {
    const [page, wire] = await openWire(browser)
    await wire.visit('/', (path) => path.includes('/js/ui/') && wire.loads === 1)
    await shows(page, 'the front page', hasFront)
    assert.equal(wire.loads, 2)
    await wire.close()
  })

  await t.test('who joins while the code of the meeting does not come gets in, as they were', async () => {
    const [page, wire] = await openWire(browser)
    let end
    const joined = new Promise((done) => { end = done })
    await wire.visit(newRoom(), async (path) => {
      if (wire.loads > 1 || !/js\/(net\/xmpp|ui\/stage)\.js$/.test(path)) return false
      await joined
      return true
    })
    await page.waitForSelector('#name')
    await page.type('#name', 'Anna')
    await page.click('[data-action="mic"]')
    await shows(page, 'no microphone', () => document.querySelector('[data-action="mic"]').getAttribute('aria-label') === 'Unmute')
    await page.click('[type="submit"]')
    end()
    await shows(page, 'the meeting', inMeeting)
    assert.equal(wire.loads, 2)
    assert.equal(await attribute(page, '[data-action="mic"]', 'aria-label'), 'Unmute', 'what was off stays off')
    assert.match(await attribute(page, '.tile.is-self', 'aria-label'), /^Anna /)
    await wire.close()
  })

  await t.test('a file that never comes is said, and the button brings the page once it does', async () => {
    const [page, wire] = await openWire(browser)
    await wire.visit(newRoom(), (path) => path.endsWith('js/ui/prejoin.js'))
    await page.waitForSelector(notice, { timeout: 40_000 })
    assert.equal(wire.loads, 1 + LOADS)
    assert.match(await text(page, notice), /^The page did not load completely\./)
    assert.equal(await focused(page), 'Load again')
    wire.breaks = () => false
    await page.click(`${notice} button`)
    await shows(page, 'the page before the meeting', hasRoom)
    assert.equal(await page.$(notice), null)
    await wire.close()
  })

  await t.test('a server out of reach keeps the page, which goes on when the network is back', async () => {
    const [page, wire] = await openWire(browser)
    await page.evaluateOnNewDocument(() => {
      if (location.protocol === 'about:') return
      localStorage.setItem('trestle.lang', 'ru')
      if (!sessionStorage.testSeen) sessionStorage.setItem('trestle.loads', '99')
      sessionStorage.testSeen = 1
    })
    const asked = []
    await wire.visit(newRoom(), (path, method) => {
      asked.push(method)
      return path.endsWith('lang/ru.js') || method === 'HEAD'
    })
    await page.waitForSelector(notice)
    assert.match(await text(page, notice), /^Страница загрузилась не полностью\. .*Загрузить снова$/)
    await page.evaluate(() => dispatchEvent(new Event('online')))
    await until('a question to the server', () => asked.includes('HEAD'))
    assert.ok(await page.$(notice))
    assert.equal(wire.loads, 1)
    wire.breaks = () => false
    await page.evaluate(() => dispatchEvent(new Event('online')))
    await shows(page, 'the page before the meeting', () => document.querySelector('#name') !== null)
    assert.equal(wire.loads, 2)
    await wire.close()
  })

  await t.test('where nothing can be counted, nothing is loaded again by itself', async () => {
    const [page, wire] = await openWire(browser)
    await page.evaluateOnNewDocument(() => {
      Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('', 'SecurityError') } })
    })
    await wire.visit(newRoom(), (path) => path.endsWith('/config.js') && wire.loads === 1)
    await page.waitForSelector(notice)
    assert.equal(wire.loads, 1)
    await page.click(`${notice} button`)
    await shows(page, 'the page before the meeting', hasRoom)
    await wire.close()
  })
}
