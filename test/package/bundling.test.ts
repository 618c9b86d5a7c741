/** A host that is bundled together with the package: it works, it says what is lost, and it gives nothing away. */
import { build } from 'esbuild'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { ggufContent } from '../support/content.js'
import { startOrigin } from '../support/origin.js'
import { root, spawnNode } from '../support/process.js'
import { tempDir } from '../support/temp.js'

const content = ggufContent(3_000_000)

/** Downloads a file, asks for the dashboard, and tells what came of it as JSON. */
const host = `
import { createHandler, DownloadManager } from 'model-downloader'
import { dashboardHtml } from 'model-downloader/dashboard'

const [url, directory] = process.argv.slice(2)
const warnings = []
process.on('warning', ({ code, message }) => warnings.push({ code, message }))
async function main() {
  const manager = new DownloadManager({ directory, store: 'memory', proxy: false })
  const other = new DownloadManager({ directory, store: 'memory', proxy: false })
  const { sha256 } = await (await manager.download({ url })).finished
  await (await other.download({ url: url + '?again', filename: 'again.gguf' })).finished
  const ask = async (ui) => {
    const handler = createHandler({ manager, ui })
    return handler(new Request('http://localhost/api/models/ui'), { remoteAddress: '127.0.0.1' })
  }
  const built = await ask(true)
  const page = await ask(dashboardHtml)
  const { detail } = built.status === 200 ? {} : await built.json()
  console.log(JSON.stringify({
    sha256,
    warnings,
    built: built.status,
    detail,
    page: page.status,
    policy: page.headers.get('content-security-policy'),
    html: (await page.text()).slice(0, 15),
  }))
  await manager.close()
  await other.close()
}
main()
`

interface Told {
  sha256: string
  warnings: { code: string; message: string }[]
  built: number
  detail?: string
  page: number
  policy: string
  html: string
}

let folder: string
beforeAll(() => {
  folder = tempDir('bundling')
  writeFileSync(path.join(folder, 'host.mjs'), host)
  mkdirSync(path.join(folder, 'node_modules'))
  symlinkSync(root, path.join(folder, 'node_modules/model-downloader'))
})

/** What stands in quotes, roughly: up to the next quote of any kind. */
function strings(code: string): string[] {
  return code.split(/["'`]/u)
}

async function run(file: string): Promise<Told> {
  await using origin = await startOrigin()
  origin.serve('/model.gguf', { content })
  const models = path.join(folder, `${path.basename(file)}-models`)
  const { code, stdout, stderr } = await spawnNode(file, [origin.url('/model.gguf'), models]).finished()
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as Told
}

async function bundle(name: string, options: Parameters<typeof build>[0]): Promise<string> {
  const outfile = path.join(folder, name)
  await build({
    entryPoints: [path.join(folder, 'host.mjs')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    absWorkingDir: folder,
    logLevel: 'silent',
    ...options,
  })
  return outfile
}

describe('a host in one file', () => {
  it.each([
    ['CommonJS', 'host.cjs', { format: 'cjs' }],
    ['minified CommonJS', 'host.min.cjs', { format: 'cjs', minify: true }],
    [
      'an ES module',
      'host.bundle.mjs',
      {
        format: 'esm',
        // As docs/bundling.md says: packages of CommonJS need it.
        banner: {
          js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.filename)",
        },
      },
    ],
  ] as const)('%s', async (_, name, options) => {
    const file = await bundle(name, options)
    const told = await run(file)
    expect(told.sha256).toBe(content.sha256())
    expect(told.warnings).toEqual([
      { code: 'MODEL_DOWNLOADER_BUNDLED', message: expect.stringContaining('leave it out of the bundle') },
    ])
    expect(told).toMatchObject({ built: 404, page: 200, html: '<!doctype html>' })
    expect(told.detail).toContain('dashboardHtml')
    expect(told.policy).toContain("default-src 'none'")
    // Comments name sources by relative paths, which a root as short as `/repo` is found in; what the code says is strings.
    // A message gives an address below `file:///folder/` as an example.
    const text = await readFile(file, 'utf8')
    const known = strings(text).map((string) => string.replaceAll('file:///folder/', ''))
    expect(known.filter((string) => string.startsWith(root) || string.includes('file:///'))).toEqual([])
  })

  it('that leaves the package out of the bundle is as good as one that is none', async () => {
    const file = await bundle('host.thin.mjs', { format: 'esm', external: ['model-downloader'] })
    expect(await run(file)).toMatchObject({ sha256: content.sha256(), warnings: [], built: 200, page: 200 })
  })
})
