// Nothing that axe-core finds: WCAG 2.2 AA and best practice, on every page, panel, pop-over and
// dialog, in both themes, on a phone and on a desktop.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { enter, openPerson, reads, sees, shows } from './people.mjs'
import { base, startServer } from './server.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const looks = [['light', 1440, 900], ['dark', 1440, 900], ['light', 360, 640], ['dark', 360, 640]]

let server
let page
let other

before(async () => {
  server = await startServer({ config: '[limits]\njoins-per-second = 20\n' });
  [page, other] = await Promise.all([openPerson(), openPerson()])
})
after(async () => {
  await Promise.all([page, other].map((it) => it?.browser().close()))
  await server?.stop()
})

/** What axe finds in the page, in all looks; animations are over before it looks. */
async function findings(what) {
  const out = []
  for (const [theme, width, height] of looks) {
    await page.setViewport({ width, height })
    const found = await page.evaluate(async (source, wanted, look) => {
      window.trestleTheme.set(look)
      if (!window.axe) new Function(source)()
      await new Promise((done) => { requestAnimationFrame(done) })
      const short = document.getAnimations().filter((a) => {
        const { iterations, delay } = a.effect.getTiming()
        return iterations !== Infinity && delay < 1000
      })
      await Promise.all(short.map((a) => a.finished.catch(() => {})))
      const { violations, passes } = await window.axe.run(document, { runOnly: { type: 'tag', values: wanted } })
      if (passes.length < 5) throw new Error(`only ${passes.length} rules of axe were met`)
      const why = (node) => node.any.concat(node.all).map((c) => c.message).join('; ').slice(0, 200)
      return violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} (${why(n)})`).join('\n  ')}`)
    }, axe, tags, theme)
    out.push(...found.map((f) => `${what}, ${theme}, ${width}×${height}: ${f}`))
  }
  await page.setViewport({ width: 1440, height: 900 })
  return out
}
const check = async (what) => assert.deepEqual(await findings(what), [])

/** The script is put into the page by the test, which the policy would refuse. */
const open = async (url) => {
  await page.setBypassCSP(true)
  await page.goto('about:blank')
  await page.goto(url)
}

test('the front page', async () => {
  await open(base)
  await page.waitForSelector('.pill')
  await page.type('#room', 'a/b')
  await check('front page')
  await page.click('#lang')
  await check('language menu')
})

test('the pages before their scripts come', async () => {
  await page.setBypassCSP(true)
  await page.setRequestInterception(true)
  const late = []
  const hold = (request) => {
    if (/\/ui\/(front|room)\.js$/.test(request.url())) late.push(request); else void request.continue()
  }
  page.on('request', hold)
  try {
    for (const path of ['', 'Skeleton']) {
      await page.goto('about:blank')
      await page.goto(`${base}/${path}`, { waitUntil: 'domcontentloaded' })
      await page.waitForFunction(() => getComputedStyle(document.querySelector('main')).display !== 'none')
      await check(`skeleton of /${path}`)
    }
    assert.ok(late.length >= 2, 'a script came in time')
  } finally {
    page.off('request', hold)
    await page.goto('about:blank')
    await page.setRequestInterception(false)
  }
})

test('the notice of a page that did not load completely', async () => {
  await open(base)
  await page.waitForSelector('.pill')
  await page.evaluate(() => {
    sessionStorage.setItem('trestle.loads', '99')
    void window.trestleLoad.failed()
  })
  await page.waitForSelector('html > [role="alert"]')
  await check('notice')
  await page.evaluate(() => sessionStorage.clear())
})

test('the page before the meeting', async () => {
  await open(`${base}/Axe${process.pid}`)
  await shows(page, 'the preview', () => document.querySelector('.preview video')?.currentTime > 0)
  await check('preview')
  await page.evaluate(async () => {
    const { store } = await testImport('js/store.js')
    for (const input of [store.state.self.mic, store.state.self.camera]) {
      input.track?.stop()
      Object.assign(input, { on: false, track: null, problem: 'denied' })
    }
    store.show('prejoin', { ask: 'password-wrong' })
    store.emit('self')
  })
  await check('permission denied and a wrong password')
})

test('the meeting, its panels, menus and dialogs', async () => {
  const room = `Axe${process.pid}m`
  await page.setBypassCSP(true)
  await enter(page, room, { 'userInfo.displayName': 'Anna' })
  await shows(page, 'moderator', () => document.documentElement.dataset.role === 'moderator')
  await check('alone')
  await enter(other, room, { 'userInfo.displayName': 'Boris' })
  await Promise.all([sees(page), sees(other)])
  await other.click('[data-action="hand"]')
  await reads(page, 'Boris raised a hand')
  await check('tiles and a notice')
  await page.keyboard.press('w')
  await check('speaker view')
  await other.click('[data-action="chat"]')
  await other.keyboard.type('See https://example.org')
  await other.keyboard.press('Enter')
  for (const panel of ['chat', 'people']) {
    await page.evaluate((id) => document.querySelector(`#ctl-${id}`).click(), panel)
    await shows(page, panel, (id) => document.querySelector(`#ctl-${id}`).getAttribute('aria-pressed') === 'true', panel)
    await check(panel)
  }
  await page.keyboard.press('Escape')
  for (const menu of ['#ctl-mic-menu', '#ctl-cam-menu', '#ctl-more', '.tile__acts button:last-child', '.tile__acts button']) {
    await page.evaluate((sel) => { document.querySelector(sel).click() }, menu)
    await shows(page, menu, () => document.querySelector('.pop:popover-open') !== null)
    await check(menu)
    await page.evaluate(() => document.querySelector('.pop:popover-open')?.hidePopover())
  }
})

test('the dialogs', async () => {
  for (const [file, name, ...args] of [['dialogs', 'openInvite'], ['dialogs', 'openSecurity'], ['dialogs', 'openQuality'],
    ['dialogs', 'openKeys'], ['dialogs', 'askMuteAll'], ['dialogs', 'askKick', 'x', 'Boris'],
    ...['sound', 'video', 'notif', 'general'].map((tab) => ['settings', 'openSettings', tab])]) {
    await page.evaluate(async (module, fn, rest) => {
      (await testImport(`js/ui/${module}.js`))[fn](...rest)
    }, file, name, args)
    await check(`${name} ${args}`)
    await page.evaluate(() => document.querySelector('dialog[open]').close())
  }
})

test('the pages after the meeting', async () => {
  await page.evaluate(() => document.querySelector('#ctl-leave').click())
  for (const kind of ['left', 'kicked', 'destroyed', 'insecure', 'old', 'crash']) {
    await page.evaluate(async (it) => {
      const { store } = await testImport('js/store.js')
      store.show('after', { after: { kind: it, by: 'Anna', reason: '', minutes: 3 } })
    }, kind)
    await check(kind)
  }
})
