/**
 * Checks that the public API is documented: each export of the entries below, and each public member of its classes,
 * interfaces and object types, must have a doc comment that is not empty.
 *
 * Constructors are documented by their class, and overriding members by what they override. `@internal` members are not
 * public: the build strips them from the declarations.
 */
import path from 'node:path'
import ts from 'typescript'
import { adapters } from './adapters.mjs'
import { publicEntries } from './public-entries.mjs'

const root = path.resolve(import.meta.dirname, '..')
const given = process.argv.slice(2)
const entries = (given.length > 0 ? given : [...publicEntries, ...adapters.map(({ file }) => file)]).map(
  (entry) => path.resolve(root, entry),
)
const sources = ['src', 'adapters'].map((folder) => path.join(root, folder) + path.sep)

const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const program = ts.createProgram(entries, options)
const checker = program.getTypeChecker()

function exportsOf(entry) {
  const sourceFile = program.getSourceFile(entry)
  const moduleSymbol = sourceFile && checker.getSymbolAtLocation(sourceFile)
  if (moduleSymbol) return checker.getExportsOfModule(moduleSymbol)
  console.error(`${path.relative(root, entry)} is missing or exports nothing.`)
  process.exit(1)
}

const problems = []
const seen = new Set()
let checked = 0

const isOurs = (node) => {
  const file = node.getSourceFile().fileName.split('/').join(path.sep)
  return sources.some((folder) => file.startsWith(folder))
}
const textOf = (symbol) => ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim()

function place(node) {
  const file = node.getSourceFile()
  const { line } = file.getLineAndCharacterOfPosition(node.getStart())
  return `${path.relative(root, file.fileName)}:${line + 1}`
}

function require(symbol, name, node) {
  checked++
  if (textOf(symbol) === '') problems.push(`${place(node)} ${name} has no doc comment`)
}

function isHidden(member) {
  const flags = ts.getCombinedModifierFlags(member)
  return (
    (flags & (ts.ModifierFlags.Private | ts.ModifierFlags.Override)) !== 0 ||
    ts.getJSDocTags(member).some((tag) => tag.tagName.text === 'internal') ||
    (member.name !== undefined && ts.isPrivateIdentifier(member.name)) ||
    ts.isConstructorDeclaration(member) ||
    ts.isIndexSignatureDeclaration(member) ||
    ts.isCallSignatureDeclaration(member) ||
    ts.isConstructSignatureDeclaration(member) ||
    ts.isClassStaticBlockDeclaration(member) ||
    ts.isSemicolonClassElement(member)
  )
}

function membersOf(declaration) {
  if (ts.isClassLike(declaration) || ts.isInterfaceDeclaration(declaration)) return declaration.members
  if (ts.isTypeAliasDeclaration(declaration) && ts.isTypeLiteralNode(declaration.type))
    return declaration.type.members
  return []
}

for (const exported of entries.flatMap(exportsOf)) {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  const declarations = (symbol.declarations ?? []).filter(isOurs)
  const [first] = declarations
  if (first === undefined || seen.has(symbol)) continue
  seen.add(symbol)
  require(symbol, exported.name, first)
  for (const member of declarations.flatMap((declaration) => [...membersOf(declaration)])) {
    if (isHidden(member)) continue
    const memberSymbol = member.name && checker.getSymbolAtLocation(member.name)
    const name = `${exported.name}.${member.name?.getText() ?? '?'}`
    require(memberSymbol ?? member.symbol, name, member)
  }
}

for (const problem of problems) console.error(problem)
console.log(`${checked} public names checked, ${problems.length} without a doc comment`)
process.exit(problems.length === 0 ? 0 : 1)
