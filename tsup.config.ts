import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BuildOptions as EsbuildOptions } from 'esbuild'
import { defineConfig, type Options } from 'tsup'
import { entriesOf, pageAdapters, serverAdapters } from './scripts/adapters.mjs'
import { templates } from './scripts/templates.mjs'

/**
 * Maps lead from a line of `dist` to a line of the source, which is what stack traces need. With the text of all sources in
 * them they would be most of the package.
 */
function mapLinesOnly(options: EsbuildOptions): void {
  options.sourcesContent = false
}

const common = {
  format: 'esm',
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  splitting: true,
  esbuildOptions: mapLinesOnly,
} as const

/** Which files of those packages load what for cases that never come up. */
const unused = [
  ['undici/lib/dispatcher/client.js', '/client-h2.js'],
  ['undici/lib/dispatcher/client-h1.js', '/web/fetch/body.js'],
  ['commander/lib/command.js', 'node:child_process'],
] as const

/** What is built into the engine's worker: all of its packages, since an app may unpack it alone from its archive. */
const engineParts = [
  ...['content-disposition', 'hash-wasm', 'ip-address', 'ipaddr.js', 'p-limit', 'smart-buffer', 'socks'],
  ...['undici', 'yocto-queue', 'zod'],
]
/** The same of the command, but for the bars, which are loaded on terminals only. */
const commandParts = ['commander', 'eventemitter3', ...engineParts]

function licenseOf(name: string): string {
  const folder = new URL(`./node_modules/${name}/`, import.meta.url)
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} has no licence file`)
  return `${name}\n\n${readFileSync(new URL(file, folder), 'utf8')}`
}

const libraries = {
  index: 'src/index.ts',
  redis: 'src/cluster/redis/redis.ts',
  bullmq: 'src/cluster/bullmq/bullmq.ts',
  ...entriesOf(serverAdapters),
}

/** For hosts that have what collects them. Each has its own copy of the little that it needs, as `testing` has. */
const observers = { metrics: 'src/observe/metrics.ts', tracing: 'src/observe/tracing.ts' }

/** For tests of stores. It has its own copy of the little that it needs, so that the others load not one file more. */
const testing = { testing: 'src/store/conformance.ts' }

/** For browsers, whatever bundles them. */
const browser = {
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  sourcemap: true,
  esbuildOptions: mapLinesOnly,
} as const

/** Frameworks of pages, over the client. */
const bindings = entriesOf(pageAdapters)

/**
 * How undici is built in: the part of it that is used, without what that loads for cases that never come up. It is never
 * left to the host, because Bun puts something else in the place of a package of that name.
 */
const ownUndici = {
  // It would hide what is asked for by that name from the plugin below.
  removeNodeProtocol: false,
  esbuildPlugins: [
    {
      name: 'unused',
      setup(build) {
        const stub = { path: fileURLToPath(new URL('scripts/not-built-in.cjs', import.meta.url)) }
        build.onResolve({ filter: /(?:client-h2|body)\.js$|^node:child_process$/ }, ({ importer, path }) =>
          unused.some(([by, what]) => importer.endsWith(by) && path.endsWith(what))
            ? // One of its own for each, or those that need nothing else would share a chunk for it.
              { ...stub, suffix: `?${basename(importer)}` }
            : undefined,
        )
      },
    },
  ],
  esbuildOptions(options) {
    mapLinesOnly(options)
    options.alias = { undici: './scripts/undici-agents.cjs' }
  },
  // Packages that are CommonJS require nothing but modules of Node, which can be required from anywhere. So this also works in
  // hosts that are bundled, where no file has an address.
  banner: {
    js: 'import { createRequire as ownRequire } from "node:module"; const require = ownRequire("/");',
  },
} satisfies Options

/** The licences of what is built in, for the end of the file. */
function withParts(parts: readonly string[]): { js: string } {
  return { js: `/*! With parts of ${parts.join(', ')}.\n\n${parts.map(licenseOf).join('\n')}*/` }
}

/**
 * Of something that shares nothing with its host, and needs little of its packages: loading all of their files would be
 * half of its start, and finding and linking the others most of the rest.
 */
function whole(parts: readonly string[], name: string): Options {
  return {
    ...common,
    ...ownUndici,
    noExternal: [...parts],
    esbuildOptions(options) {
      smaller(options)
      options.chunkNames = `${name}-[name]-[hash]`
    },
    footer: withParts(parts),
  }
}

/** Half the text to read at the start; names stay, for stack traces. */
function smaller(options: EsbuildOptions): void {
  ownUndici.esbuildOptions(options)
  options.minifySyntax = true
  options.minifyWhitespace = true
}

/**
 * What CommonJS lacks, for code that is loaded with its compiled code: where the file is, and `import()`, which such code has
 * only if it is handed over.
 */
const commonJs = {
  banner: {
    js: [
      '"use strict";',
      'var ownEsm = ownEsm ?? ((name) => import (name));',
      'const ownMeta = { url: require("node:url").pathToFileURL(__filename).href, dirname: __dirname, filename: __filename };',
    ].join('\n'),
  },
  plugins: [
    {
      name: 'common-js',
      renderChunk(code: string) {
        // As many letters, so that the map stays right.
        const own = code.replaceAll(/\bimport\(/g, 'ownEsm(')
        // Tells compiled code of one build from that of another.
        return { code: `${own}\n// build ${createHash('sha256').update(own).digest('hex')}\n` }
      },
    },
  ],
} satisfies Options

export default defineConfig([
  {
    ...common,
    ...ownUndici,
    // Together, so that all of them mean the same classes.
    entry: libraries,
    noExternal: ['undici'],
    dts: { entry: { ...libraries, ...testing, ...observers }, compilerOptions: { stripInternal: true } },
  },
  { ...common, entry: { ...testing, ...observers }, splitting: false },
  {
    ...browser,
    // One file that imports nothing.
    entry: { client: 'src/client/index.ts' },
    splitting: false,
    dts: {
      // Together, so that all of them mean the same types.
      entry: { client: 'src/client/index.ts', elements: 'src/elements/types.ts', ...bindings },
      compilerOptions: { stripInternal: true, lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'] },
    },
  },
  {
    ...browser,
    // Together, so that a page that has several of them shares one store.
    entry: bindings,
    splitting: true,
    esbuildPlugins: [
      {
        name: 'client-beside',
        setup(build) {
          build.onResolve({ filter: /\/client\/index\.js$/ }, () => ({ path: './client.js', external: true }))
        },
      },
    ],
  },
  {
    ...browser,
    // For pages with and without a bundler: what they load imports nothing but, when they speak Chinese, its texts. Lit is
    // inside, and it is small, because it is sent as it is.
    entry: { elements: 'src/elements/index.ts' },
    splitting: true,
    minify: true,
    // The virtual list has checks that are for its development only.
    define: { 'process.env.NODE_ENV': '"production"' },
    esbuildPlugins: [templates],
    esbuildOptions(options) {
      mapLinesOnly(options)
      // Lit's build for servers runs in browsers too, and can be imported where there is no page.
      options.conditions = ['node']
      options.mainFields = ['module', 'main']
      options.alias = { '@lit-labs/ssr-dom-shim': './scripts/no-dom.mjs' }
      options.chunkNames = 'elements-[name]-[hash]'
      options.legalComments = 'none'
    },
    banner: {
      js: '/*! With Lit, (c) Google LLC, BSD-3-Clause, and TanStack Virtual, (c) Tanner Linsley, MIT: see THIRD-PARTY-LICENSES.md */',
    },
  },
  // The start of the command, and the rest of it, which is loaded with its compiled code.
  { ...common, entry: { cli: 'src/cli/cli.ts' }, splitting: false },
  {
    ...whole(commandParts, 'cli'),
    entry: { 'cli-main': 'src/cli/process/main.ts' },
    format: 'cjs',
    splitting: false,
    ...commonJs,
    esbuildOptions(options) {
      smaller(options)
      options.define = { ...options.define, 'import.meta': 'ownMeta' }
    },
  },
  {
    ...whole(engineParts, 'engine'),
    entry: { 'engine-worker': 'src/engine/worker-entry.ts', 'hash-worker': 'src/engine/hash/hash-worker.ts' },
  },
])
