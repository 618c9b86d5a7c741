import { join } from 'node:path'
import { build } from 'esbuild'
import { root } from './process.js'

/**
 * Bundles one source file into a module that plain Node runs, for tests that need a second process or thread.
 *
 * @param source - path from the root, such as `src/disk/lock.ts`.
 * @param folder - the output folder.
 * @returns the path of the module.
 */
export async function bundle(source: string, folder: string): Promise<string> {
  const outfile = join(folder, source.replace(/^.*\/|\.ts$/g, '') + '.mjs')
  await build({
    entryPoints: [join(root, source)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Packages that are CommonJS ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  })
  return outfile
}
