// A browser meets a bridge that speaks DTLS 1.2 only, and one that takes 1.3.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mediaStats, newPage, openBrowser, roomUrl, until, watch } from './browser.mjs'
import { startServer } from './server.mjs'

const versions = { '1.2': 'FEFD', auto: 'FEFC' }

for (const [setting, version] of Object.entries(versions)) {
  test(`Chromium meets with bridge.dtls = "${setting}"`, async () => {
    const server = await startServer({ config: `[bridge]\ndtls = "${setting}"\n` })
    const browsers = []
    try {
      const pages = []
      for (let i = 0; i < 2; i++) {
        browsers.push(await openBrowser('chromium'))
        pages.push(await newPage(browsers[i]))
        await pages[i].goto(roomUrl('http://localhost:8000', 'Versions'))
      }
      for (const page of pages) {
        await until('the other plays', async () => (await mediaStats(page)).video.length > 0, 30)
        assert.equal((await mediaStats(page)).tls, version)
      }
      await watch(pages[0], { seconds: 3, gap: 2 })
    } finally {
      await Promise.all(browsers.map((browser) => browser.close()))
      await server.stop()
    }
  })
}
