import { describe, expect, it } from 'vitest'
import { Catalog } from '../../src/catalog/catalog.js'
import { Preloader } from '../../src/catalog/preloader.js'
import { DownloadManager } from '../../src/manager/manager.js'
import { createHandler, type HandlerOptions } from '../../src/http/handler.js'
import { englishLeftIn } from '../support/chinese.js'
import { startOrigin } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { waitFor } from '../support/wait.js'

const base = 'http://localhost:8050'
const local = { remoteAddress: '127.0.0.1' }

function open(options: Partial<HandlerOptions> = {}) {
  const manager = new DownloadManager({ directory: tempDir(), worker: false })
  const handler = createHandler({ manager, ...options })
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, body?: string) => {
    const response = await handler(
      new Request(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body }) }),
      local,
    )
    const problem: unknown = await response.json()
    if (typeof problem !== 'object' || problem === null) throw new Error('No object.')
    return problem as Record<string, unknown> // any object has this type
  }
  return { manager, handler, ask, [Symbol.asyncDispose]: () => manager.close() }
}

const json = { 'content-type': 'application/json' }
const chinese = { 'accept-language': 'zh-CN,zh;q=0.9,en;q=0.8' }
const start = '/api/models/download'

describe('an error', () => {
  const cases: [string, string, Record<string, string>, string | undefined, string, string][] = [
    ['GET', '/api/nothing', {}, undefined, '此路径不存在。', 'There is nothing at this path.'],
    ['PUT', start, {}, undefined, '此路径不支持 PUT，只支持 POST, DELETE, OPTIONS。', 'PUT is not allowed here, only POST, DELETE, OPTIONS.'], // prettier-ignore
    ['GET', `${start}/status?url=https%3A%2F%2Fx.example%2Fa`, {}, undefined, '没有该网址的下载任务。', 'No download of this URL is known.'], // prettier-ignore
    ['POST', start, json, '{', '请求体不是有效的 JSON。', 'The body is not valid JSON.'],
    ['POST', start, { 'content-type': 'text/plain' }, 'x', '请求体必须是 JSON（Content-Type: application/json）。', 'The body must be JSON (Content-Type: application/json).'], // prettier-ignore
    ['POST', start, json, JSON.stringify({ url: 'ftp://x/y' }), '网址或模型名称无效。', 'Only http and https URLs can be downloaded, not ftp:'], // prettier-ignore
    ['GET', '/api/v1/models/status', {}, undefined, '此服务器未配置模型清单。', 'This server has no catalog of models: its handler was created without a preloader.'], // prettier-ignore
    ['POST', start, { origin: 'https://evil.example' }, undefined, '不允许该来源的网页执行此操作；如需放行，请由宿主应用将该来源加入 `cors`。', 'Pages of this origin are not allowed to do this; the host application can list the origin in `cors`.'], // prettier-ignore
  ]

  it.each(cases)(
    '%s %s is said in the language of the caller',
    async (method, path, headers, body, inChinese, inEnglish) => {
      await using bench = open()
      const english = await bench.ask(method, path, headers, body)
      const translated = await bench.ask(method, path, { ...headers, ...chinese }, body)
      expect(english).toMatchObject({ error: inEnglish, detail: inEnglish })
      expect(translated).toMatchObject({ error: inChinese, detail: inChinese })
      // Everything for programs is the same.
      for (const name of ['success', 'type', 'title', 'status', 'code'])
        expect(translated[name]).toBe(english[name])
    },
  )

  it('of invalid fields names each of them', async () => {
    await using bench = open()
    const body = JSON.stringify({ url: 1, size: -1, nonsense: true })
    const problem = await bench.ask('POST', start, { ...json, ...chinese }, body)
    const english = await bench.ask('POST', start, json, body)
    const pathsOf = ({ issues }: Record<string, unknown>) =>
      (issues as { path: string; message: string }[]).map(({ path }) => path) // the contract of a problem
    expect(pathsOf(problem)).toEqual(pathsOf(english))
    expect(problem['error']).toMatch(/^参数无效：.*url（.*size（/)
    expect(englishLeftIn(JSON.stringify([problem['error'], problem['issues']]).replaceAll('"', ' '))).toEqual(
      [],
    )
  })

  it('is in the language of the host for callers who ask for none', async () => {
    await using bench = open({ locale: 'zh-CN' })
    for (const headers of [{}, { 'accept-language': '*' }, { 'accept-language': 'fr' }])
      expect(await bench.ask('GET', '/api/nothing', headers)).toMatchObject({ error: '此路径不存在。' })
    expect(await bench.ask('GET', '/api/nothing', { 'accept-language': 'en' })).toMatchObject({
      error: 'There is nothing at this path.',
    })
  })
})

describe('a failed download', () => {
  it('tells its error in the language of each caller, also in events', async () => {
    await using origin = await startOrigin()
    await using bench = open({ allowPrivateNetwork: true })
    const url = origin.url('/missing.gguf')
    const download = await bench.manager.download({ url })
    await download.finished.catch(() => undefined)
    const text = '找不到该文件或资源（HTTP 404）。'
    const status = `${start}/status?url=${encodeURIComponent(url)}`
    expect(await bench.ask('GET', status, chinese)).toMatchObject({
      download: { error: text, code: 'NOT_FOUND' },
    })
    expect(await bench.ask('GET', `${start}/status`, chinese)).toMatchObject({
      downloads: { [url]: { error: text } },
    })
    expect(await bench.ask('GET', status)).toMatchObject({ download: { error: download.error?.message } })
    for (const [headers, expected] of [
      [chinese, text],
      [{ 'accept-language': 'en' }, download.error?.message],
    ] as const) {
      const response = await bench.handler(new Request(`${base}${start}/events`, { headers }), local)
      const reader = response.body?.getReader()
      let heard = ''
      await waitFor(async () => {
        const read = await reader?.read()
        if (read?.done === false) heard += Buffer.from(read.value).toString()
        return heard.includes('event: snapshot') && heard.includes('NOT_FOUND')
      })
      await reader?.cancel()
      expect(heard).toContain(expected)
    }
    // What older frontends compare stays as it is.
    await bench.manager.remove(url)
    await bench.manager.download({ url, priority: 1 })
    expect(
      await bench.ask('POST', `${start}/cancel`, { ...json, ...chinese }, JSON.stringify({ url })),
    ).toMatchObject({
      success: true,
    })
  })
})

describe('a preload in the language of the host', () => {
  it('logs its failures without English sentences, and refuses in that of the caller', async () => {
    await using origin = await startOrigin()
    const manager = new DownloadManager({ directory: tempDir(), worker: false })
    const url = origin.url('/模型.gguf')
    const catalog = new Catalog([{ key: 'a', url }])
    const preloader = new Preloader({ manager, catalog, locale: 'zh-CN' })
    try {
      await preloader.start()
      const { logs, error } = await preloader.finished()
      for (const line of [...logs, error ?? 'none']) expect(englishLeftIn(line)).toEqual([])
      expect(logs.join('\n')).toContain('[a] 失败：找不到该文件或资源（HTTP 404）。')
      expect(error).toBe('共 1 个模型，1 个失败：a: 找不到该文件或资源（HTTP 404）。')
      const message = async (locale: 'en-US' | 'zh-CN') =>
        (await preloader.modelsStatus(locale)).models['a']?.message
      expect(await message('zh-CN')).toBe('失败：找不到该文件或资源（HTTP 404）。')
      expect(await message('en-US')).toMatch(/^Failed: [A-Z].* 404/)
      const handler = createHandler({ manager, preloader })
      const answer = await handler(
        new Request(`${base}/api/v1/models/preload/start?models=x%26y`, {
          method: 'POST',
          headers: { 'accept-language': 'en' },
        }),
        local,
      )
      expect(await answer.json()).toMatchObject({ error: 'models: the catalog has no model "x&y"' })
    } finally {
      await preloader.close()
      await manager.close()
    }
  })
})
