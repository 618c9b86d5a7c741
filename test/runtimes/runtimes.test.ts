/** The package in the runtimes that it supports, from the same build: what a user does first, and what ends badly elsewhere. */
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createClient } from '../../src/client/index.js'
import { killStorm, findFiles } from '../faults/killing.js'
import { caPem } from '../support/certificate.js'
import { ggufContent } from '../support/content.js'
import { describeWith } from '../support/machine.js'
import { startHttpProxy } from '../support/http-proxy.js'
import { startOrigin, type Origin, type Resource } from '../support/origin.js'
import { cliPath } from '../support/process.js'
import { startSocksServer } from '../support/socks-server.js'
import { tempDir } from '../support/temp.js'
import { bun, deno, nodes, project, type InstalledRuntime } from './runtimes.js'

const MB = 1_000_000
/** Large enough for several connections and the worker that hashes. */
const content = ggufContent(6 * MB)
const sha256 = content.sha256()

let home: string
beforeAll(() => {
  home = project()
})

async function startOrigins(): Promise<{ origin: Origin; secure: Origin } & AsyncDisposable> {
  const origin = await startOrigin()
  const secure = await startOrigin({ tls: true })
  for (const name of ['whole', 'wrong', 'mirror', 'a', 'b', 'served', 'express', 'fastify', 'koa', 'fetch'])
    origin.serve(`/${name}.gguf`, { content })
  origin.serve('/slow.gguf', { content, bytesPerSecond: 12 * MB })
  secure.serve('/secure.gguf', { content })
  return {
    origin,
    secure,
    async [Symbol.asyncDispose]() {
      await Promise.all([origin.close(), secure.close()])
    },
  }
}

async function tell<T>(runtime: InstalledRuntime, program: string, plan: object): Promise<T> {
  const run = runtime.start(path.join(home, program), [JSON.stringify(plan)], { cwd: home })
  const { code, stdout, stderr } = await run.finished(60_000)
  // Deno's server says once that it aborts the signals of requests that were answered.
  expect(stderr.replace(/^Deno\.serve: .*\n\n?/, '')).toBe('')
  expect(code, stdout).toBe(0)
  return JSON.parse(stdout) as T
}

describe.each([...nodes, bun, deno])('$name', (runtime) => {
  describeWith(runtime, 'as users have it', () => {
    it.each([true, false])('does what a host asks for, in a worker: %s', async (worker) => {
      await using origins = await startOrigins()
      const { origin, secure } = origins
      const plan = { origin: origin.origin, secure: secure.origin, ca: caPem, sha256, worker }
      const program = runtime.isNode ? 'scene.mjs' : 'scene.ts'
      const told = await tell<Record<string, unknown>>(runtime, program, { ...plan, directory: tempDir() })
      const right = { sha256, size: content.size }
      expect(told).toMatchObject({
        whole: { ...right, verified: true },
        wrong: 'CHECKSUM_MISMATCH',
        mirrors: right,
        secure: right,
        group: [sha256, sha256],
        paused: 'paused',
        resumed: right,
        connections: ['live'],
        page: [200, '<!doctype html>'],
      })
      expect(String(told['log'])).not.toContain("can't be used")
      expect(told['states']).toEqual(expect.arrayContaining(['completed']))
      // The pause lost nothing that had arrived, but for what was on its way.
      expect(origin.bytesSent('/slow.gguf')).toBeLessThan(content.size + 2 * MB)
    })

    it('goes on after kill -9, and takes the place of a wrong file only with the right one', async () => {
      await using origin = await startOrigin()
      origin.serve('/model.gguf', { content, bytesPerSecond: 6 * MB })
      const directory = tempDir()
      const moments = [0.3, 0.6]
      const outcome = await killStorm({
        name: runtime.name,
        start: () =>
          runtime.start(
            cliPath,
            ['get', origin.url('/model.gguf'), '-d', directory, '--sha256', sha256, '--quiet'],
            {
              cwd: home,
            },
          ),
        sent: () => origin.bytesSent('/model.gguf'),
        size: content.size,
        kills: moments.length,
        found: () => findFiles(directory, { 'model.gguf': content }),
        random: () => 0.5,
      })
      expect(outcome, outcome.detail).toMatchObject({ kills: 2, right: true, tidy: true, stuck: false })
      expect(outcome.againBytes).toBeLessThan(4 * MB)
    })

    it('serves', async () => {
      await using origin = await startOrigin()
      origin.serve('/model.gguf', { content })
      const directory = tempDir()
      await using server = runtime.start(
        cliPath,
        ['serve', '--port', '0', '--allow-private-network', '-d', directory],
        { cwd: home },
      )
      await server.waitForOutput(/^listening on \S+\n/m)
      const client = createClient({ baseUrl: /^listening on (\S+)$/m.exec(server.stdout)?.[1] ?? '' })
      const url = origin.url('/model.gguf')
      await client.download({ url, sha256 })
      let last: unknown
      for await (const download of client.follow(url)) last = download
      expect(last).toMatchObject({ state: 'completed', sha256 })
      expect(await server.kill('SIGTERM')).toMatchObject({ code: 0 })
    })
  })
})

/** What a server does wrong once, or all the time, where the file is right in the end. */
const mended: Record<string, Omit<Resource, 'content'>> = {
  truncated: { faults: [{ type: 'truncate', afterBytes: MB, times: 1 }] },
  reset: { faults: [{ type: 'reset', afterBytes: MB, times: 1 }] },
  // Only the end of the connection ends the body, and a reset must not count as one.
  resetInsteadOfEnd: {
    ranges: false,
    faults: [{ type: 'closeDelimited', afterBytes: MB, reset: true, times: 1 }, { type: 'closeDelimited' }],
  },
  chunkedCut: { ranges: false, faults: [{ type: 'chunkedCut', afterBytes: MB, times: 1 }] },
  compressed: { faults: [{ type: 'contentEncoding' }] },
  hangUp: { faults: [{ type: 'hangUp', reset: true, times: 1 }] },
  wrongOffset: {
    faults: [{ type: 'wrongOffset', shift: 1_000, times: 1, when: ({ range }) => (range?.start ?? 0) > 0 }],
  },
  ignoresRanges: { faults: [{ type: 'ignoreRange' }] },
}

describe.each([bun, deno])('$name', (runtime) => {
  describeWith(runtime, 'with every adapter', () => {
    it('answers, streams and refuses', async () => {
      await using origins = await startOrigins()
      const told = await tell(runtime, 'adapters.ts', { origin: origins.origin.origin, directory: tempDir() })
      const each = {
        state: 'completed',
        sha256,
        connections: ['live'],
        refused: 'UNKNOWN_DOWNLOAD',
      }
      expect(told).toEqual({ express: each, fastify: each, koa: each, fetch: each })
    })

    it('mends what servers do wrong, and goes through proxies', async () => {
      await using origin = await startOrigin()
      await using expired = await startOrigin({ tls: 'expired' })
      await using http = await startHttpProxy()
      await using socks = await startSocksServer()
      for (const [name, resource] of Object.entries(mended))
        origin.serve(`/${name}`, { ...resource, content })
      origin.serve('/plain', { content })
      const plain = origin.url('/plain')
      const files = {
        ...Object.fromEntries(Object.keys(mended).map((name) => [name, { url: origin.url(`/${name}`) }])),
        redirected: { url: origin.url('/redirected') },
        http: { url: plain, proxy: http.url },
        socks: { url: plain, proxy: `socks5://127.0.0.1:${socks.port}` },
        missing: { url: origin.url('/missing') },
        expired: { url: expired.url('/plain') },
      }
      origin.serve('/redirected', { redirect: plain })
      const told = await tell(runtime, 'faults.ts', { files, directory: tempDir() })
      const right = ['redirected', 'http', 'socks', ...Object.keys(mended)]
      expect(told).toEqual({
        ...Object.fromEntries(right.map((name) => [name, sha256])),
        missing: 'NOT_FOUND',
        expired: 'TLS_ERROR',
      })
      expect(http.requests.length).toBeGreaterThan(0)
      expect(socks.requests.length).toBeGreaterThan(0)
    })
  })
})
