// The pages of the built-in client: what a person can do, by mouse and by keyboard.
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { roomUrl, until } from './browser.mjs'
import {
  attribute, choose, clean, enter, focused, isOpen, openPerson, reads, sees, shows, text,
} from './people.mjs'
import { base, startServer } from './server.mjs'

let server
let anna
let boris
let rooms = 0
const newRoom = () => `Pages${process.pid}x${rooms++}`
const label = (page, action) => attribute(page, `[data-action="${action}"]`, 'aria-label')
const press = (page, ...keys) => keys.reduce((done, key) => done.then(() => page.keyboard.press(key)), Promise.resolve())

before(async () => {
  server = await startServer({ config: '[limits]\njoins-per-second = 20\n' });
  [anna, boris] = await Promise.all([openPerson(), openPerson()])
})
after(async () => {
  await Promise.all([anna, boris].map((page) => page?.browser().close()))
  await server?.stop()
})
afterEach(() => {
  for (const page of [anna, boris]) clean(page)
})

/** Opens the menu of a person in the list of people. */
const personMenu = (page, name) => page.evaluate((who) => [...document.querySelectorAll('.person')]
  .find((el) => el.innerText.includes(who)).querySelector('.ibtn').click(), name)

/** Both in one room, seeing each other; Anna was first. */
async function meet(parameters = {}) {
  const room = newRoom()
  await enter(anna, room, { 'userInfo.displayName': 'Anna', ...parameters })
  await shows(anna, 'moderator', () => document.documentElement.dataset.role === 'moderator')
  await enter(boris, room, { 'userInfo.displayName': 'Boris', ...parameters })
  await Promise.all([sees(anna), sees(boris)])
  await Promise.all([anna, boris].map((page) => page.bringToFront()))
  return room
}

test('the front page: names, languages, appearance, recent rooms', async () => {
  await anna.goto(base)
  await anna.waitForSelector('.pill')
  await anna.focus('#room')
  await anna.keyboard.type('a/b')
  assert.equal(await attribute(anna, '#room', 'aria-invalid'), 'true')
  await press(anna, 'Enter')
  assert.equal(new URL(anna.url()).pathname, '/')
  await anna.click('.pill')
  assert.match(await anna.$eval('#room', (el) => el.value), /^[a-z]+-[a-z]+-[a-z]+-\d+$/)
  await anna.focus('#lang')
  await press(anna, 'Enter', 'ArrowDown', 'Enter')
  await reads(anna, 'Назовите комнату')
  assert.equal(await focused(anna), 'lang', 'the focus is back on the button')
  await anna.focus('#theme')
  await press(anna, 'Enter', 'End', 'Enter')
  assert.equal(await attribute(anna, 'html', 'data-theme'), 'dark')
  await anna.evaluate(() => localStorage.clear())
})

test('before the meeting: preview, devices, name, connection, Join by Enter', async () => {
  const room = newRoom()
  await anna.goto(`${base}/${room}`)
  await shows(anna, 'the preview', () => document.querySelector('.preview video')?.currentTime > 0)
  await shows(anna, 'a good connection', () => document.querySelector('.net b')?.textContent === 'Good connection')
  await anna.setViewport({ width: 740, height: 360 })
  assert.ok(await anna.$eval('[type="submit"]', (el) => el.getBoundingClientRect().bottom <= innerHeight),
    'Join is seen on a phone on its side')
  await anna.setViewport({ width: 1280, height: 800 })
  for (const action of ['mic', 'cam']) {
    const isOn = await label(anna, action)
    await anna.click(`[data-action="${action}"]`)
    await until(`${action} off`, async () => (await label(anna, action)) !== isOn)
  }
  await reads(anna, 'Your camera is off')
  assert.ok(await anna.$eval('#device-mic', (el) => el.options.length) > 1)
  await anna.select('#device-mic', await anna.$eval('#device-mic', (el) => el.options[1].value))
  await anna.focus('#name')
  await anna.keyboard.type('Anna')
  await press(anna, 'Enter')
  await shows(anna, 'the meeting', () => document.body.className === 'meet')
  assert.equal(await label(anna, 'mic'), 'Unmute', 'what was off stays off')
  assert.equal(await label(anna, 'cam'), 'Turn the camera on')
  assert.equal(await anna.$eval('.tile.is-self', (el) => el.getAttribute('aria-label')), 'Anna (you), microphone off, camera off')
  await reads(anna, 'You are the first one here')
  await anna.click('[data-action="leave"]')
  await reads(anna, 'You left the meeting')
  assert.equal(await focused(anna), 'You left the meeting')
  await anna.goto(base)
  await shows(anna, 'the room', (name) => document.querySelector('#recent').textContent.includes(name), room)
})

test('permission denied, tried again, and granted', async () => {
  await anna.evaluate(() => { sessionStorage.testRefuse = 'NotAllowedError' })
  await anna.goto(`${base}/${newRoom()}`)
  await reads(anna, 'does not let this page use your camera')
  await reads(anna, 'Join without camera and microphone')
  await anna.evaluate(() => { delete sessionStorage.testRefuse })
  await choose(anna, 'Try again')
  await shows(anna, 'the preview', () => document.querySelector('.preview video')?.currentTime > 0)
})

test('every control of the bar by mouse', async () => {
  await meet()
  for (const [action, on, off] of [['mic', 'Mute', 'Unmute'], ['cam', 'Turn the camera off', 'Turn the camera on'],
    ['hand', 'Raise your hand', 'Lower your hand'], ['view', 'Speaker view', 'Tile view'],
    ['share', 'Share your screen', 'Stop sharing']]) {
    for (const [from, to] of [[on, off], [off, on]]) {
      assert.equal(await label(anna, action), from)
      await anna.click(`[data-action="${action}"]`)
      await until(`${action}: ${to}`, async () => (await label(anna, action)) === to)
    }
  }
  for (const action of ['people', 'chat']) {
    await anna.click(`[data-action="${action}"]`)
    assert.equal(await attribute(anna, `[data-action="${action}"]`, 'aria-pressed'), 'true')
    await anna.click('#panel .panel__head button')
    assert.equal(await focused(anna), `ctl-${action}`, 'the focus is back on the button')
  }
  for (const menu of ['mic-menu', 'cam-menu', 'more']) {
    await anna.click(`[data-action="${menu}"]`)
    assert.ok(await isOpen(anna, '.pop'), menu)
    await press(anna, 'Escape')
    assert.equal(await focused(anna), `ctl-${menu}`)
    await shows(anna, `${menu} is gone`, (id) => document.querySelector('.pop--sheet') === null
      && document.querySelector(`#ctl-${id}`).ariaExpanded === 'false', menu)
  }
})

test('every control of the bar by shortcut, also in a Russian layout, and not when they are off', async () => {
  const session = await anna.createCDPSession()
  const russian = async (code, key) => {
    await session.send('Input.dispatchKeyEvent', { type: 'keyDown', code, key, text: key })
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', code, key })
  }
  await anna.evaluate(() => document.activeElement?.blur())
  for (const [code, key, action, to] of [['KeyM', 'ь', 'mic', 'Unmute'], ['KeyV', 'м', 'cam', 'Turn the camera on'],
    ['KeyR', 'к', 'hand', 'Lower your hand'], ['KeyW', 'ц', 'view', 'Tile view']]) {
    const from = await label(anna, action)
    await russian(code, key)
    await until(`${action}: ${to}`, async () => (await label(anna, action)) === to)
    await press(anna, code)
    await until(`${action}: ${from}`, async () => (await label(anna, action)) === from)
  }
  await press(anna, 'c')
  assert.equal(await focused(anna), 'message', 'the composer has the focus')
  await anna.keyboard.type('mv')
  assert.equal(await label(anna, 'mic'), 'Mute', 'no shortcut while one types')
  await press(anna, 'Escape')
  assert.equal(await focused(anna), 'ctl-chat')
  await anna.evaluate(() => document.activeElement?.blur())
  await press(anna, 'm')
  await until('off', async () => (await label(anna, 'mic')) === 'Unmute')
  await anna.keyboard.down('Space')
  await until('on while Space is held', async () => (await label(anna, 'mic')) === 'Mute')
  await anna.keyboard.up('Space')
  await until('off again', async () => (await label(anna, 'mic')) === 'Unmute')
  await press(anna, 'm', '?')
  assert.ok(await isOpen(anna, 'dialog'))
  await press(anna, 'Space', 'Escape', 'v')
  assert.equal(await label(anna, 'cam'), 'Turn the camera off', 'shortcuts are off')
  await press(anna, 'F6')
  assert.match(await focused(anna), /Anna|Boris/, 'F6 goes to the stage')
  await press(anna, 'F6')
  assert.equal(await anna.evaluate(() => document.activeElement.closest('#deck') !== null), true)
  await anna.evaluate(async () => (await testImport('js/app.js')).setSwitch('keys', true))
})

test('a dialog keeps the focus and gives it back; menus have arrow keys and letters', async () => {
  await anna.focus('#ctl-more')
  await press(anna, 'Enter')
  const first = await focused(anna)
  await press(anna, 'ArrowDown')
  assert.notEqual(await focused(anna), first)
  await press(anna, 'End')
  assert.match(await focused(anna), /Settings/)
  await press(anna, 'Enter')
  assert.equal(await focused(anna), 'tab-sound')
  await press(anna, 'ArrowDown')
  assert.equal(await focused(anna), 'tab-video')
  for (let i = 0; i < 12; i++) {
    await press(anna, 'Tab')
    assert.ok(await anna.evaluate(() => document.activeElement === document.body
      || document.activeElement.closest('dialog') !== null), 'Tab stays in the dialog')
  }
  await press(anna, 'Escape')
  assert.equal(await focused(anna), 'ctl-more')
  await anna.focus('.tile[tabindex="0"]')
  await press(anna, 'Enter')
  assert.ok(await isOpen(anna, '.pop'), 'Enter opens the menu of the tile')
  await press(anna, 'Escape', 'ArrowRight')
  assert.match(await focused(anna), /Anna|Boris/)
})

test('no picture is made again by view, pin, panel or language', async () => {
  await anna.evaluate(() => {
    window.testEmptied = 0
    for (const video of document.querySelectorAll('.tile video')) {
      video.testMark = true
      video.addEventListener('emptied', () => { window.testEmptied += 1 })
    }
  })
  const times = () => anna.evaluate(() => [...document.querySelectorAll('.tile video')]
    .map((v) => (v.testMark ? v.currentTime : -1)).sort((a, b) => a - b))
  const first = await times()
  for (const keys of [['w'], ['1'], ['Escape'], ['0'], ['Escape'], ['w'], ['p'], ['c'], ['Escape'], ['f'], ['f']]) {
    await press(anna, ...keys)
    if (keys[0] === 'c') await press(anna, 'Escape')
    await anna.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
  }
  await anna.evaluate(async () => {
    const { setLang } = await testImport('js/i18n.js')
    await setLang('ru')
  })
  assert.equal(await label(anna, 'leave'), await anna.evaluate(async () => (await testImport('lang/ru.js')).default['m.leave']))
  await anna.evaluate(async () => (await testImport('js/i18n.js')).setLang('en'))
  const last = await times()
  assert.equal(last.length, first.length)
  last.forEach((time, i) => assert.ok(time >= first[i] && first[i] > 0, `${first} then ${last}`))
  assert.equal(await anna.evaluate(() => window.testEmptied), 0)
})

test('chat: unread count, title, links, and the focus', async () => {
  await boris.click('[data-action="chat"]')
  await boris.keyboard.type('See https://example.org/report. <b>now</b>')
  await press(boris, 'Enter')
  await until('one unread', async () => (await label(anna, 'chat')) === 'Chat, 1 unread message')
  assert.match(await anna.title(), /^\(1\) /)
  await reads(anna, '1')
  await anna.click('[data-action="chat"]')
  await until('read', async () => (await label(anna, 'chat')) === 'Chat')
  assert.deepEqual(await anna.$eval('.msg__text a', (a) => [a.href, a.rel, a.target]),
    ['https://example.org/report', 'noopener noreferrer nofollow', '_blank'])
  assert.equal(await text(anna, '.msg__text'), 'See https://example.org/report. <b>now</b>')
  await press(anna, 'Escape')
  await press(boris, 'Escape')
})

test('hands have places in a queue, on tiles and in the list', async () => {
  await boris.click('[data-action="hand"]')
  await reads(anna, 'Boris raised a hand')
  await anna.click('[data-action="hand"]')
  await shows(boris, 'both places', () => [...document.querySelectorAll('.tile__hand')].map((el) => el.textContent).sort().join() === '1,2')
  await anna.click('[data-action="people"]')
  assert.deepEqual(await anna.$$eval('.person__hand:not([hidden]) span:last-child', (all) => all.map((el) => el.textContent)), ['1', '2'])
  for (const page of [anna, boris]) await page.click('[data-action="hand"]')
  await shows(anna, 'a camera in every row', () => [...document.querySelectorAll('.person__st')]
    .every((el) => el.lastElementChild.offsetWidth > 0))
  await press(anna, 'Escape')
})

test('a device that is lost and one that is found', async () => {
  await anna.evaluate(() => {
    const track = window.testTracks.findLast((t) => t.kind === 'audio' && t.readyState === 'live')
    track.stop()
    track.dispatchEvent(new Event('ended'))
  })
  await reads(anna, 'was unplugged')
  await reads(anna, 'Now using')
  await anna.evaluate(() => {
    const real = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices)
    navigator.mediaDevices.enumerateDevices = async () => [...await real(),
      { kind: 'audioinput', deviceId: 'new', label: 'USB Conference Mic', groupId: '' }]
    navigator.mediaDevices.dispatchEvent(new Event('devicechange'))
  })
  await reads(anna, 'Microphone found: USB Conference Mic')
  await choose(anna, 'Use it')
  assert.equal(await label(anna, 'mic'), 'Mute')
})

test('a lost server is said, and so is the return', async () => {
  await anna.evaluate(() => {
    window.testCut = true
    for (const socket of window.testSockets) socket.close()
  })
  await reads(anna, 'Reconnecting… Your place is kept.')
  await anna.evaluate(() => { window.testCut = false })
  await reads(anna, 'You are connected again')
  await sees(anna)
  anna.problems = anna.problems.filter((p) => !p.includes('/nowhere'))
})

test('mute, password, and removal by a moderator', async () => {
  const room = await meet()
  await anna.click('[data-action="people"]')
  await personMenu(anna, 'Boris')
  await choose(anna, 'Mute')
  await reads(boris, 'Anna muted you')
  assert.equal(await label(boris, 'mic'), 'Unmute')
  await anna.click('#ctl-more')
  await choose(anna, 'Security')
  assert.equal(await focused(anna), 'roompw')
  await anna.keyboard.type('braces')
  await press(anna, 'Enter')
  await shows(anna, 'the lock', () => document.querySelector('.deck .roombtn').getAttribute('aria-label').includes('locked'))
  await personMenu(anna, 'Boris')
  await choose(anna, 'Remove from the meeting')
  assert.equal(await focused(anna), 'Cancel', 'the safe answer has the focus')
  await choose(anna, 'Remove')
  await reads(boris, 'You were removed from the meeting')
  await reads(boris, 'Removed by Anna.')
  await boris.goto('about:blank')
  await boris.goto(roomUrl(base, room))
  await reads(boris, 'This room has a password')
  assert.equal(await focused(boris), 'pw')
  await boris.keyboard.type('wrong')
  await press(boris, 'Enter')
  await reads(boris, 'That is not the password')
  await boris.$eval('#pw', (el) => el.select())
  await boris.keyboard.type('braces')
  await press(boris, 'Enter')
  await shows(boris, 'the meeting', () => document.body.className === 'meet')
})

test('nothing is wider than the page, from 320 to 1920', async () => {
  for (const [width, height] of [[320, 568], [360, 640], [639, 800], [640, 800], [740, 360], [767, 900],
    [768, 1024], [1023, 700], [1024, 700], [1920, 1080]]) {
    await anna.setViewport({ width, height })
    await anna.evaluate(() => new Promise((done) => { setTimeout(done, 60) }))
    const wide = await anna.evaluate(() => {
      const limit = document.documentElement.clientWidth
      const out = [...document.querySelectorAll('.ctl, .ibtn, .btn, .roombtn, .panel, .stage')]
        .filter((el) => el.offsetParent && (el.getBoundingClientRect().right > limit + 0.5 || el.getBoundingClientRect().left < -0.5))
      return { scroll: document.documentElement.scrollWidth > limit, out: out.map((el) => el.id || el.className) }
    })
    assert.deepEqual(wide, { scroll: false, out: [] }, `${width}×${height}`)
  }
  await anna.setViewport({ width: 1280, height: 800 })
})
