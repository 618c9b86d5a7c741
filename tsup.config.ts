import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

const common = {
  format: 'esm',
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  splitting: true,
} as const

const zodLicense = readFileSync(new URL('./node_modules/zod/LICENSE', import.meta.url), 'utf8')

export default defineConfig([
  {
    ...common,
    entry: { index: 'src/index.ts', 'hash-worker': 'src/transfer/hash-worker.ts' },
    dts: { entry: { index: 'src/index.ts' }, compilerOptions: { stripInternal: true } },
  },
  {
    ...common,
    entry: { cli: 'src/cli/cli.ts' },
    // The library shares zod with its host. The command has no host, and zod's many files would be a third of its start.
    noExternal: ['zod'],
    esbuildOptions(options) {
      options.chunkNames = 'cli-[name]-[hash]'
    },
    footer: { js: `/*! With parts of zod.\n\n${zodLicense}*/` },
  },
])
