/**
 * The tests' imitation of S3 as a process of its own, with one object of 1 GiB (`--mib N`: of that many) in a bucket that may
 * be read without a signature, too, so that a plain URL of it brings the same bytes from the same code. Prints its address
 * and what the object is, as JSON, and then lives until it is killed.
 */
import { build } from 'esbuild'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '1024' } } })
const support = (file) => fileURLToPath(new URL(`../../test/support/${file}`, import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'model-downloader-s3-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
const outfile = join(folder, 's3.mjs')
await build({
  stdin: {
    contents: `export * from ${JSON.stringify(support('s3-server.ts'))}\nexport * from ${JSON.stringify(support('content.ts'))}`,
    resolveDir: fileURLToPath(new URL('../..', import.meta.url)),
  },
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
})
const { startS3, randomContent } = await import(pathToFileURL(outfile).href)

const content = randomContent(Number(values.mib) * 1024 * 1024, 's3')
const store = await startS3({ public: ['models'] })
const sha256 = Buffer.from(content.sha256(), 'hex').toString('base64')
store.add('models', { 'model.bin': { content, checksums: { sha256 } } })
console.log(JSON.stringify({ url: store.url, env: store.env, name: 'model.bin', sha256: content.sha256() }))
