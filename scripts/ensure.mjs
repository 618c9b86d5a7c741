/**
 * Makes the first command in a fresh clone work: installs dependencies when they are missing or differ from the lock
 * file, and with `--build` brings `dist` up to date. Prints nothing when there is nothing to do.
 */
import path from 'node:path'
import { installIn } from './install.mjs'

installIn(path.resolve(import.meta.dirname, '..'))

if (process.argv.includes('--build')) {
  const { buildIfStale } = await import('./build.mjs')
  await buildIfStale()
}
