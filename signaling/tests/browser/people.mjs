// People in a room for the tests of the pages: each has a browser, and a page that is watched for
// errors, refused resources and requests to other hosts.
import assert from 'node:assert/strict'
import { newPage, openBrowser, roomUrl, until } from './browser.mjs'
import { base } from './server.mjs'

/** Keeps what a page opens, so that a test can break it: tracks, sockets, and what getUserMedia says. */
function hooks() {
  if (!navigator.mediaDevices) return // about:blank
  window.testTracks = []
  window.testSockets = []
  window.testRefuse = ''
  document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`))
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
  navigator.mediaDevices.getUserMedia = async (constraints) => {
    const wish = sessionStorage.testRefuse ?? window.testRefuse
    if (wish) throw new DOMException('', wish)
    const stream = await real(constraints)
    window.testTracks.push(...stream.getTracks())
    return stream
  }
  const Real = WebSocket
  window.WebSocket = class extends Real {
    constructor(url, protocols) {
      const isCut = window.testCut && String(url).includes('/xmpp-websocket')
      super(isCut ? new URL('/nowhere', url) : url, protocols)
      window.testSockets.push(this)
    }
  }
}

/** A browser with one watched page. */
export async function openPerson({ width = 1280, height = 800, args = [] } = {}) {
  const browser = await openBrowser('chromium', { width, height, args })
  const page = await newPage(browser)
  page.foreign = []
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url())
    if (/^(http|ws)s?:$/.test(protocol) && host !== new URL(base).host) page.foreign.push(request.url())
  })
  await page.evaluateOnNewDocument(hooks)
  await page.goto(base)
  await page.evaluate(() => localStorage.clear())
  return page
}

/** Enters a room without the page before it. */
export async function enter(page, room, parameters = {}) {
  await page.goto('about:blank')
  await page.goto(roomUrl(base, room, parameters))
  await until('in the room', () => page.evaluate(() => document.body.className.includes('meet')
    && document.documentElement.dataset.role !== undefined && document.querySelector('#tiles li') !== null))
}

/** Waits until the page shows the moving picture of somebody else. */
export const sees = (page, count = 1) => until(`${count} pictures`, () => page.evaluate((n) => (
  [...document.querySelectorAll('.tile:not(.is-self):not(.is-off) video')].filter((v) => v.currentTime > 0.5).length >= n), count), 30)

export const clean = (page) => {
  assert.deepEqual(page.problems.splice(0), [])
  assert.deepEqual(page.foreign, [], 'only this server is asked')
}

/** Text of an element, '' without one. */
export const text = (page, selector) => page.evaluate((sel) => document.querySelector(sel)?.textContent ?? '', selector)
export const attribute = (page, selector, name) => page.evaluate(
  (sel, key) => document.querySelector(sel)?.getAttribute(key) ?? null, selector, name)
/** The control, item or heading with the focus, as id, class or text. */
export const focused = (page) => page.evaluate(() => {
  const el = document.activeElement
  return el?.id || el?.getAttribute('aria-label') || el?.textContent?.trim() || el?.tagName
})
export const shows = (page, what, test, ...args) => until(what, () => page.evaluate(test, ...args), 15)
/** Waits until the text of the page has these words. */
export const reads = (page, words) => shows(page, `"${words}"`, (w) => document.body.innerText.includes(w), words)
export const isOpen = (page, selector) => page.evaluate(
  (sel) => [...document.querySelectorAll(sel)].some((el) => el.matches(':popover-open, [open]')), selector)
/** Clicks the item or button with this text. */
export async function choose(page, words) {
  const handle = await until(`"${words}"`, () => page.evaluateHandle((w) => (
    [...document.querySelectorAll('button, a, label, [role="tab"]')]
      .findLast((el) => el.innerText?.trim().startsWith(w) && el.offsetParent !== null) ?? null), words)
    .then((found) => found.asElement()))
  await handle.click()
}
