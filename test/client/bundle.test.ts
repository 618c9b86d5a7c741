/** The built bundle, outside of Node. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { expect, it } from 'vitest'
import type * as Api from '../../src/client/index.js'
import { withTimeout } from '../support/wait.js'
import { at, completed, event, modelUrl, paths, startServer, statusOf, stream } from './server.js'

const file = path.resolve(import.meta.dirname, '../../dist/client.js')

/** All that the client may use besides the language: what browsers, Node, Deno and Bun have in common. */
const web = {
  ...{ AbortController, Headers, TextDecoder, URL, URLSearchParams },
  ...{ clearTimeout, fetch, performance, setTimeout },
}

/** The module as a script, so that it runs where there is no loader; fails for anything that it imports. */
async function load(): Promise<typeof Api> {
  const code = await readFile(file, 'utf8')
  const exported = /export \{([^}]*)\}/.exec(code)
  if (exported === null) throw new Error('dist/client.js exports nothing.')
  const script = code.replace(exported[0], `globalThis.exported = {${exported[1] ?? ''}}`)
  const context = createContext({ ...web })
  runInContext(script, context)
  // The script has put the module's exports there.
  return context['exported'] as typeof Api
}

it('the built client imports nothing, and holds no zod', async () => {
  const code = await readFile(file, 'utf8')
  expect(code).not.toMatch(/^\s*import\b|\bimport\s*\(|\brequire\s*\(|\bfrom\s*["']/m)
  expect(code).not.toMatch(/node:|zod/i)
  expect(code).not.toMatch(/\b(?:process|Buffer|__dirname)\b/)
})

it('it runs with nothing but what the web has', async () => {
  const { createClient, isDownloadError, DownloadError } = await load()
  const server = await startServer({
    [paths.status]: statusOf(completed),
    [paths.events]: stream([event('snapshot', at(10)), event('state', completed)]),
  })
  const client = createClient({ baseUrl: server.url })
  expect(await client.status(modelUrl)).toEqual(completed)
  const values: number[] = []
  const following = async () => {
    for await (const { progress } of client.follow(modelUrl)) values.push(progress)
  }
  await withTimeout(following(), 5_000)
  expect(values).toEqual([10, 100])
  const error: unknown = await client
    .list({}, { signal: AbortSignal.abort() })
    .catch((error: unknown) => error)
  expect(isDownloadError(error, 'CANCELED')).toBe(true)
  expect(error).toBeInstanceOf(DownloadError)
  // A path means nothing without a page.
  await expect(createClient({ baseUrl: '/' }).list()).rejects.toMatchObject({ code: 'INVALID_URL' })
})
