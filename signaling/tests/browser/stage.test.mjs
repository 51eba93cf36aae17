// The stage, with people and screens that the test puts into the store: pages, speaker view, pin,
// the floating self-view, places, settings, and the page when the server has long been silent.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { until } from './browser.mjs'
import { choose, clean, enter, focused, isOpen, openPerson, reads, shows, text } from './people.mjs'
import { startServer } from './server.mjs'

let server
let page

before(async () => {
  server = await startServer()
  page = await openPerson({ width: 1440, height: 900 })
  await enter(page, `Stage${process.pid}`, { 'userInfo.displayName': 'Anna' })
})
after(async () => {
  await page?.browser().close()
  await server?.stop()
})
afterEach(() => clean(page))

/** Puts so many other people into the store; they show the own camera. */
const fill = (count) => page.evaluate(async (n) => {
  const { store } = await testImport('js/store.js')
  const { people, sources, self } = store.state
  people.clear()
  sources.clear()
  for (let i = 0; i < n; i++) {
    const id = `person${i}`
    people.set(id, { id, name: `Person ${i}`, isModerator: false, hand: null, audioMuted: false, videoMuted: false,
      level: 0, speaking: false, spokeAt: 0, interrupted: false, bars: 4 })
    sources.set(`${id}-v0`, { name: `${id}-v0`, owner: id, kind: 'video', videoType: 'camera', muted: false,
      ssrc: 1000 + i, track: self.camera.track, forwarded: true, since: 1 })
  }
  store.emit('people')
}, count)

/** A screen of the first person comes or goes. */
const share = (isOn) => page.evaluate(async (on) => {
  const { store } = await testImport('js/store.js')
  const name = 'person0-v1'
  if (on) {
    store.state.sources.set(name, { name, owner: 'person0', kind: 'video', videoType: 'desktop', muted: false,
      ssrc: 99, track: store.state.self.camera.track, forwarded: true, since: 2 })
  } else store.state.sources.delete(name)
  store.emit('sources', name)
}, isOn)

const mode = () => page.evaluate(async () => (await testImport('js/store.js')).store.state.view.mode)
const seen = () => page.evaluate(() => [...document.querySelectorAll('.tile:not([hidden])')].map((el) => el.dataset.source))
const asked = () => page.evaluate(async () => Object.fromEntries((await testImport('js/store.js')).store.state.wanted))
const visible = (count) => shows(page, `${count} tiles`, (n) => document.querySelectorAll('.tile:not([hidden])').length === n, count)
const box = (selector) => page.$eval(selector, (el) => {
  const { left, top, width, height } = el.getBoundingClientRect()
  return { left, top, width, height }
})

test('thirty people are on two pages; only those on the page are asked for', async () => {
  await fill(30)
  await visible(25)
  assert.equal(await text(page, '.pager .num'), '1 / 2')
  assert.equal(Object.keys(await asked()).length, 25)
  await page.evaluate(() => document.activeElement?.blur())
  await page.keyboard.press('PageDown')
  await visible(6)
  assert.deepEqual((await seen()).slice(-2), ['person29-v0', 'self'], 'oneself is last')
  assert.deepEqual(Object.keys(await asked()).length, 5)
  assert.equal(await page.$eval('.pager button:last-child', (el) => el.disabled), true)
  await page.click('.pager button:first-child')
  await visible(25)
})

test('who speaks from another page gets a place on this one', async () => {
  await page.evaluate(async () => {
    const { store } = await testImport('js/store.js')
    Object.defineProperty(store.state.people.get('person28'), 'speaking', { get: () => true, set() {} })
  })
  await shows(page, 'the speaker', () => document.querySelector('[data-source="person28-v0"]:not([hidden])') !== null)
  assert.equal((await seen()).length, 25)
})

test('a screen brings speaker view, and its end the tiles, unless the view was chosen', async () => {
  await fill(4)
  await visible(5)
  await share(true)
  await shows(page, 'the screen is large', () => document.querySelector('.tile:not([hidden])').classList.contains('is-share'))
  assert.equal(await mode(), 'stage')
  assert.equal((await asked())['person0-v1'], 2160)
  await share(false)
  await visible(5)
  assert.equal(await mode(), 'tile')
  await share(true)
  await shows(page, 'speaker view', () => document.querySelector('.tile:not([hidden])').classList.contains('is-share'))
  await page.click('#ctl-view')
  await page.click('#ctl-view')
  await share(false)
  await visible(5)
  assert.equal(await mode(), 'stage', 'it was chosen')
  await page.click('#ctl-view')
})

test('pin by double click, by key, and Escape takes it off', async () => {
  await page.click('[data-source="person2-v0"]', { count: 2 })
  await shows(page, 'the pin', () => document.querySelector('.tile').dataset.source === 'person2-v0')
  assert.match(await page.$eval('.tile', (el) => el.getAttribute('aria-label')), /pinned/)
  await page.evaluate(() => document.activeElement?.blur())
  await page.keyboard.press('Escape')
  await shows(page, 'tiles', () => document.querySelector('.is-pinned') === null
    && document.querySelector('.tile').dataset.source !== 'person2-v0')
  assert.equal(await mode(), 'tile')
})

test('with two the self-view floats, goes to another corner by drag and by arrows, and can be hidden', async () => {
  await fill(1)
  await visible(2)
  const first = await box('.tile--self')
  assert.ok(first.left > 900 && first.top > 500)
  await page.mouse.move(first.left + 20, first.top + 20)
  await page.mouse.down()
  await page.mouse.move(200, 200, { steps: 4 })
  await page.mouse.up()
  await shows(page, 'the other corner', () => document.querySelector('.tile--self').getBoundingClientRect().left < 100)
  await page.focus('.tile--self')
  await page.keyboard.press('ArrowRight')
  await shows(page, 'the right side', () => document.querySelector('.tile--self').getBoundingClientRect().left > 900)
  await page.click('#ctl-cam-menu')
  await choose(page, 'Hide self-view')
  await visible(1)
  await page.click('#ctl-cam-menu')
  await choose(page, 'Show self-view')
  await visible(2)
})

test('filmstrip, quality and the statistics', async () => {
  await fill(3)
  await visible(4)
  await page.evaluate(() => document.activeElement?.blur())
  await page.keyboard.press('w')
  await visible(4)
  await page.keyboard.press('f')
  await visible(2)
  assert.ok((await box('.tile--self')).width < 300, 'oneself floats')
  await page.keyboard.press('f')
  await page.keyboard.press('w')
  await page.keyboard.press('a')
  await choose(page, 'Low, 180p')
  await page.keyboard.press('Escape')
  await until('smaller pictures are asked for', async () => Object.values(await asked()).every((height) => height === 180))
  await page.focus('.tile[tabindex="0"] .tile__acts button')
  await page.keyboard.press('Enter')
  assert.ok(await isOpen(page, '.stats'))
  await page.keyboard.press('Escape')
})

test('how many more there are does not lie on a raised hand, however small the strip', async () => {
  await fill(9)
  await page.evaluate(async () => {
    const { store } = await testImport('js/store.js')
    for (const person of store.state.people.values()) person.hand = 1 + Number(person.id.slice(6))
    store.emit('people')
  })
  if (await mode() === 'tile') await page.keyboard.press('w')
  for (const [width, height] of [[1440, 700], [740, 360], [360, 640], [320, 568]]) {
    await page.setViewport({ width, height })
    await shows(page, `"more" beside the hands at ${width} × ${height}`, () => {
      const more = document.querySelector('.strip-more:not([hidden])')?.getBoundingClientRect()
      return more && [...document.querySelectorAll('.tile:not([hidden]) .tile__hand')].every((el) => {
        const hand = el.getBoundingClientRect()
        return hand.right <= more.left || hand.left >= more.right || hand.bottom <= more.top || hand.top >= more.bottom
      })
    })
  }
  await page.setViewport({ width: 1440, height: 900 })
  await page.keyboard.press('w')
})

test('settings: name, appearance and language at once', async () => {
  await page.click('#ctl-more')
  await choose(page, 'Settings')
  await choose(page, 'General')
  await page.$eval('#set-name', (el) => el.select())
  await page.type('#set-name', 'Anna Lindqvist')
  await page.keyboard.press('Tab')
  await page.select('#set-theme', 'dark')
  assert.equal(await page.$eval('html', (el) => el.dataset.theme), 'dark')
  await shows(page, 'the new name', () => document.querySelector('.tile.is-self').ariaLabel.startsWith('Anna Lindqvist (you)'))
  await page.select('#set-lang', 'ru')
  await shows(page, 'Russian', () => /[а-я]/.test(document.querySelector('#ctl-leave').ariaLabel))
  assert.equal(await focused(page), 'set-lang')
  await page.keyboard.press('Escape')
  for (const [width, height] of [[320, 568], [640, 800], [1024, 700]]) {
    await page.setViewport({ width, height })
    await shows(page, `${width} px in Russian`, () => document.documentElement.scrollWidth <= document.documentElement.clientWidth
      && [...document.querySelectorAll('.ctl')].every((el) => el.hidden || el.getBoundingClientRect().right <= innerWidth))
  }
  await page.setViewport({ width: 1440, height: 900 })
  await page.evaluate(async () => (await testImport('js/i18n.js')).setLang('en'))
})

test('the invitation copies the link, and says so', async () => {
  await page.evaluate(() => { navigator.clipboard.writeText = async (copied) => { window.testCopied = copied } })
  await page.click('.deck .roombtn')
  await page.click('dialog .copyrow button')
  await reads(page, 'Copied')
  assert.equal(await page.evaluate(() => window.testCopied), page.url().replace(/#.*/, ''))
  await page.keyboard.press('Escape')
  assert.match(await focused(page), /About this meeting/)
})

test('less motion and forced colours', async () => {
  const session = await page.createCDPSession()
  const emulate = (features) => session.send('Emulation.setEmulatedMedia', { features })
  await emulate([{ name: 'prefers-reduced-motion', value: 'reduce' }])
  await page.click('#ctl-chat')
  assert.equal(await page.$eval('#panel', (el) => getComputedStyle(el).animationName), 'none')
  assert.equal(await page.$eval('#ctl-chat', (el) => getComputedStyle(el).transitionDuration), '0.001s')
  await emulate([{ name: 'forced-colors', value: 'active' }])
  assert.equal(await page.$eval('#ctl-mic', (el) => getComputedStyle(el).borderTopStyle), 'solid')
  await shows(page, 'what is pressed is seen', () => {
    const [pressed, other] = ['#ctl-chat', '#ctl-people'].map((id) => getComputedStyle(document.querySelector(id)).backgroundColor)
    return pressed !== other
  })
  await emulate([])
  await page.keyboard.press('Escape')
})

test('a server that is silent for five minutes gives a page that goes on trying', async () => {
  await page.evaluate(async () => {
    const { store } = await testImport('js/store.js')
    const now = Date.now()
    store.set('connection', { state: 'reconnecting', cause: 'network', since: now - 301_000, attempt: 7, retryAt: now + 9000 })
  })
  await reads(page, 'The server does not answer')
  await reads(page, 'Attempt 8, next in')
  assert.equal(await focused(page), 'The server does not answer')
  await page.evaluate(async () => {
    const { store } = await testImport('js/store.js')
    store.set('connection', { state: 'joined', cause: null, since: 0, attempt: 0, retryAt: 0 })
  })
  await shows(page, 'the meeting again', () => document.body.className === 'meet')
})
