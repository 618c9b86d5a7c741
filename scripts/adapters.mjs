/**
 * The adapters, read from the folder `adapters`, so that a new file there is built, documented and checked without being
 * entered in a list. What an adapter is for shows in what it imports: one of a server has `src/http`, one of a page
 * `src/live`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

// The build bundles its configuration with this file, and keeps of `import.meta` the URL alone.
const folder = fileURLToPath(new URL('../adapters/', import.meta.url))

/** Frameworks that have no adapter, or are known by a second name. They must not come along any more than the others. */
const otherFrameworks = ['hono', 'next', 'react-dom', 'bullmq', 'ioredis', '@nestjs']

/** What a source imports or exports from, types included. Statements begin at the start of a line. */
function specifiersIn(text) {
  const statement = /^(?:import|export)\b(?:[^'"]*?\bfrom)?\s*['"]([^'"]+)['"]/gm
  return [...text.matchAll(statement)].map(([, specifier]) => specifier)
}

/** The name of a package, without a path inside it. */
const packageOf = (specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

/**
 * What an adapter is, by its source.
 *
 * @param {string} name its file's, without the ending
 * @param {string} text
 */
export function readAdapter(name, text) {
  const specifiers = specifiersIn(text)
  const uses = (room) => specifiers.some((specifier) => specifier.startsWith(`../src/${room}/`))
  if (uses('http') === uses('live'))
    throw new Error(`adapters/${name}.ts must import either src/http (a server's) or src/live (a page's)`)
  const packages = specifiers.filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
  const frameworks = [...new Set(packages.map(packageOf))]
  if (frameworks.length > 1)
    throw new Error(`adapters/${name}.ts is for one framework, not for ${frameworks.join(' and ')}`)
  return {
    name,
    file: `adapters/${name}.ts`,
    kind: uses('live') ? 'page' : 'server',
    framework: frameworks[0] ?? null,
  }
}

/** All of them, by name. */
export const adapters = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .sort()
  .map((file) => readAdapter(path.parse(file).name, readFileSync(path.join(folder, file), 'utf8')))

/** Those of frameworks of pages, over the client. */
export const pageAdapters = adapters.filter(({ kind }) => kind === 'page')

/** Those that mount the routes. */
export const serverAdapters = adapters.filter(({ kind }) => kind === 'server')

/** Packages that a host brings, and we do not. */
export const frameworks = [
  ...new Set([...adapters.flatMap(({ framework }) => framework ?? []), ...otherFrameworks]),
]

/** Whether a package, or a file of it, is a framework or belongs to one, as `@fastify/cors` does. */
export function isFramework(specifier) {
  return frameworks.some((name) =>
    [name, `@${name}`].some((own) => specifier === own || specifier.startsWith(`${own}/`)),
  )
}

/** Entries of a build: from the name to the file. */
export const entriesOf = (list) => Object.fromEntries(list.map(({ name, file }) => [name, file]))
