/**
 * Takes the screenshots of the dashboard in `docs/images` with Chromium, from a real server with real downloads from a
 * local origin.
 *
 * `node scripts/screenshots.mjs` writes those of the documents; `node scripts/screenshots.mjs DIR` writes every combination of
 * width, color scheme and language to a folder for review.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { chromium } from 'playwright-core'

const root = path.resolve(import.meta.dirname, '..')
const MB = 1_000_000

/** The files of the origin: size, and the fraction after which they are sent slowly, to be shown half-way. */
const files = {
  '/Qwen3-4B-Instruct-Q4_K_M.gguf': { size: 240 * MB, fast: 0.62 },
  '/bge-m3-F16.gguf': { size: 116 * MB, fast: 0.31 },
  '/gemma-3-1b-it-Q8_0.gguf': { size: 106 * MB, fast: 0.07 },
  '/Llama-3.2-3B-Instruct-Q5_K_M.gguf': { size: 232 * MB, fast: 0.02 },
  '/nomic-embed-text-v1.5.Q8_0.gguf': { size: 14.6 * MB, fast: 1 },
  '/SmolLM2-135M-Instruct-Q4_K_M.gguf': { size: 10.5 * MB, fast: 1 },
  '/bge-reranker-v2-m3-Q4_K_M.gguf': { size: 43.8 * MB, fast: 0.2 },
}

/** Starts a server of models that consist of a header and zeros, which it sends at the speed given in `files`. */
async function startOrigin() {
  const sent = new Map()
  const header = Buffer.alloc(24)
  header.write('GGUF')
  header.writeUInt32LE(3, 4)
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1')
    const file = files[pathname]
    if (file === undefined) {
      response.writeHead(404).end()
      return
    }
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const start = Number(from)
    const end = to === '' ? file.size : Number(to) + 1
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      'Accept-Ranges': 'bytes',
      'Content-Length': end - start,
      'Content-Range': `bytes ${start}-${end - 1}/${file.size}`,
      ETag: '"1"',
    })
    void send(response, pathname, start, end)
  })
  async function send(response, name, start, end) {
    const { size, fast } = files[name]
    response.setMaxListeners(0)
    for (let at = start; at < end && !response.destroyed;) {
      const isSlow = (sent.get(name) ?? 0) >= size * fast && fast < 1
      const part = Buffer.alloc(Math.min(isSlow ? 40_000 : 1_000_000, end - at))
      if (at === 0) header.copy(part)
      at += part.length
      sent.set(name, (sent.get(name) ?? 0) + part.length)
      if (!response.write(part)) await Promise.race([once(response, 'drain'), once(response, 'close')])
      if (isSlow) await delay(120)
    }
    response.end()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => (server.closeAllConnections(), server.close()),
  }
}

/** Starts `serve` on a folder of its own, with a catalog. */
async function startServer(folder, origin) {
  const catalog = path.join(folder, 'models.json')
  const model = (key, name, file, mode, description) => ({
    ...{ key, name, mode, description, url: `${origin}/${file}` },
    required: key !== 'rerank',
  })
  const models = [
    model(
      'small',
      'SmolLM2 135M',
      'SmolLM2-135M-Instruct-Q4_K_M.gguf',
      'llm',
      'Answers until the large one is ready.',
    ),
    model('embed', 'BGE M3', 'bge-m3-F16.gguf', 'embed', 'Finds passages that match a question.'),
    model(
      'rerank',
      'BGE Reranker v2 M3',
      'bge-reranker-v2-m3-Q4_K_M.gguf',
      'rerank',
      'Puts the best answers first.',
    ),
  ]
  writeFileSync(catalog, JSON.stringify({ models }))
  const flags = [
    'serve',
    '--port',
    '0',
    '--max-disk',
    '2GB',
    '-d',
    path.join(folder, 'models'),
    '--catalog',
    catalog,
  ]
  const child = spawn(
    process.execPath,
    [path.join(root, 'dist/cli.js'), ...flags, '--quiet', '--allow-host', new URL(origin).host],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NO_PROXY: '127.0.0.1', no_proxy: '127.0.0.1' },
    },
  )
  const [line] = await once(child.stdout, 'data')
  return { child, url: /http:\S+/.exec(String(line))[0] }
}

async function ask(url, method = 'GET', body) {
  const response = await fetch(url, {
    method,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${method} ${url}: ${answer.detail}`)
  return answer
}

/** Waits until a condition holds. */
async function until(what, check) {
  for (let i = 0; i < 600; i++) {
    if (await check()) return
    await delay(100)
  }
  throw new Error(`${what} takes too long.`)
}

/** Brings the server into a state in which downloads of every kind are shown. */
async function setScene(url, origin) {
  const api = `${url}/api/models/download`
  const addressOf = (name) => `${origin}/${name}`
  const one = async (name) => (await ask(`${api}/status`)).downloads[addressOf(name)] ?? { progress: 0 }
  const start = (name, mode = 'llm', more = {}) => ask(api, 'POST', { url: addressOf(name), mode, ...more })
  await start('nomic-embed-text-v1.5.Q8_0.gguf', 'embed')
  await until('A download', async () => (await one('nomic-embed-text-v1.5.Q8_0.gguf')).state === 'completed')
  await start('gemma-3-1b-it-Q8_0.gguf')
  await until('A download', async () => (await one('gemma-3-1b-it-Q8_0.gguf')).progress > 6)
  await ask(`${api}/pause`, 'POST', { url: addressOf('gemma-3-1b-it-Q8_0.gguf') })
  await start('Phi-4-mini-instruct-Q4_K_M.gguf')
  await until('A failure', async () => (await one('Phi-4-mini-instruct-Q4_K_M.gguf')).state === 'failed')
  await start('Qwen3-4B-Instruct-Q4_K_M.gguf', 'llm', { priority: 1 })
  await ask(`${url}/api/v1/models/preload/start`, 'POST')
  await until('The preload', async () => (await one('bge-m3-F16.gguf')).progress > 30)
  await start('Llama-3.2-3B-Instruct-Q5_K_M.gguf')
  await until('A large one', async () => (await one('Qwen3-4B-Instruct-Q4_K_M.gguf')).progress > 61)
  // Wait until the average speeds no longer include the fast start.
  await delay(6000)
}

const targets = {
  'dashboard-light': { width: 1280, height: 860, colorScheme: 'light', locale: 'en-US' },
  'dashboard-dark': { width: 1280, height: 860, colorScheme: 'dark', locale: 'en-US' },
  'dashboard-zh-CN': { width: 1280, height: 860, colorScheme: 'light', locale: 'zh-CN' },
  'dashboard-mobile': { width: 390, height: 860, colorScheme: 'light', locale: 'en-US', scale: 2 },
  'dashboard-details': { width: 1280, height: 860, colorScheme: 'light', locale: 'en-US', details: true },
  'dashboard-disk': { width: 900, height: 860, colorScheme: 'light', locale: 'en-US', disk: true },
}

/** Every combination of width, color scheme and language. */
function combinations() {
  const all = {}
  for (const width of [320, 768, 1440])
    for (const colorScheme of ['light', 'dark'])
      for (const locale of ['en-US', 'zh-CN'])
        all[`${width}-${colorScheme}-${locale}`] = { width, height: 900, colorScheme, locale, fullPage: true }
  return all
}

const [given] = process.argv.slice(2)
const folder = path.resolve(given ?? path.join(root, 'docs/images'))
const home = mkdtempSync(path.join(os.tmpdir(), 'model-downloader-pictures-'))
const executablePath = [
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find(existsSync)
const origin = await startOrigin()
const { child, url } = await startServer(home, origin.url)
const browser = await chromium.launch({ executablePath, chromiumSandbox: false })
try {
  mkdirSync(folder, { recursive: true })
  await setScene(url, origin.url)
  for (const [name, target] of Object.entries(given === undefined ? targets : combinations())) {
    const { width, height, colorScheme, locale, scale = 1, fullPage = false } = target
    const { details = false, disk = false } = target
    const page = await browser.newPage({
      viewport: { width, height },
      colorScheme,
      locale,
      deviceScaleFactor: scale,
    })
    page.on('console', (message) => console.error(`${name}: ${message.text()}`))
    page.on('pageerror', (error) => console.error(`${name}: ${error.message}`))
    await page.goto(`${url}/api/models/ui`)
    await page.locator('model-download-row').first().waitFor()
    // Wait until the speed is shown.
    await delay(1000)
    if (details) {
      await page.getByRole('button', { name: 'Qwen3-4B-Instruct-Q4_K_M.gguf', exact: true }).click()
      // Wait until there is a curve.
      await delay(12_000)
    }
    const picture = { path: path.join(folder, `${name}.png`) }
    if (disk) {
      const card = page.locator('model-disk')
      await card.getByText('llm', { exact: true }).click()
      await card.getByRole('button', { name: /^Pin/ }).first().click()
      await card
        .getByRole('button', { name: /^Unpin/ })
        .first()
        .waitFor()
      await card.screenshot(picture)
    } else await page.screenshot({ ...picture, fullPage })
    await page.close()
    console.log(name)
  }
} finally {
  await browser.close()
  child.kill()
  await once(child, 'exit')
  origin.close()
  rmSync(home, { recursive: true, force: true })
}
