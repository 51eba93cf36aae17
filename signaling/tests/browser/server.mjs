// Starts the real binary with a configuration of its own and ends it again.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const binary = process.env.TRESTLE ?? join(root, 'target/release/trestle')

/** Where the tests find the server. TRESTLE_BASE names one that runs already and serves its files from disk, say. */
export const base = process.env.TRESTLE_BASE ?? 'http://localhost:8000'

/**
 * Starts a server, unless TRESTLE_BASE names one, and waits until it says `ready`.
 * @param {{config?: string, wrap?: string[], args?: string[], web?: string}} [options]
 *   `config` is TOML, `wrap` a command that runs the command (a network namespace, say).
 */
export async function startServer({ config = '', wrap = [], args = [] } = {}) {
  if (process.env.TRESTLE_BASE) {
    return { listeners: '', log: () => '', pid: undefined, running: () => true, stop: async () => ({ code: 0 }) }
  }
  const folder = mkdtempSync(join(tmpdir(), 'trestle-'))
  const file = join(folder, 'trestle.toml')
  writeFileSync(file, config)
  const [command, ...rest] = [...wrap, binary, ...args, '--config', file]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  const ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })))
  child.stderr.on('data', (data) => { err = (err + data).slice(-200_000) })
  await new Promise((done, fail) => {
    const late = setTimeout(() => fail(new Error(`no "ready" within 20 s:\n${out}\n${err}`)), 20_000)
    child.stdout.on('data', (data) => {
      out += data
      if (/^ready$/m.test(out)) { clearTimeout(late); done() }
    })
    ended.then(({ code }) => { clearTimeout(late); fail(new Error(`ended with ${code}:\n${out}\n${err}`)) })
  })
  return {
    /** What it printed before `ready`: one line a listener. */
    listeners: out,
    /** The log so far. */
    log: () => err,
    pid: child.pid,
    running: () => child.exitCode === null && child.signalCode === null,
    /** Ends it as an operator would, and says how it ended. */
    async stop() {
      child.kill('SIGTERM')
      const hard = setTimeout(() => child.kill('SIGKILL'), 5_000)
      const how = await ended
      clearTimeout(hard)
      rmSync(folder, { recursive: true, force: true })
      return how
    },
  }
}
