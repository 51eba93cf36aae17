// Video keeps playing when the network loses one packet in fifty, each way.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { mediaStats, newPage, openBrowser, roomUrl, until, watch } from './browser.mjs'
import { makeNetwork, mayMakeNetworks } from './network.mjs'
import { startServer } from './server.mjs'

const skip = mayMakeNetworks ? false : 'needs root for network namespaces'
let network
let server
const open = []

before(async () => {
  if (skip) return
  network = makeNetwork()
  server = await startServer({
    wrap: network.inServer,
    config: '[web]\nhttps = "0.0.0.0:8443"\n',
  })
})
after(async () => {
  await Promise.all(open.map((browser) => browser.close()))
  await server?.stop()
  network?.remove()
})

test('2 % loss each way: NACK and RTX recover, no freeze over two seconds', { skip }, async () => {
  network.lose(2)
  const executable = network.clientProgram('/usr/bin/chromium')
  const pages = []
  for (let i = 0; i < 2; i++) {
    const browser = await openBrowser('chromium', { executable })
    open.push(browser)
    const page = await newPage(browser)
    await page.goto(roomUrl(`https://${network.serverAddress}:8443`, 'Lossy'))
    pages.push(page)
  }
  for (const page of pages) {
    await until('the other plays', async () => (await mediaStats(page)).video.length > 0, 30)
  }
  const results = await Promise.all(pages.map((page) => watch(page, { seconds: 30, gap: 2 })))
  assert.ok(network.dropped() > 50, `the network lost packets: ${network.dropped()}`)
  for (const { final } of results) {
    assert.deepEqual(final.ports, [10000])
    assert.ok(final.video.some((v) => v.nacks > 0), 'lost packets were asked for again')
  }
})
