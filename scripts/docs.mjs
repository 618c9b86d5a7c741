/**
 * The documentation site: `npm run docs` serves it and follows changes, `npm run docs:build` builds it into
 * `site/.vitepress/dist`. Its pages are made here from the documents of the repository, from the doc comments (TypeDoc) and
 * from the routes (OpenAPI); a link that leads nowhere fails the build.
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import path from 'node:path'
import { adapters } from './adapters.mjs'
import { buildIfStale } from './build.mjs'
import { otherDocuments, pageOf, pageText } from './docs-pages.mjs'
import { installIn } from './install.mjs'
import { publicEntries } from './public-entries.mjs'

const root = path.resolve(import.meta.dirname, '..')
const site = path.join(root, 'site')
const pages = path.join(site, '.pages')
const command = process.argv[2] === 'build' ? 'build' : 'dev'

function write(page, text) {
  const file = path.join(pages, page)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** Copies what is served as it is. */
function serve(file, from) {
  const target = path.join(pages, 'public', file)
  mkdirSync(path.dirname(target), { recursive: true })
  cpSync(from, target, { recursive: true })
}

function writeDocument(document) {
  const page = pageOf(document)
  if (page === null) return
  const { text, files } = pageText(document, readFileSync(path.join(root, document), 'utf8'))
  write(page, text)
  for (const [address, file] of files) serve(address, path.join(root, file))
}

function documents() {
  const inDocs = readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file.replaceAll(path.sep, '/')}`)
  return [...inDocs, ...otherDocuments]
}

function run(name, file, args) {
  const ran = spawnSync(process.execPath, [path.join(site, 'node_modules', name, file), ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (ran.status !== 0) throw new Error(`${name} failed.`)
}

/** The reference of everything that is exported, a page for each entry of the package and for each export. */
function writeReference() {
  run('typedoc', 'bin/typedoc', [
    ...['--options', path.join(site, 'typedoc.json')],
    ...['--out', path.join(pages, 'api')],
    ...[...publicEntries, ...adapters.map(({ file }) => file)].flatMap((entry) => ['--entryPoints', entry]),
  ])
}

/** The document that a server answers with at `/api/models/openapi.json`. */
async function writeOpenApi() {
  await buildIfStale({ types: false })
  const { createHandler, DownloadManager } = await import('../dist/index.js')
  const manager = new DownloadManager({
    directory: path.join(root, '.cache'),
    store: 'memory',
    worker: false,
  })
  try {
    const handler = createHandler({ manager, authorize: () => true })
    const answer = await handler(new Request('http://localhost/api/models/openapi.json'))
    const document = await answer.json()
    // Where a reader's own server is, unless it is told otherwise on the page.
    write('openapi.json', JSON.stringify({ ...document, servers: [{ url: 'http://localhost:3000' }] }))
  } finally {
    await manager.close()
  }
}

installIn(site)
rmSync(pages, { recursive: true, force: true })
cpSync(path.join(site, 'pages'), pages, { recursive: true })
for (const document of documents()) writeDocument(document)
writeReference()
await writeOpenApi()

if (command === 'dev')
  watch(path.join(root, 'docs'), { recursive: true }, (_, file) => {
    if (file?.endsWith('.md') === true) writeDocument(`docs/${file.replaceAll(path.sep, '/')}`)
  })
const vitepress = spawn(
  process.execPath,
  [path.join(site, 'node_modules/vitepress/bin/vitepress.js'), command, site, ...process.argv.slice(3)],
  { cwd: root, stdio: 'inherit' },
)
vitepress.once('close', (code) => {
  process.exit(code ?? 1)
})
