/**
 * Holds that an exported name means one thing: no two declarations in `src` and `adapters` are exported under the same
 * name, so that whoever searches for a name, or lets an editor import it, finds the right one. Types and values count
 * alike. Re-exporting a declaration from another file is no second meaning.
 *
 * Two things are left to what users import. An entry of the package may give a declaration of another file a shorter name
 * of its own: `ModelsStatus` of the client is a `WireModelsStatus`, and only a server has both. Adapters may share names
 * among themselves, because their users choose one of them: `modelDownloader` is the name to look for in each.
 */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const folders = ['src', 'adapters']

/** What users import; an adapter is one, too. */
const entries = new Set(['src/index.ts', 'src/client/index.ts', 'src/elements/types.ts'])

function sourceFiles(root) {
  return folders
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        path.join(root, folder, file),
      ),
    )
    .filter((file) => /\.[cm]?tsx?$/.test(file))
    .sort()
}

/** The program of these files and nothing else: what packages export is not looked at, and reading them takes long. */
function programOf(files) {
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, noLib: true, types: [] }
  const host = ts.createCompilerHost(options)
  host.resolveModuleNameLiterals = (literals, from) =>
    literals.map(({ text }) =>
      text.startsWith('.') ? ts.resolveModuleName(text, from, options, host) : { resolvedModule: undefined },
    )
  return ts.createProgram(files, options, host)
}

/**
 * Every name under which more than one declaration is exported, with the places of all of them.
 *
 * @param {string} root the folder that holds `src` and `adapters`
 * @returns {{ name: string, places: string[] }[]}
 */
export function sharedNames(root) {
  const files = sourceFiles(root)
  const program = programOf(files)
  const checker = program.getTypeChecker()
  const meanings = new Map()
  for (const file of files) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file))
    for (const exported of module === undefined ? [] : checker.getExportsOfModule(module)) {
      const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
      const meaning = isAlias ? checker.getAliasedSymbol(exported) : exported
      // A default export has no name, and what comes from a package has its declaration elsewhere.
      if (exported.name === 'default' || meaning.declarations === undefined) continue
      if (isAlias && exported.name !== meaning.name && isEntry(root, file)) continue
      const known = meanings.get(exported.name) ?? new Set()
      meanings.set(exported.name, known.add(meaning))
    }
  }
  return [...meanings]
    .map(([name, symbols]) => ({
      name,
      places: [...symbols].map(({ declarations }) => placeOf(root, declarations[0])).sort(),
    }))
    .filter(({ places }) => places.length > 1 && !places.every((place) => place.startsWith('adapters/')))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

const relativeTo = (root, file) => path.relative(root, file).split(path.sep).join('/')

function isEntry(root, file) {
  const name = relativeTo(root, file)
  return entries.has(name) || name.startsWith('adapters/')
}

function placeOf(root, declaration) {
  const file = declaration.getSourceFile()
  const { line } = file.getLineAndCharacterOfPosition(declaration.getStart())
  return `${relativeTo(root, file.fileName)}:${line + 1}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = sharedNames(path.resolve(import.meta.dirname, '..'))
  for (const { name, places } of found) console.error(`${name} is exported by ${places.join(' and by ')}`)
  console.log(`${found.length} exported names mean more than one thing`)
  process.exit(found.length === 0 ? 0 : 1)
}
