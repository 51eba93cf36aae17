// Drives real browsers: Chromium by its DevTools protocol, Firefox by WebDriver BiDi.
import { existsSync } from 'node:fs'
import puppeteer from 'puppeteer-core'

const paths = {
  chromium: [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'],
  firefox: [process.env.FIREFOX, '/usr/bin/firefox-esr', '/usr/bin/firefox'],
}

const chromiumSwitches = [
  '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run', '--autoplay-policy=no-user-gesture-required',
  '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
]

const firefoxPreferences = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.gmp-manager.updateEnabled': false,
  'app.update.enabled': false,
  'app.normandy.enabled': false,
  'toolkit.telemetry.server': 'http://127.0.0.1:9',
  'browser.safebrowsing.downloads.remote.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
}

/**
 * Starts one browser. Each participant has a browser of its own, so that no page is hidden and
 * slowed down.
 * @param {'chromium'|'firefox'} name
 * @param {{executable?: string, args?: string[], width?: number, height?: number}} [options]
 */
export async function openBrowser(name, { executable, args = [], width = 1280, height = 800 } = {}) {
  const executablePath = executable ?? paths[name].find((path) => path && existsSync(path))
  if (!executablePath) throw new Error(`${name} is not installed`)
  return puppeteer.launch({
    browser: name === 'chromium' ? 'chrome' : 'firefox',
    executablePath,
    headless: true,
    // A pipe reaches a browser in another network namespace too.
    pipe: name === 'chromium',
    acceptInsecureCerts: true,
    defaultViewport: { width, height },
    args: name === 'chromium' ? [...chromiumSwitches, ...args] : args,
    extraPrefsFirefox: name === 'firefox' ? firefoxPreferences : undefined,
    protocolTimeout: 60_000,
  })
}

/**
 * Opens a page that remembers its peer connections, so that statistics can be asked, and has
 * `testImport('js/store.js')` for the modules of the client, whatever the prefix of this build.
 */
export async function newPage(browser) {
  const page = (await browser.pages())[0] ?? await browser.newPage()
  page.problems = []
  page.on('pageerror', (error) => page.problems.push(`error: ${error.message}`))
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    const errors = message.args().map((arg) => arg.remoteObject()?.description).filter(Boolean)
    page.problems.push(`console: ${[message.text(), ...errors].join('\n')}`)
  })
  await page.evaluateOnNewDocument(() => {
    const Real = window.RTCPeerConnection
    window.testPeers = []
    window.testImport = (path) => import(new URL(path, document.querySelector('link[rel=icon]').href).href)
    window.RTCPeerConnection = class extends Real {
      constructor(...args) {
        super(...args)
        window.testPeers.push(this)
      }
    }
  })
  return page
}

/** Address of a room with parameters as in Jitsi's URLs. */
export function roomUrl(base, room, parameters = {}) {
  const all = { 'config.prejoinConfig.enabled': false, 'config.resolution': 360, ...parameters }
  const hash = Object.entries(all).map(([k, v]) => `${k}=${encodeURIComponent(JSON.stringify(v))}`)
  return `${base}/${room}#${hash.join('&')}`
}

/**
 * What the page's live peer connection has counted:
 * `video`: per received video that ever had a frame {id, frames, freezes, frozen (s), height},
 * `audio`: per received sound {id, energy}, `sent`: per sent video stream {ssrc, frames, packets,
 * height}, `reported`: SSRCs on which the bridge reported, `ports`: remote ports in use.
 */
export async function mediaStats(page) {
  return page.evaluate(async () => {
    const live = window.testPeers.filter((pc) => pc.connectionState !== 'closed').at(-1)
    const result = { state: live?.connectionState ?? 'none', video: [], audio: [], sent: [],
      reported: [], ports: [], codecs: [], tls: '', srtp: '', peers: window.testPeers.length }
    if (!live) return result
    const report = await live.getStats()
    const all = [...report.values()]
    for (const s of all) {
      if (s.type === 'inbound-rtp' && s.kind === 'video' && s.framesDecoded > 0) {
        result.video.push({ id: s.id, frames: s.framesDecoded, freezes: s.freezeCount ?? 0,
          frozen: s.totalFreezesDuration ?? 0, height: s.frameHeight ?? 0, nacks: s.nackCount,
          plis: s.pliCount, lost: s.packetsLost, ssrc: s.ssrc })
      } else if (s.type === 'inbound-rtp' && s.kind === 'audio') {
        result.audio.push({ id: s.id, energy: s.totalAudioEnergy ?? 0, packets: s.packetsReceived })
      } else if (s.type === 'outbound-rtp' && s.kind === 'video') {
        result.sent.push({ ssrc: s.ssrc, frames: s.framesEncoded ?? 0, packets: s.packetsSent,
          height: s.frameHeight ?? 0, active: s.active })
      } else if (s.type === 'remote-inbound-rtp' && s.kind === 'video') {
        result.reported.push(s.ssrc)
      } else if (s.type === 'codec') {
        result.codecs.push(s.mimeType)
      }
    }
    const transport = all.find((s) => s.type === 'transport')
    result.tls = transport?.tlsVersion ?? ''
    result.srtp = transport?.srtpCipher ?? ''
    const pair = report.get(transport?.selectedCandidatePairId)
      ?? all.find((s) => s.type === 'candidate-pair' && s.selected)
      ?? all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded')
    const remote = pair && report.get(pair.remoteCandidateId)
    if (remote) result.ports.push(remote.port)
    return result
  })
}

/** Asks again every 200 ms until `test` gives something true, and gives that. */
export async function until(what, test, seconds = 20) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    let value
    let problem
    try { value = await test() } catch (error) { problem = error }
    if (value) return value
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}${problem ? ` (${problem.message})` : ''}`)
    await new Promise((done) => setTimeout(done, 200))
  }
}

/**
 * Watches a page for some seconds: every video that plays at the start must go on, with no gap
 * between frames longer than `gap` seconds, and sound energy must rise.
 */
export async function watch(page, { seconds = 20, gap = 1, videos = 1, sounds = 1 } = {}) {
  const first = await mediaStats(page)
  const last = new Map(first.video.map((v) => [v.id, { frames: v.frames, at: Date.now(), longest: 0 }]))
  const end = Date.now() + seconds * 1000
  while (Date.now() < end) {
    await new Promise((done) => setTimeout(done, 200))
    const now = await mediaStats(page)
    for (const v of now.video) {
      const seen = last.get(v.id)
      if (!seen) continue
      if (v.frames > seen.frames) {
        seen.longest = Math.max(seen.longest, (Date.now() - seen.at) / 1000)
        seen.frames = v.frames
        seen.at = Date.now()
      }
    }
  }
  const final = await mediaStats(page)
  for (const seen of last.values()) seen.longest = Math.max(seen.longest, (Date.now() - seen.at) / 1000)
  const playing = first.video.filter((v) => {
    const after = final.video.find((w) => w.id === v.id)
    return after && after.frames > v.frames && last.get(v.id).longest <= gap
  })
  const heard = final.audio.filter((a) => a.energy > (first.audio.find((b) => b.id === a.id)?.energy ?? 0))
  const facts = JSON.stringify({ first, final, longest: [...last.values()].map((s) => s.longest) })
  if (playing.length < videos) throw new Error(`only ${playing.length} of ${videos} videos play: ${facts}`)
  if (heard.length < sounds) throw new Error(`only ${heard.length} of ${sounds} heard: ${facts}`)
  return { first, final, longest: Math.max(...[...last.values()].map((s) => s.longest)) }
}
