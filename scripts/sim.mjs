/** `npm run sim`: bundles the simulator, then runs it; see docs/simulator.md. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = new URL('../', import.meta.url)
const outfile = fileURLToPath(new URL('.cache/sim.mjs', root))

await build({
  entryPoints: [fileURLToPath(new URL('test/sim/main.ts', root))],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  // Where the sources are, seen from the bundle.
  define: { 'import.meta.url': JSON.stringify(new URL('test/sim/main.ts', root).href) },
  logLevel: 'error',
})

const { status } = spawnSync(process.execPath, ['--enable-source-maps', outfile, ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exitCode = status ?? 1
