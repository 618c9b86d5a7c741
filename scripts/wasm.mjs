/**
 * Builds the decoder for chunks of Xet from `scripts/wasm/xet-decoder.ts` into `src/engine/xet/decoder-wasm.ts`. With
 * `--check`, only compares: what is committed must be what the source builds to.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import asc from 'assemblyscript/asc'

const root = path.resolve(import.meta.dirname, '..')
const source = 'scripts/wasm/xet-decoder.ts'
const target = path.join(root, 'src', 'engine', 'xet', 'decoder-wasm.ts')

/** No runtime and no heap: ten pages of memory are all that it ever uses. */
const flags = [
  ...['--runtime', 'stub', '--use', 'abort=', '--noColors', '--enable', 'simd'],
  ...['--initialMemory', '10', '--maximumMemory', '10', '-O3', '--converge', '--noAssert'],
]

async function compile() {
  let binary = null
  const { error, stderr } = await asc.main([source, '--outFile', 'decoder.wasm', ...flags], {
    readFile: (name, folder) => {
      try {
        return readFileSync(path.resolve(root, folder, name), 'utf8')
      } catch {
        return null
      }
    },
    writeFile: (_name, contents) => {
      binary = Buffer.from(contents)
    },
    listFiles: () => [],
  })
  if (error !== null || binary === null) throw new Error(stderr.toString())
  return binary
}

function fileFor(binary) {
  const [first = '', ...others] = binary.toString('base64').match(/.{1,90}/g)
  return [
    '/** Built from `scripts/wasm/xet-decoder.ts` by `node scripts/wasm.mjs`, which also checks it. Do not edit. */',
    'export const decoderWasm =',
    [`  '${first}'`, ...others.map((line) => `  '${line}'`)].join(' +\n'),
    '',
  ].join('\n')
}

const built = fileFor(await compile())
if (!process.argv.includes('--check')) writeFileSync(target, built)
else if (readFileSync(target, 'utf8') !== built) {
  console.error(`${path.relative(root, target)} is not what ${source} builds to. Run node scripts/wasm.mjs.`)
  process.exitCode = 1
}
