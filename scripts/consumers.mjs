/**
 * Packs the package as npm would publish it, installs it into an empty project and uses it there: as ESM, through
 * `require()`, from strict TypeScript, and as a command. Also checks the packed files and the installed dependencies.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { isFramework, serverAdapters } from './adapters.mjs'

const root = path.resolve(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const home = mkdtempSync(path.join(os.tmpdir(), 'model-downloader-consumer-'))

function run(command, flags, cwd = home) {
  const result = spawnSync(command, flags, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    const why = result.error?.message ?? result.signal ?? `status ${result.status}`
    throw new Error(`${path.basename(command)} ${flags.join(' ')}: ${why}\n${result.stdout}${result.stderr}`)
  }
  return result.stdout
}

/** TypeScript settings for browser code, without the types of Node. */
const pageSettings = JSON.stringify({
  compilerOptions: {
    target: 'ES2022',
    lib: ['ES2022', 'DOM'],
    module: 'ESNext',
    moduleResolution: 'bundler',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    types: [],
  },
  include: ['index.ts'],
})

/** TypeScript's settings for code of a server, in a file of TypeScript or a checked one of JavaScript. */
const nodeSettings = (file) =>
  JSON.stringify({
    compilerOptions: {
      target: 'ES2022',
      lib: ['ES2023', 'ESNext.Disposable'],
      module: 'NodeNext',
      moduleResolution: 'NodeNext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      checkJs: file.endsWith('.mjs'),
      noEmit: true,
      types: ['node'],
    },
    include: [file],
  })

const node = (...flags) => run(process.execPath, flags)

function write(file, text) {
  const full = path.join(home, file)
  mkdirSync(path.dirname(full), { recursive: true })
  writeFileSync(full, text)
}

const steps = {
  'the package contains dist and its documents, and nothing else'() {
    const [packed] = JSON.parse(
      run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], root),
    )
    const files = packed.files.map((file) => file.path)
    const documents = [
      'package.json',
      'README.md',
      'README.zh-CN.md',
      'CHANGELOG.md',
      'LICENSE',
      'THIRD-PARTY-LICENSES.md',
      // What the README links.
      'CONTRIBUTING.md',
      'SECURITY.md',
      'bench/README.md',
    ]
    const missing = documents.filter((file) => !files.includes(file))
    const strange = files.filter(
      (file) =>
        !documents.includes(file) &&
        file !== 'dist/dashboard.html' &&
        !/^dist\/[\w.-]+\.(?:c?js|c?js\.map|d\.ts)$/.test(file) &&
        !/^docs\/[\w./-]+\.(?:md|png)$/.test(file) &&
        !/^examples\/[\w./-]+\.(?:mjs|js|jsx|vue|css|html|md)$/.test(file) &&
        !/^examples\/operations\/(?:Containerfile|[\w-]+\.(?:json|service|yaml))$/.test(file),
    )
    if (missing.length > 0) throw new Error(`The package lacks ${missing.join(', ')}`)
    if (strange.length > 0) throw new Error(`The package must not contain ${strange.join(', ')}`)
    const types = JSON.parse(
      readFileSync(path.join(root, 'node_modules/@types/node/package.json'), 'utf8'),
    ).version
    write('package.json', JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    const wanted = [`./${packed.filename}`, `@types/node@${types}`]
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted])
  },

  'no framework is installed with it'() {
    const installed = readdirSync(path.join(home, 'node_modules'))
    const found = installed.filter(isFramework)
    if (found.length > 0) throw new Error(`These came along: ${found.join(', ')}`)
    const dist = path.join(home, 'node_modules', manifest.name, 'dist')
    const textOf = (file) => readFileSync(path.join(dist, file), 'utf8').replaceAll(/^ *\*.*$/gm, '')
    // What is imported by a call is loaded when somebody asks for it.
    const importsOf = (file) =>
      [...textOf(file).matchAll(/(?:\bfrom|\bimport|\brequire\()\s*["']([^"'\n]+)["']/g)].map(
        ([, from]) => from,
      )
    // Users of an entry have its framework installed, so its types, and the code of a binding, may import it.
    const ownOf = (entry) => ({ bullmq: ['bullmq', 'ioredis'], redis: ['ioredis'] })[entry] ?? [entry]
    for (const file of readdirSync(dist).filter((name) => /^[a-z-]+(?:\.d\.ts|\.js)$/.test(name))) {
      const own = ownOf(file.replace(/\.(?:d\.ts|js)$/, ''))
      const ending = file.endsWith('.d.ts') ? '.d.ts' : '.js'
      const seen = new Set([file])
      for (const one of seen) {
        for (const from of importsOf(one)) {
          if (from.startsWith('./')) seen.add(from.slice(2).replace(/\.js$/, ending))
          else if (isFramework(from) && !own.includes(from))
            throw new Error(`dist/${file} imports ${from}, by way of dist/${one}`)
        }
      }
    }
  },

  'import works'() {
    write(
      'esm.mjs',
      `import { DownloadManager, DownloadError, isDownloadError } from '${manifest.name}'
const manager = new DownloadManager({ directory: './models', store: 'memory' })
await manager.close()
if (!isDownloadError(new DownloadError('CLOSED', 'x'), 'CLOSED')) throw new Error('isDownloadError')
for (const adapter of ${JSON.stringify(serverAdapters.map(({ name }) => name))}) {
  const { modelDownloader } = await import(\`${manifest.name}/\${adapter}\`)
  if (typeof modelDownloader !== 'function') throw new Error(adapter)
}
const client = await import('${manifest.name}/client')
client.createClient({ baseUrl: 'http://127.0.0.1:8050' })
if (!isDownloadError(new client.DownloadError('CLOSED', 'x'))) throw new Error('isDownloadError across copies')
`,
    )
    node('esm.mjs')
  },

  'require works'() {
    write(
      'cjs.cjs',
      `const { DownloadManager, DownloadError } = require('${manifest.name}')
const { modelDownloader } = require('${manifest.name}/node')
const close = modelDownloader({ manager: new DownloadManager({ store: 'memory' }) }).close
if (typeof close !== 'function' || typeof DownloadManager !== 'function' || !(new DownloadError('CLOSED', 'x') instanceof Error)) throw new Error('require')
`,
    )
    node('cjs.cjs')
  },

  'strict TypeScript understands it, without skipLibCheck'() {
    write(
      'typed/index.ts',
      `import { DownloadManager, isDownloadError, type DownloadErrorCode } from '${manifest.name}'

import { modelDownloader as mountOnFetch } from '${manifest.name}/fetch'
import { modelDownloader as mountOnNode } from '${manifest.name}/node'
import { createServer } from 'node:http'

export function serve(manager: DownloadManager): void {
  const listener = mountOnNode({ manager, cors: { origins: ['https://app.example.com'] } })
  createServer(listener).once('close', () => listener.close())
  const answer: (request: Request) => Promise<Response> = mountOnFetch({
    manager,
    authorize: (action, request) => action === 'downloads:read' || request.headers.has('authorization'),
  })
  console.log(answer)
  // @ts-expect-error a manager is needed
  mountOnNode({})
}

export async function fetchModel(url: string): Promise<string> {
  await using manager = new DownloadManager({ directory: './models', concurrency: 2 })
  manager.on('progress', ({ download, progress }) => {
    const text: string = download.url
    const percent: number = progress.percent
    const total: number | null = progress.total
    console.log(text, percent, total)
  })
  // @ts-expect-error there is no such event
  manager.on('nonsense', () => undefined)
  const download = await manager.download({ url, priority: 1 })
  for await (const progress of download.progress()) console.log(progress.phase)
  try {
    const file = await download.finished
    return file.path
  } catch (error) {
    const code: DownloadErrorCode | undefined = isDownloadError(error) ? error.code : undefined
    throw new Error(code ?? 'unknown', { cause: error })
  }
}
`,
    )
    write('typed/tsconfig.json', nodeSettings('index.ts'))
    node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'typed')
  },

  'TypeScript understands it in older projects, and in those of CommonJS'() {
    const imports = `import { DownloadManager } from '${manifest.name}'
import { createClient } from '${manifest.name}/client'
import { modelDownloader } from '${manifest.name}/node'

export const manager: DownloadManager = new DownloadManager({ directory: './models' })
// @ts-expect-error there is no such option
modelDownloader({ manager, nonsense: true })
// @ts-expect-error a base is needed
createClient({})
`
    const common = { target: 'ES2022', strict: true, skipLibCheck: true, noEmit: true, types: ['node'] }
    const projects = {
      older: { module: 'ESNext', moduleResolution: 'node10' },
      'older-commonjs': { module: 'CommonJS', moduleResolution: 'node10' },
      commonjs: { module: 'NodeNext' },
    }
    for (const [name, settings] of Object.entries(projects)) {
      write(`${name}/package.json`, JSON.stringify({ type: name === 'older' ? 'module' : 'commonjs' }))
      write(`${name}/index.ts`, imports)
      write(`${name}/tsconfig.json`, JSON.stringify({ compilerOptions: { ...common, ...settings } }))
      node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', name)
    }
  },

  'the kit for stores works with the test runner of Node'() {
    write(
      'store/store.test.mjs',
      `import { createMemoryStore } from '${manifest.name}'
import { sampleRecord, storeConformance } from '${manifest.name}/testing'
import test from 'node:test'

for (const { name, run } of storeConformance({ open: createMemoryStore })) test(name, run)

test('it notices a store that saves nothing', async () => {
  /** @returns {import('${manifest.name}').DownloadStore} */
  const open = () => ({ ...createMemoryStore(), save: async () => undefined })
  await open().save(sampleRecord(1))
  const results = await Promise.allSettled(storeConformance({ open }).map(({ run }) => run()))
  const failed = results.filter(({ status }) => status === 'rejected').length
  if (failed < 5) throw new Error(\`Only \${failed} cases noticed it.\`)
})
`,
    )
    write('store/tsconfig.json', nodeSettings('store.test.mjs'))
    node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'store')
    node('--test', 'store/store.test.mjs')
  },

  'the client type-checks in a web page, without the types of Node'() {
    write(
      'browser/index.ts',
      `import { createClient, isDownloadError, type WireDownload } from '${manifest.name}/client'

export async function show(url: string, bar: HTMLProgressElement): Promise<WireDownload['state'] | undefined> {
  const client = createClient({ baseUrl: '/', headers: () => ({ authorization: 'Bearer x' }), fetch })
  const page = new AbortController()
  await client.download({ url, mode: 'llm' })
  // @ts-expect-error there is no such state
  await client.list({ state: 'nonsense' })
  try {
    for await (const { progress, state } of client.follow(url, { signal: page.signal })) {
      bar.value = progress
      if (state === 'completed') return state
    }
  } catch (error) {
    if (!isDownloadError(error, 'CANCELED')) throw error
  }
  return undefined
}
`,
    )
    write('browser/tsconfig.json', pageSettings)
    node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'browser')
  },

  'the bindings work with their frameworks'() {
    const versionOf = (name) =>
      JSON.parse(readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8')).version
    const wanted = ['react', 'react-dom', '@types/react', 'vue'].map((name) => `${name}@${versionOf(name)}`)
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', ...wanted])
    write(
      'bindings.mjs',
      `import { createClient, isDownloadError, DownloadError } from '${manifest.name}/client'
import * as react from '${manifest.name}/react'
import * as vue from '${manifest.name}/vue'
import { createElement } from 'react'
import { renderToString as drawReact } from 'react-dom/server'
import { createSSRApp, h } from 'vue'
import { renderToString as drawVue } from 'vue/server-renderer'
const client = createClient({ baseUrl: 'http://127.0.0.1:8050' })
const Part = () => createElement('p', null, react.useDownload('x').connection)
const ofReact = drawReact(createElement(react.DownloadProvider, { client }, createElement(Part)))
const part = { setup: () => { const { connection } = vue.useDownload('x'); return () => h('p', connection.value) } }
const ofVue = await drawVue(createSSRApp(part).use(vue.modelDownloader, client))
if (ofReact !== '<p>idle</p>' || ofVue !== '<p>idle</p>') throw new Error(ofReact + ofVue)
try {
  drawReact(createElement(Part))
  throw new Error('No provider is needed?')
} catch (error) {
  if (!isDownloadError(error, 'INVALID_OPTIONS') || !(error instanceof DownloadError)) throw error
}
`,
    )
    node('bindings.mjs')
    write(
      'bindings/index.tsx',
      `import { createClient } from '${manifest.name}/client'
import { DownloadProvider, useDownload, useDownloads, usePreload } from '${manifest.name}/react'
import { modelDownloader, useDownload as useVueDownload } from '${manifest.name}/vue'
import { createApp, ref } from 'vue'

const client = createClient({ baseUrl: '/' })

function Row({ url }: { url: string }) {
  const { download, error, start, pause } = useDownload(url)
  // @ts-expect-error there is no such state
  if (download?.state === 'nonsense') return null
  return <button onClick={() => void (download ? pause() : start({ mode: 'llm' }))}>{error?.message}</button>
}

export function Page() {
  const { downloads } = useDownloads()
  const { preload } = usePreload()
  const rows = downloads.map(({ url }) => <Row key={url} url={url} />)
  return <DownloadProvider client={client}>{rows}{preload?.logs}</DownloadProvider>
}

createApp({ setup: () => ({ ...useVueDownload(ref('x')) }) }).use(modelDownloader, client)
`,
    )
    write(
      'bindings/tsconfig.json',
      JSON.stringify({
        compilerOptions: {
          target: 'ES2022',
          lib: ['ES2022', 'DOM'],
          module: 'ESNext',
          moduleResolution: 'bundler',
          jsx: 'react-jsx',
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: true,
          noEmit: true,
          types: [],
        },
        include: ['index.tsx'],
      }),
    )
    node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'bindings')
  },

  'the elements type-check in a web page, and can be imported without a DOM'() {
    write(
      'elements/index.ts',
      `import { createClient } from '${manifest.name}/client'
import '${manifest.name}/elements'
import type { ModelDownloadsElement, Strings } from '${manifest.name}/elements'

const list: ModelDownloadsElement | null = document.querySelector('model-downloads')
const strings: Partial<Strings> = { pause: 'Wait' }
if (list !== null) Object.assign(list, { strings, theme: 'dark' as const })
const preload = document.createElement('model-preload')
preload.client = createClient({ baseUrl: '/', headers: { authorization: 'Bearer x' } })
// @ts-expect-error there is no such theme
preload.theme = 'pink'
`,
    )
    write('elements/tsconfig.json', pageSettings)
    node(path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'elements')
    write('elements/server.mjs', `await import('${manifest.name}/elements')\n`)
    node('elements/server.mjs')
  },

  'the packed server has its dashboard'() {
    write(
      'dashboard.mjs',
      `import { createHandler, DownloadManager } from '${manifest.name}'
const manager = new DownloadManager({ directory: './models', store: 'memory' })
const handler = createHandler({ manager, ui: true, authorize: () => true })
const page = await handler(new Request('http://localhost/api/models/ui'))
const text = await page.text()
await manager.close()
if (page.status !== 200 || !text.includes('<script type="module">')) throw new Error(String(page.status))
`,
    )
    node('dashboard.mjs')
  },

  'the command runs'() {
    const version = run(path.join(home, 'node_modules/.bin/model-downloader'), ['--version']).trim()
    if (version !== manifest.version) throw new Error(`--version says ${version}, not ${manifest.version}`)
  },
}

try {
  for (const [name, step] of Object.entries(steps)) {
    const begin = performance.now()
    step()
    console.log(`${name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`)
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  rmSync(home, { recursive: true, force: true })
}
