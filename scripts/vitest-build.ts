import { spawnSync } from 'node:child_process'
import path from 'node:path'

/**
 * Tests of the command line and of workers run `dist`: makes sure, once per run, that it is what `src` says.
 *
 * When it cannot be built, the tests that need only sources still run and tell what they find, but the run as a
 * whole has failed: what ran `dist` ran an old one.
 */
export default function setup(): (() => void) | undefined {
  const script = path.join(import.meta.dirname, 'build.mjs')
  const run = spawnSync(process.execPath, [script, '--if-stale', '--no-types'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (run.status === 0) return undefined
  return () => {
    console.error(
      'FAILED: dist could not be built (see the top of this run); tests that run it tell nothing.',
    )
    process.exitCode = 1
  }
}
