/** The runtimes of this folder's own `package.json`: where they are, how they are installed, how a program runs in them. */
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Need } from '../support/machine.js'
import { root, RunningProcess, type RunOptions } from '../support/process.js'
import { tempDir } from '../support/temp.js'

const folder = path.join(root, 'test/runtimes')

/** A runtime, and what a program needs to run in it. */
export interface InstalledRuntime extends Need {
  name: string
  /** Whether it is a version of Node, and not something that imitates it. */
  isNode: boolean
  start: (program: string, args: readonly string[], options?: RunOptions) => RunningProcess
}

function runtimeAt(name: string, find: () => string | null, flags: readonly string[] = []): InstalledRuntime {
  return {
    name,
    isNode: name.startsWith('Node'),
    missing: `no ${name} here: npm run runtimes`,
    available: () => find() !== null,
    start: (program, args, options) =>
      new RunningProcess(find() ?? name, [...flags, program, ...args], options),
  }
}

/** The first file of this path below one of the packages whose names begin alike. */
function binary(scope: string, prefix: string, file: string): string | null {
  const packages = path.join(folder, 'node_modules', scope)
  const names = existsSync(packages) ? readdirSync(packages).sort() : []
  return (
    names
      .filter((name) => name.startsWith(prefix))
      .map((name) => path.join(packages, name, file))
      .find((found) => existsSync(found)) ?? null
  )
}

/** Every version that is supported, the oldest first. */
export const nodes = [20, 22, 24, 26].map((major) =>
  runtimeAt(`Node ${major}`, () => binary('', `node${major}-`, 'bin/node')),
)

export const bun = runtimeAt('Bun', () => binary('@oven', 'bun-', 'bin/bun'))

/** With no more permissions than docs/runtimes.md names. */
export const deno = runtimeAt('Deno', () => binary('@deno', '', 'deno'), [
  'run',
  '--no-prompt',
  ...['--allow-read', '--allow-write', '--allow-net', '--allow-env', '--allow-sys', '--allow-run'],
])

/**
 * A folder of a project that has installed the package, with the programs of `programs/` in it: those of JavaScript, and for
 * Bun and Deno also as TypeScript.
 */
export function project(): string {
  const home = tempDir('runtimes')
  const installed = ['express', 'fastify', 'koa']
  mkdirSync(path.join(home, 'node_modules'))
  symlinkSync(root, path.join(home, 'node_modules/model-downloader'))
  for (const name of installed)
    symlinkSync(path.join(root, 'node_modules', name), path.join(home, 'node_modules', name))
  const dependencies = Object.fromEntries(['model-downloader', ...installed].map((name) => [name, '*']))
  writeFileSync(path.join(home, 'package.json'), JSON.stringify({ type: 'module', dependencies }))
  for (const file of readdirSync(path.join(folder, 'programs'))) {
    cpSync(path.join(folder, 'programs', file), path.join(home, file))
    cpSync(path.join(folder, 'programs', file), path.join(home, file.replace('.mjs', '.ts')))
  }
  return home
}
