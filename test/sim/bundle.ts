/** Bundles the package for simulated processes. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** A bug that is put into the code on purpose, to see that the simulator finds it. */
export interface Mutation {
  /** Relative to `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/**
 * Bundles the sources into one CommonJS text whose built-in modules are required by name.
 *
 * @throws Error when the text that a mutation replaces is not in its file exactly once.
 */
export async function bundlePackage(mutation: Mutation | null = null): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: "export { DownloadManager } from './src/manager/manager.ts'",
      resolveDir: root,
      loader: 'ts',
    },
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    // These have no state, and take no part in the world: one copy, compiled well, serves all processes.
    external: ['zod', 'ipaddr.js'],
    alias: { undici: `${root}scripts/undici-agents.cjs` },
    define: { 'import.meta.url': '"file:///simulated.js"' },
    logLevel: 'error',
    plugins: [sharedParts, sources(mutation)],
  })
  const [script] = outputFiles
  if (script === undefined) throw new Error('The bundle is empty.')
  return script.text
}

/** What has no state of its own is not evaluated anew for each process: building its tables would be half the work. */
const sharedParts: Plugin = {
  name: 'shared-parts',
  setup(builder) {
    builder.onResolve(
      {
        filter:
          /(?:core\/(?:tree|constants|errors|symbols)|llhttp\/[a-z_-]+|\/(?:tree|constants|errors|symbols))(?:\.js)?$/,
      },
      (given) => {
        if (!given.importer.includes('node_modules/undici/')) return undefined
        const path = createRequire(given.importer).resolve(given.path)
        return { path, external: true }
      },
    )
  },
}

/** Where the file of a mutation is. */
export function pathOf({ file }: Mutation): string {
  return `${root}src/${file}`
}

/** The text of a file with the bug in it. */
export function mutated(text: string, { file, find, replace }: Mutation): string {
  if (text.split(find).length !== 2) throw new Error(`${file} does not contain ${find} exactly once.`)
  return text.replace(find, () => replace)
}

/** The sources, with a mutation where there is one. */
function sources(mutation: Mutation | null): Plugin {
  return {
    name: 'sources',
    setup(builder) {
      builder.onLoad({ filter: /\/src\/.*\.ts$/ }, async (given) => {
        let contents = await readFile(given.path, 'utf8')
        if (mutation !== null && given.path === pathOf(mutation)) {
          contents = mutated(contents, mutation)
        }
        // A namespace object would be copied for each file that imports it.
        contents = contents.replace(
          "import * as z from 'zod'",
          "const z = require('zod') as typeof import('zod')",
        )
        return { contents, loader: 'ts' }
      })
    },
  }
}
