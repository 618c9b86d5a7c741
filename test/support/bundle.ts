import { join } from 'node:path'
import { build } from 'vite'

/**
 * Bundles one source file into a module that plain Node runs, for tests that need a second process or thread.
 *
 * @param source - path from the root, such as `src/disk/lock.ts`.
 * @param folder - the output folder.
 * @returns the path of the module.
 */
export async function bundle(source: string, folder: string): Promise<string> {
  await build({
    configFile: false,
    logLevel: 'silent',
    ssr: { noExternal: true },
    build: {
      ssr: source,
      outDir: folder,
      emptyOutDir: false,
      rollupOptions: { output: { entryFileNames: '[name].mjs' } },
    },
  })
  return join(folder, source.replace(/^.*\/|\.ts$/g, '') + '.mjs')
}
