/**
 * Checks that package.json and dist agree: every file that package.json names exists, and every file in dist can be
 * reached from one that package.json names.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const dist = path.join(root, 'dist')
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
const problems = []

const isPattern = (name) => name.includes('*')

/** Every target of an `exports` value, with the path of conditions that leads to it. */
function targets(value, trail) {
  if (typeof value === 'string') return [{ trail, file: value }]
  return Object.entries(value ?? {}).flatMap(([condition, below]) =>
    targets(below, `${trail} › ${condition}`),
  )
}

const named = [
  ...Object.entries(manifest.exports).flatMap(([name, value]) => targets(value, `exports "${name}"`)),
  ...Object.entries(manifest.bin).map(([name, file]) => ({ trail: `bin "${name}"`, file })),
  { trail: 'types', file: manifest.types },
]

for (const [name, value] of Object.entries(manifest.exports)) {
  if (isPattern(name)) problems.push(`exports "${name}" is a wildcard`)
  if (typeof value === 'string' && value.endsWith('.json')) continue
  const conditions = Object.keys(value)
  if (conditions[0] !== 'types' || !conditions.includes('default')) {
    problems.push(`exports "${name}" needs "types" first and a "default"`)
  }
}

// What `exports` says of types, for `moduleResolution: node10`, which doesn't read it.
const older = manifest.typesVersions['*']
for (const [name, value] of Object.entries(manifest.exports)) {
  const subpath = name.slice(2)
  if (subpath === '' || typeof value === 'string') continue
  if (older[subpath]?.join() !== value.types)
    problems.push(`typesVersions lacks "${subpath}": ${value.types}`)
}

for (const { trail, file } of named) {
  if (!existsSync(path.join(root, file))) problems.push(`${trail} names ${file}, which does not exist`)
}

for (const file of Object.values(manifest.bin)) {
  const full = path.join(root, file)
  if (existsSync(full) && !readFileSync(full, 'utf8').startsWith('#!/usr/bin/env node\n')) {
    problems.push(`${file} is a command but does not start with #!/usr/bin/env node`)
  }
}

/** The built files that a file imports (`./name.js`), or reads or starts as a worker (`builtFile("name.js")`). */
function quoted(file) {
  const text = readFileSync(file, 'utf8')
  const imported = [...text.matchAll(/["'](\.{1,2}\/[^"'\s]+?\.js)["']/g)].map((match) => match[1])
  const started = [...text.matchAll(/\bbuiltFile\(["']([\w.-]+)["']\)/g)].map((match) => match[1])
  const found = [...imported, ...started].map((name) => path.resolve(path.dirname(file), name))
  // Declarations import `.js` files and mean their `.d.ts`.
  const files = file.endsWith('.d.ts') ? found.map((name) => name.replace(/\.js$/, '.d.ts')) : found
  return files.filter((name) => existsSync(name))
}

const reached = new Set()
const open = named
  .map(({ file }) => path.join(root, file))
  .filter((file) => file.startsWith(dist) && existsSync(file))
while (open.length > 0) {
  const file = open.pop()
  if (reached.has(file)) continue
  reached.add(file)
  if (existsSync(`${file}.map`)) reached.add(`${file}.map`)
  open.push(...quoted(file))
}

const built = existsSync(dist)
  ? readdirSync(dist, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
  : []
for (const file of built) {
  if (!reached.has(file))
    problems.push(`${path.relative(root, file)} is built but can't be reached from package.json`)
}

for (const problem of problems) console.error(problem)
console.log(`${named.length} names, ${built.length} files, ${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
