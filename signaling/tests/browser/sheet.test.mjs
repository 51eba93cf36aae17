// Menus and dialogs on a phone are sheets: a finger pulls them down, and so do the other ways to close.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { clean, enter, focused, isOpen, openPerson, shows } from './people.mjs'
import { startServer } from './server.mjs'

let server
let page
let touch

before(async () => {
  server = await startServer()
  page = await openPerson()
  touch = await page.createCDPSession()
  await page.setViewport({ width: 360, height: 640, hasTouch: true, isMobile: true, deviceScaleFactor: 2 })
  await enter(page, `Sheet${process.pid}`, { 'userInfo.displayName': 'Anna' })
})
after(async () => {
  await page?.browser().close()
  await server?.stop()
})
afterEach(() => clean(page))

const closed = (what) => shows(page, `no ${what}`, (sel) => (
  [...document.querySelectorAll(sel)].every((el) => !el.matches(':popover-open, [open]'))), what)
const still = () => page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => {}))))
/** The middle of what a selector finds, after it has come to rest. */
async function middle(selector) {
  await still()
  return page.$eval(selector, (el) => {
    const { x, y, width, height } = el.getBoundingClientRect()
    return [x + width / 2, y + height / 2]
  })
}

/**
 * A finger goes down on something, moves by `down` px in 10 steps, rests for `rest` ms, and leaves. Its time
 * is told to the browser, so that a slow machine makes no slow finger of it.
 */
async function pull(selector, down, { step = 16, rest = 150 } = {}) {
  const [x, y] = await middle(selector)
  let time = Date.now() - 10 * step - rest
  const send = (type, touchPoints) => touch.send('Input.dispatchTouchEvent', { type, touchPoints, timestamp: time / 1000 })
  await send('touchStart', [{ x, y }])
  for (let i = 1; i <= 10; i++) {
    time += step
    await send('touchMove', [{ x, y: y + down * i / 10 }])
  }
  time += rest
  await send('touchEnd', [])
}

async function openMenu() {
  await page.tap('#ctl-more')
  await shows(page, 'the menu', () => document.querySelector('.pop--sheet:popover-open') !== null)
}

async function openDialog() {
  await openMenu()
  await page.evaluate(() => [...document.querySelectorAll('[role="menuitem"]')].at(-1).click())
  await shows(page, 'the settings', () => document.querySelector('dialog[open]') !== null)
}

test('a menu follows the finger, goes back when it is let go early, and closes when it is not', async () => {
  await openMenu()
  await pull('.pop--sheet .grip', 50)
  await still()
  assert.ok(await isOpen(page, '.pop'), 'a short pull is taken back')
  assert.equal(await page.$eval('.pop--sheet', (el) => getComputedStyle(el).transform), 'none')
  await pull('.pop--sheet .grip', 320)
  await closed('.pop')
  assert.equal(await focused(page), 'ctl-more', 'the focus is back on the button')
})

test('a flick closes a menu', async () => {
  await openMenu()
  await pull('.pop--sheet .grip', 100, { rest: 0 })
  await closed('.pop')
  await new Promise((done) => { setTimeout(done, 500) }) // Chromium takes a tap right after a flick for its end
})

test('a pull that begins on an item does not choose it, and a tap still does', async () => {
  await openMenu()
  const long = await page.$eval('.pop--sheet', (el) => el.classList.contains('is-long'))
  assert.equal(long, false, 'all of this menu is seen')
  await pull('.pop--sheet [role="menuitem"]:last-of-type', 320)
  await closed('.pop')
  assert.equal(await isOpen(page, 'dialog'), false)
  await openMenu()
  await still()
  await page.tap('.pop--sheet [role="menuitem"]:last-of-type')
  await shows(page, 'the settings', () => document.querySelector('dialog[open]') !== null)
  await page.keyboard.press('Escape')
  await closed('dialog')
})

test('a dialog is pulled by its head, scrolls by its body, and closes by keyboard and backdrop too', async () => {
  await openDialog()
  await pull('.sets__body', 200)
  await still()
  assert.ok(await isOpen(page, 'dialog'), 'a finger on the body does not close it')
  await pull('.dlg__head h2', 400)
  await closed('dialog')
  assert.equal(await focused(page), 'ctl-more')
  await openDialog()
  await page.keyboard.press('Escape')
  await closed('dialog')
  await openDialog()
  await still()
  await page.touchscreen.tap(180, 10)
  await closed('dialog')
})

test('with reduced motion a sheet that is let go is away at once', async () => {
  await page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }])
  await openMenu()
  await page.evaluate(() => {
    window.testDurations = []
    const real = Element.prototype.animate
    Element.prototype.animate = function animate(frames, options) {
      window.testDurations.push(options.duration)
      return real.call(this, frames, options)
    }
  })
  await pull('.pop--sheet .grip', 320)
  await closed('.pop')
  assert.deepEqual(await page.evaluate(() => window.testDurations), [0])
  await page.emulateMediaFeatures([])
})

test('a mouse on a wide screen moves no menu', async () => {
  await page.setViewport({ width: 1280, height: 800 })
  await page.click('#ctl-more')
  await still()
  assert.equal(await page.$eval('.pop .grip', (el) => getComputedStyle(el).display), 'none')
  const [x, y] = await middle('.pop [role="menuitem"]')
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x, y + 300, { steps: 5 })
  await page.mouse.up()
  assert.ok(await isOpen(page, '.pop'))
  await page.keyboard.press('Escape')
})
