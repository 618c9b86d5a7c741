/** docs/rest.md says what a server does: each line of it is tried, and its tables are compared with the code. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { DownloadError, downloadErrorCodes } from '../../src/errors.js'
import { statusOf } from '../../src/http/problem.js'
import { routes } from '../../src/http/routes.js'
import { startServe, writeCatalog } from '../cli/serving.js'
import { ggufContent } from '../support/content.js'
import { curl, describeWith } from '../support/machine.js'
import { blocksOf, read, rowsOf } from '../support/documents.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const text = read('docs/rest.md')
const blocks = blocksOf(text)
const run = promisify(execFile)

/** Fields that are never twice the same; only their types are compared. */
const varying = new Set([
  ...['downloaded', 'total', 'progress', 'bytes_per_second', 'eta_seconds', 'connections'],
  ...['created_at', 'started_at', 'timestamp', 'logs', 'first_use_tip'],
])
/** Objects in which the document leaves fields out, and says so. */
const shortened = new Set(['downloads'])

/** Compares an answer with what the document says of it; throws where they differ. */
function compare(said: unknown, given: unknown, at: string[] = []): void {
  const where = at.join('.')
  if (Array.isArray(said) && Array.isArray(given) && !varying.has(at.at(-1) ?? '')) {
    expect(given.length, where).toBe(said.length)
    for (const [index, each] of said.entries()) compare(each, given[index], [...at, String(index)])
  } else if (isObject(said) && isObject(given)) {
    const names = Object.keys(said)
    if (shortened.has(at.at(-2) ?? ''))
      expect(Object.keys(given), where).toEqual(expect.arrayContaining(names))
    else expect(Object.keys(given), where).toEqual(names)
    for (const name of names) compare(said[name], given[name], [...at, name])
  } else if (varying.has(at.at(-1) ?? '')) {
    expect(typeof given, where).toBe(typeof said)
  } else {
    expect(given, where).toEqual(said)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

describeWith(curl, 'docs/rest.md on a real server', () => {
  it('answers each line as the document says', async () => {
    await using origin = await startOrigin()
    for (const name of ['model', 'chat']) {
      origin.serve(`/${name}.gguf`, { content: ggufContent(64 * 1024 * 1024, name), bytesPerSecond: 100_000 })
    }
    const catalog = writeCatalog([
      {
        key: 'chat',
        name: 'Chat model',
        url: origin.url('/chat.gguf'),
        description: 'Answers questions.',
      },
    ])
    const host = `127.0.0.1:${origin.port}`
    await using serving = await startServe(['--catalog', catalog, '--allow-host', host])
    const cwd = tempDir('curl')
    // A stream of events has no end of its own. On a busy machine a second is short.
    const ask = async (command: string, listenSeconds: number): Promise<string> => {
      const real = command
        .replaceAll('https://example.com', origin.origin)
        .replaceAll('http://127.0.0.1:8050', serving.url)
      const script = real
        .replace(/^curl -N /, `curl -N --max-time ${listenSeconds} `)
        .replace(/^curl /, 'curl -sS ')
      const { stdout } = await run('sh', ['-c', script], { cwd }).catch((error: unknown) => {
        // 28: the time is up.
        if (error instanceof Error && 'code' in error && error.code === 28 && 'stdout' in error) return error
        throw error
      })
      return String(stdout)
        .replaceAll(origin.origin, 'https://example.com')
        .replaceAll(serving.directory, '/srv/app/models')
    }
    const commands = blocks.flatMap(({ language, code }, index) =>
      language === 'sh' ? [{ command: code, answer: blocks[index + 1] }] : [],
    )
    expect(commands.length).toBeGreaterThan(15)
    for (const { command, answer } of commands) {
      expect(command).toMatch(/^curl /)
      let last: unknown
      let tries = 0
      // The request is repeated until the download has the documented state.
      const isQuestion = !/ -d |-X /.test(command)
      const fits = async () => {
        tries += 1
        const output = await ask(command, tries)
        try {
          if (answer?.language === 'json') compare(JSON.parse(answer.code), JSON.parse(output))
          else if (answer?.language === 'text') compareEvents(answer.code, output)
          else if (output !== '') expect(JSON.parse(output), output).toMatchObject({ success: true })
          return true
        } catch (error) {
          last = error
          if (!isQuestion) throw error
          return false
        }
      }
      await waitFor(fits, { timeoutMs: 30_000 }).catch((error: unknown) => {
        throw new Error(command, { cause: last ?? error })
      })
    }
    const document = JSON.parse(readFileSync(path.join(cwd, 'openapi.json'), 'utf8')) as { paths: object } // checked next
    expect(Object.keys(document.paths)).toEqual([...new Set(routes.map((route) => route.path))])
  }, 120_000)
})

/** The events that the document shows come in that order. */
function compareEvents(said: string, given: string): void {
  expect(given).toMatch(/^retry: 2000\n\n/)
  let from = 0
  for (const [line] of said.matchAll(/^event: .*$/gm)) {
    const at = given.indexOf(`${line}\ndata: {`, from)
    expect(at, line).toBeGreaterThan(0)
    from = at
  }
  for (const [, data = ''] of said.matchAll(/^data: (.*)$/gm)) JSON.parse(data)
}

describe('docs/rest.md', () => {
  it('names every route with its permission', () => {
    const named = rowsOf(text)
      .filter(([first = '']) => /^`(?:GET|POST|DELETE) /.test(first))
      .map(([route = '', , permission = '']) => `${route.replace(/\[?\?.*/, '`')} ${permission}`)
    expect(new Set(named)).toEqual(
      new Set(
        routes.map(
          ({ method, path: at, action }) =>
            `\`${method} ${at}\` ${action === null ? 'none' : `\`${action}\``}`,
        ),
      ),
    )
  })

  it('names codes and statuses as they are', () => {
    const known: readonly string[] = downloadErrorCodes
    const named = rowsOf(text).filter(([status = '']) => /^[45]\d\d$/.test(status))
    expect(named.length).toBeGreaterThan(8)
    for (const [status, , codes = ''] of named) {
      for (const [, code = ''] of codes.matchAll(/`([A-Z_]+)`/g)) {
        expect(known).toContain(code)
        // These carry a status of their own.
        if (['ACCESS_DENIED', 'INVALID_OPTIONS'].includes(code)) continue
        const error = new DownloadError(code as (typeof downloadErrorCodes)[number], 'a test') // it is in the list
        expect([code, String(statusOf(error))]).toEqual([code, status])
      }
    }
  })
})
