import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { isDownloadError } from '../../src/errors.js'
import { recordOf } from '../store/conformance.js'
import { startOrigin } from '../support/origin.js'
import { rawExchange } from '../support/raw-client.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'
import { run } from './run.js'
import { MiB, serveModel, startServe, startServeProcess, writeCatalog, type Serving } from './serving.js'

const token = 'correct-horse/battery+staple=='

describe('serve', () => {
  it('says where it listens, downloads what it is asked for, and logs that', async () => {
    await using origin = await startOrigin()
    const model = serveModel(origin, 'model', 2 * MiB)
    await using serving = await startServeProcess(['--allow-private-network'])
    const url = `${model.entry.url}?token=hunter2`
    await serving.client.download({ url })
    const { filename, total } = await serving.until(url, 'completed')
    expect({ filename, total }).toEqual({ filename: 'model.gguf', total: 2 * MiB })
    const file = await readFile(path.join(serving.directory, 'llm', 'model.gguf'))
    expect(file.equals(model.content.slice(0, model.content.size))).toBe(true)

    const missing = `${origin.url('/missing.gguf')}?token=hunter2`
    await serving.client.download({ url: missing })
    await serving.process.waitForOutput(/NOT_FOUND/)
    const { stdout, stderr } = await serving.process.kill('SIGTERM')
    expect(stdout).toBe(`listening on ${serving.url}\ndashboard at ${serving.url}/api/models/ui\n`)
    const time = String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
    for (const line of [
      String.raw`\[llm/model\.gguf\] started: http://127\.0\.0\.1:\d+/model\.gguf\?…$`,
      String.raw`\[llm/model\.gguf\] completed: ${serving.directory}/llm/model\.gguf: 2\.1 MB in .*$`,
      String.raw`\[llm/missing\.gguf\] error: .* \(NOT_FOUND\)$`,
      String.raw`\[server\] stopping$`,
    ])
      expect(stderr).toMatch(new RegExp(`${time} ${line}`, 'm'))
    expect(stderr).not.toContain('hunter2')
  })

  it('makes room within its disk budget, and says so in the log, as JSON', async () => {
    await using origin = await startOrigin()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => serveModel(origin, name, MiB))
    const args = [
      '--max-disk',
      '2.5M',
      '--when-full',
      'evict',
      '--log-format',
      'json',
      '--log-level',
      'debug',
    ]
    await using serving = await startServe(['--allow-private-network', ...args])
    for (const model of [a, b, c]) {
      const url = model?.entry.url ?? ''
      await serving.client.download({ url })
      await serving.until(url, 'completed')
    }
    expect(await serving.client.disk()).toMatchObject({ used: 2 * MiB, maxDiskBytes: 2.5 * MiB })
    const { stderr } = await serving.process.kill('SIGTERM')
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.filter(({ event }) => event === 'evicted')).toMatchObject([
      { level: 'info', filename: 'a.gguf', mode: 'llm', bytes: MiB },
    ])
    expect(lines.at(-1)).toMatchObject({ level: 'info', event: 'server', msg: 'stopping' })
  })

  it('writes errors only with --quiet', async () => {
    await using origin = await startOrigin()
    const model = serveModel(origin, 'model', 10_000)
    await using serving = await startServe(['--allow-private-network', '--quiet'])
    await serving.client.download({ url: model.entry.url })
    await serving.until(model.entry.url, 'completed')
    await serving.client.download({ url: origin.url('/missing.gguf') })
    await serving.process.waitForOutput(/NOT_FOUND/)
    const { stderr } = await serving.process.kill('SIGTERM')
    expect(stderr).toMatch(/^\S+ \[llm\/missing\.gguf\] error: .* \(NOT_FOUND\)\n$/)
  })

  it('preloads its catalog, also models of other modes', async () => {
    await using origin = await startOrigin()
    const llm = serveModel(origin, 'llm', MiB)
    const eyes = serveModel(origin, 'eyes', MiB)
    const catalog = writeCatalog([llm.entry, { ...eyes.entry, mode: 'vision' }])
    await using serving = await startServe(['--catalog', catalog])
    const before = await serving.client.modelsStatus()
    expect(before).toMatchObject({ any_ready: false, any_missing: true })
    expect(before.first_use_tip).toContain(`npx model-downloader preload ${catalog} -d ${serving.directory}`)
    await serving.client.preload.start()
    expect(await serving.preloaded()).toMatchObject({ success_flag: true, completed: 2 })
    expect(await readdir(path.join(serving.directory, 'vision'))).toEqual(['eyes.gguf'])
    expect(await serving.client.modelsStatus()).toMatchObject({
      models: { llm: { ready: true }, eyes: { ready: true } },
      any_missing: false,
    })
    expect(serving.process.stderr).toMatch(/\[preload\] started: 2 models to/)
    expect(serving.process.stderr).toMatch(/\[preload\] finished: 2 of 2 completed/)
  })

  it('loads thousands of known downloads', async () => {
    const directory = tempDir('many')
    const folder = path.join(directory, '.model-downloader')
    await mkdir(folder)
    for (let n = 0; n < 2_000; n++) {
      const record = recordOf(n, { state: 'completed', named: true })
      await writeFile(path.join(folder, `${record.id}.json`), JSON.stringify(record))
    }
    await using serving = await startServe([], { directory })
    const { downloads } = await serving.client.list()
    expect(Object.keys(downloads)).toHaveLength(2_000)
  })
})

describe('the home page of serve', () => {
  const home = async (url: string) => {
    const { status, headers } = await fetch(`${url}/`, { redirect: 'manual' })
    return [status, headers.get('location')]
  }

  it('is the dashboard, for each name of this machine', async () => {
    await using serving = await startServe()
    for (const host of ['127.0.0.1', 'localhost'])
      expect(await home(`http://${host}:${serving.port}`)).toEqual([302, 'api/models/ui'])
    const page = await fetch(serving.url)
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    expect(page.url).toBe(`${serving.url}/api/models/ui`)
  })

  it('is nothing with --no-ui', async () => {
    await using serving = await startServe(['--no-ui'])
    expect(await home(serving.url)).toEqual([404, null])
    expect(serving.process.stdout).not.toContain('dashboard')
  })
})

describe('serve --token', () => {
  const ask = async (url: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/api/models/download/status`, { headers })
    await response.body?.cancel()
    return response
  }

  it.each(['--token', 'MODEL_DOWNLOADER_TOKEN'])('given as %s lets in who sends it', async (how) => {
    await using serving =
      how === '--token' ? await startServe([how, token]) : await startServe([], { env: { [how]: token } })
    const missing = await ask(serving.url)
    expect(missing.status).toBe(401)
    expect(missing.headers.get('www-authenticate')).toBe('Bearer')
    for (const wrong of [
      `Bearer ${token}x`,
      `Bearer ${token.slice(1)}`,
      'Bearer ',
      'Bearer',
      token,
      `Basic ${token}`,
      `Bearer ${token} ${token}`,
    ])
      expect([wrong, (await ask(serving.url, { authorization: wrong })).status]).toEqual([wrong, 401])
    for (const right of [`Bearer ${token}`, `bearer  ${token}`])
      expect([right, (await ask(serving.url, { authorization: right })).status]).toEqual([right, 200])

    const start = await fetch(`${serving.url}/api/models/download`, { method: 'POST', body: '{}' })
    expect(start.status).toBe(401)
    const { stdout, stderr } = await serving.process.kill('SIGTERM')
    expect(stdout + stderr).not.toContain(token)
  })

  it('goes before the one in the environment; an empty one there is none', async () => {
    {
      await using both = await startServe(['--token', token], { env: { MODEL_DOWNLOADER_TOKEN: 'other' } })
      expect((await ask(both.url, { authorization: 'Bearer other' })).status).toBe(401)
      expect((await ask(both.url, { authorization: `Bearer ${token}` })).status).toBe(200)
    }
    await using none = await startServe([], { env: { MODEL_DOWNLOADER_TOKEN: '' } })
    expect((await ask(none.url)).status).toBe(200)
  })

  it('is asked of pages, too, but not of their preflights', async () => {
    const page = 'https://app.example.com'
    await using serving = await startServe(['--token', token, '--cors', page])
    const preflight = await fetch(`${serving.url}/api/models/download`, {
      method: 'OPTIONS',
      headers: {
        origin: page,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(page)
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization')
    const refused = await ask(serving.url, { origin: page })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('access-control-allow-origin')).toBe(page)
  })
})

describe('serve --cors', () => {
  const allowedFor = async (url: string, origin: string) => {
    const response = await fetch(`${url}/api/models/download/status`, { headers: { origin } })
    await response.body?.cancel()
    return response.headers.get('access-control-allow-origin')
  }

  it('lets pages of the named origins read, and no others', async () => {
    const pages = ['https://app.example.com', 'http://localhost:5173']
    await using serving = await startServe(pages.flatMap((page) => ['--cors', page]))
    for (const page of pages) expect(await allowedFor(serving.url, page)).toBe(page)
    expect(serving.process.stderr).toBe('')
    const refused = async () => await allowedFor(serving.url, 'https://evil.example.com')
    expect([await refused(), await refused()]).toEqual([null, null])
    const { stderr } = await serving.process.kill('SIGTERM')
    expect(stderr.match(/evil/g)).toHaveLength(2)
    expect(stderr).toMatch(
      /\[server\] warning: web pages of https:\/\/evil\.example\.com .* --cors https:\/\/evil\.example\.com$/m,
    )
  })

  it("lets all pages read with '*', and warns when there is no token", async () => {
    await using serving = await startServe(['--cors', '*'])
    expect(await allowedFor(serving.url, 'https://evil.example.com')).toBe('*')
    await serving.process.waitForOutput(/warning: every web page .* set a token/)
  })

  it('is off by default', async () => {
    await using serving = await startServe()
    expect(await allowedFor(serving.url, serving.url)).toBeNull()
    const foreign = await rawExchange(
      { port: serving.port },
      'GET /api/models/download/status HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n',
    )
    expect(foreign.status).toBe(403)
  })
})

describe('where URLs of callers may lead', () => {
  /** The error code that a download of the URL ends with, immediately or later. */
  const codeOf = async ({ client }: Serving, url: string) => {
    try {
      await client.download({ url })
      return await waitFor(async () => (await client.status(url)).code, { what: `a code for ${url}` })
    } catch (error) {
      if (!isDownloadError(error)) throw error
      return error.code
    }
  }

  it('is nowhere on this machine by default', async () => {
    await using origin = await startOrigin()
    const { entry } = serveModel(origin, 'model', 10_000)
    await using serving = await startServe()
    expect(await codeOf(serving, entry.url)).toBe('SSRF_BLOCKED')
    expect((await serving.client.status(entry.url)).error).toMatch(/start the server with --allow-host HOST/)
    await serving.process.waitForOutput(
      /\] error: .*--allow-host HOST\[:PORT\] to allow that\. \(SSRF_BLOCKED\)$/m,
    )
    expect(origin.totalConnections).toBe(0)
  })

  it('is an allowed host, and no other port or redirect of it', async () => {
    await using origin = await startOrigin()
    await using other = await startOrigin()
    const { entry } = serveModel(origin, 'model', 10_000)
    origin.serve('/away.gguf', { redirect: other.url('/elsewhere.gguf') })
    await using serving = await startServe(['--allow-host', new URL(entry.url).host])
    await serving.client.download({ url: entry.url })
    await serving.until(entry.url, 'completed')
    for (const url of [other.url('/other.gguf'), origin.url('/away.gguf'), 'http://10.0.0.1/private.gguf'])
      expect([url, await codeOf(serving, url)]).toEqual([url, 'SSRF_BLOCKED'])
    expect(other.totalConnections).toBe(0)
  })

  it('may be bounded in size and in speed', async () => {
    await using origin = await startOrigin()
    const { entry } = serveModel(origin, 'model', 10_000)
    const bounds = ['--remote-max-size', '9k', '--remote-min-rate', '1k']
    await using serving = await startServe(['--allow-private-network', ...bounds])
    expect(await codeOf(serving, entry.url)).toBe('NO_SPACE')
  })

  it('is anywhere with --allow-private-network', async () => {
    await using origin = await startOrigin()
    const { entry } = serveModel(origin, 'model', 10_000)
    await using serving = await startServe(['--allow-private-network'])
    await serving.client.download({ url: entry.url })
    await serving.until(entry.url, 'completed')
  })
})

describe('serve, when it cannot', () => {
  it('ends with 1 when the port is in use, and touches nothing', async () => {
    await using first = await startServe()
    const directory = tempDir('second')
    const ended = await run(['serve', '--port', String(first.port), '-d', path.join(directory, 'models')])
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(
      /^error: 127\.0\.0\.1:\d+ is already in use, .* --port; 0 picks a free one\.\n$/,
    )
    expect(await readdir(directory)).toEqual([])
  })

  it('ends with 1 when the store cannot be read', async () => {
    const directory = tempDir('broken')
    await writeFile(path.join(directory, '.model-downloader'), 'not a folder')
    const ended = await run(['serve', '--port', '0', '-d', directory])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/^error: .*$/m)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
  })

  it.each<[string, string[], RegExp]>([
    ['another host without a token', ['--host', '0.0.0.0'], /needs a token: use --token or set MODEL_/],
    ['a host that is none', ['--host', 'a b', '--token', token], /--host: "a b" is not an address/],
    ['a bad port', ['--port', '65536'], /from 0 to 65535/],
    ['an empty token', ['--token', ''], /--token: a token must not be empty/],
    [
      'a page that is no origin',
      ['--cors', 'https://app.example.com/path'],
      /--cors: .*neither \* nor an origin/,
    ],
    [
      'an allowed host that is a URL',
      ['--allow-host', 'http://host/'],
      /--allow-host: .*not of the form host or/,
    ],
    ['a catalog that is not there', ['--catalog', 'nope.json'], /nope\.json: there is no such file/],
    ['an argument', ['models'], /too many arguments/],
  ])('ends with 2 for %s', async (_name, args, message) => {
    const cwd = tempDir('usage')
    const ended = await run(['serve', '--port', '0', ...args], { cwd })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr.replace(/\s+/g, ' ')).toMatch(message)
    expect(ended.stderr).not.toMatch(/\n\s+at /)
    expect(await readdir(cwd)).toEqual([])
  })

  it('ends with 2 and every problem for a bad catalog, without its secrets', async () => {
    const cwd = tempDir('usage')
    const url = 'https://host/a.gguf?token=hunter2'
    writeCatalog(
      [
        { key: 'a', url },
        { key: 'a', url: 'ftp://host/b' },
        { key: 'c', url, sha256: 'x' },
      ],
      cwd,
    )
    const ended = await run(['serve', '--port', '0', '--catalog', 'models.json'], { cwd })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/models\.2\.sha256/)
    expect(ended.stderr).not.toContain('hunter2')
    writeCatalog([{ key: 'a', url: 'https://host/a.gguf', mode: '../up' }], cwd)
    const mode = await run(['serve', '--port', '0', '--catalog', 'models.json'], { cwd })
    expect(mode).toMatchObject({ code: 2, stdout: '' })
    expect(mode.stderr).toMatch(/models\.0\.mode/)
    await writeFile(path.join(cwd, 'models.json'), '{ "models": [ }')
    const json = await run(['serve', '--port', '0', '--catalog', 'models.json'], { cwd })
    expect(json).toMatchObject({ code: 2, stdout: '' })
    expect(json.stderr).toMatch(/not valid JSON/)
    expect(await readdir(cwd)).toEqual(['models.json'])
  })
})
