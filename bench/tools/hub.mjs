/**
 * The tests' imitation of the Hugging Face hub as a process of its own, with two repositories: `bench/small`, 400 files of
 * 64 KiB, and `bench/large`, 4 files of 512 MiB (`--mib N`: of that many; `--rate N`: each answer brings N bytes a second at
 * most). Prints its address and what the files are, as JSON, and then lives until it is killed.
 */
import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '512' }, rate: { type: 'string' } },
})
const support = (file) => fileURLToPath(new URL(`../../test/support/${file}`, import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'model-downloader-hub-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const outfile = join(folder, 'hub.mjs')
await build({
  stdin: {
    contents: `export * from ${JSON.stringify(support('hub.ts'))}\nexport * from ${JSON.stringify(support('content.ts'))}`,
    resolveDir: fileURLToPath(new URL('../..', import.meta.url)),
  },
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  // Its certificates lie beside the sources.
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(support('hub.ts')).href) },
  logLevel: 'error',
})
const { startHub, randomContent } = await import(pathToFileURL(outfile).href)

const hub = await startHub()
const files = (count, bytes, name) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      `${name}-${String(index + 1).padStart(5, '0')}.bin`,
      randomContent(bytes, `${name} ${index}`),
    ]),
  )
if (values.rate !== undefined) hub.cdnBehaviour = { bytesPerSecond: Number(values.rate) }
const repos = {
  'bench/small': files(400, 64 * 1024, 'part'),
  'bench/large': files(4, Number(values.mib) * 1024 * 1024, 'model'),
}
const told = {}
for (const [repo, contents] of Object.entries(repos)) {
  hub.add(repo, { files: contents })
  told[repo] = Object.entries(contents).map(([name, content]) => ({ name, sha256: content.sha256() }))
}
console.log(JSON.stringify({ url: hub.url, repos: told }))
