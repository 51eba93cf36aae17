// Two hosts and a router between them, in network namespaces of our own; the router loses packets.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })

/** Whether this process may make network namespaces. */
export const mayMakeNetworks = process.getuid?.() === 0

/**
 * Makes the namespaces. `serverAddress` is where the server listens; `inServer` and `inClient` are
 * commands that run the command after them there.
 */
export function makeNetwork() {
  const tag = `${process.pid}${Math.floor(Math.random() * 1000)}`
  const [client, router, server] = [`tc${tag}`, `tr${tag}`, `ts${tag}`]
  for (const name of [client, router, server]) {
    run('ip', 'netns', 'add', name)
    // An address that appears by itself a second later is a change of network to Chromium, which then
    // breaks off what it is loading.
    run('ip', 'netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
  }
  run('ip', 'link', 'add', 'c0', 'netns', client, 'type', 'veth', 'peer', 'name', 'rc', 'netns', router)
  run('ip', 'link', 'add', 's0', 'netns', server, 'type', 'veth', 'peer', 'name', 'rs', 'netns', router)
  for (const [name, link, address] of [
    [client, 'c0', '10.77.1.1/24'], [router, 'rc', '10.77.1.254/24'],
    [server, 's0', '10.77.2.1/24'], [router, 'rs', '10.77.2.254/24'],
  ]) {
    run('ip', '-n', name, 'addr', 'add', address, 'dev', link)
    run('ip', '-n', name, 'link', 'set', link, 'up')
    run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  }
  run('ip', '-n', client, 'route', 'add', 'default', 'via', '10.77.1.254')
  run('ip', '-n', server, 'route', 'add', 'default', 'via', '10.77.2.254')
  run('ip', 'netns', 'exec', router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
  const folder = mkdtempSync(join(tmpdir(), 'trestle-net-'))
  return {
    serverAddress: '10.77.2.1',
    inServer: ['ip', 'netns', 'exec', server],
    inClient: ['ip', 'netns', 'exec', client],
    /** A program that runs `executable` on the client's host, for tools that take one path. */
    clientProgram(executable) {
      const path = join(folder, executable.replaceAll('/', '_'))
      writeFileSync(path, `#!/bin/sh\nexec ip netns exec ${client} ${executable} "$@"\n`)
      chmodSync(path, 0o755)
      return path
    },
    /** Loses this many of a hundred datagrams at random, each way; 0 loses none. */
    lose(percent) {
      const rules = join(folder, 'rules.nft')
      writeFileSync(rules, [
        'table inet loss {', '  chain forward {', '    type filter hook forward priority 0; policy accept;',
        ...(percent ? [`    meta l4proto udp numgen random mod 1000 < ${percent * 10} counter drop`] : []),
        '  }', '}', ''].join('\n'))
      try { run('ip', 'netns', 'exec', router, 'nft', 'delete', 'table', 'inet', 'loss') } catch { /* none yet */ }
      run('ip', 'netns', 'exec', router, 'nft', '-f', rules)
    },
    /** How many datagrams the router has dropped. */
    dropped() {
      const rules = run('ip', 'netns', 'exec', router, 'nft', 'list', 'table', 'inet', 'loss').toString()
      return Number(/counter packets (\d+)/.exec(rules)?.[1] ?? 0)
    },
    remove() {
      for (const name of [client, router, server]) run('ip', 'netns', 'del', name)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
