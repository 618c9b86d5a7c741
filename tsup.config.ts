import { readFileSync } from 'node:fs'
import { defineConfig } from 'tsup'

const common = {
  format: 'esm',
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  splitting: true,
} as const

const licenseOf = (name: string) =>
  readFileSync(new URL(`./node_modules/${name}/LICENSE`, import.meta.url), 'utf8')

const libraries = {
  index: 'src/index.ts',
  express: 'adapters/express.ts',
  fastify: 'adapters/fastify.ts',
  fetch: 'adapters/fetch.ts',
  koa: 'adapters/koa.ts',
  node: 'adapters/node.ts',
}

export default defineConfig([
  {
    ...common,
    // Together, so that all of them mean the same classes.
    entry: {
      ...libraries,
      'engine-worker': 'src/transfer/engine-worker.ts',
      'hash-worker': 'src/transfer/hash-worker.ts',
    },
    dts: { entry: libraries, compilerOptions: { stripInternal: true } },
  },
  {
    // For browsers too: one file that imports nothing.
    entry: { client: 'src/client/index.ts' },
    dts: { entry: { client: 'src/client/index.ts' }, compilerOptions: { stripInternal: true } },
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    sourcemap: true,
    splitting: false,
  },
  {
    ...common,
    entry: { cli: 'src/cli/cli.ts' },
    // The library shares zod and undici with its host. The command has no host, and needs little of both: loading all of
    // their files would be half of its start.
    noExternal: ['zod', 'undici'],
    esbuildOptions(options) {
      options.chunkNames = 'cli-[name]-[hash]'
      options.alias = { undici: './scripts/undici-agents.cjs' }
    },
    banner: {
      js: 'import { createRequire as cliRequire } from "node:module"; const require = cliRequire(import.meta.url);',
    },
    footer: { js: `/*! With parts of zod and undici.\n\n${licenseOf('zod')}\n${licenseOf('undici')}*/` },
  },
])
