/**
 * Compiles the code blocks of README.md and docs/ under `strict`, so that what a reader copies fits the package as it
 * is. That holds for blocks of JavaScript as well, since many readers write TypeScript. A block after the comment
 * `<!-- plain JavaScript -->` is meant for others: it is checked as far as it can be without written types.
 *
 * `snippets/given.d.ts` declares what the text around a block has introduced. An `app` is of the framework whose adapter
 * the block imports. A block whose first line is a comment with a file name is that file, so that others can import it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'

const root = path.resolve(import.meta.dirname, '..')
const given = ['given.d.ts', 'modules.d.ts'].map((file) => path.join(import.meta.dirname, 'snippets', file))

if (!existsSync(path.join(root, 'dist/index.d.ts'))) {
  console.error('dist has no types. Build it first: npm run build')
  process.exit(1)
}

/** Where the blocks would be. Nothing is written there. */
const home = path.join(root, '.cache/snippets')

/** The type of `app` by the adapter that a block imports. */
const apps = {
  express: "import('express').Express",
  fastify: "import('fastify').FastifyInstance",
  koa: "import('koa')",
  fetch: "import('hono').Hono",
}

const documents = ['.', 'docs', 'docs/frameworks', 'docs/sources'].flatMap((folder) =>
  readdirSync(path.join(root, folder))
    // Chinese pages hold the code of their twins, as a test of the documents makes sure.
    .filter((file) => /(?<!\.zh-CN)\.md$/u.test(file) && file !== 'CHANGELOG.md')
    .map((file) => path.join(folder, file)),
)

/** The blocks by the path of the file that each would be. */
const blocks = new Map()
for (const document of documents) {
  const text = readFileSync(path.join(root, document), 'utf8')
  const fences = /(<!-- plain JavaScript -->\n+)?^ *```(js|jsx|ts|tsx)\n(.*?)^ *```/gms
  for (const match of text.matchAll(fences)) {
    const [all, plain, language = '', code = ''] = match
    const line = text.slice(0, match.index + all.indexOf('```')).split('\n').length
    const own = /^\/\/ ([\w.-]+\.mjs)\n/.exec(code)?.[1]
    const ending = plain === undefined ? language.replace('js', 'ts') : language
    const name = own ?? `${document.replaceAll(/[\\/]/g, '-')}-${line}.${ending}`
    const adapter = Object.keys(apps).find((each) => code.includes(`'model-downloader/${each}'`))
    const app = adapter === undefined || /\b(?:const|let) app\b/.test(code) ? undefined : apps[adapter]
    blocks.set(path.join(home, name), { document, line, code, app })
  }
}

/** A block as a module. What is put before its first line adds no line. */
function moduleOf({ code, app }) {
  return app === undefined ? `export {}; ${code}` : `export {}; declare const app: ${app}; ${code}`
}

const options = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  jsx: ts.JsxEmit.ReactJSX,
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  types: ['node'],
}

/** Compiles the blocks of one kind; resolves to the problems, each with its place in its document. */
function compile(files, settings) {
  const host = ts.createCompilerHost(settings)
  const { directoryExists, fileExists, readFile } = host
  host.directoryExists = (folder) => path.normalize(folder) === home || directoryExists?.(folder) === true
  host.fileExists = (file) => blocks.has(path.normalize(file)) || fileExists(file)
  host.readFile = (file) => {
    const block = blocks.get(path.normalize(file))
    return block === undefined ? readFile(file) : moduleOf(block)
  }
  const { getSourceFile } = host
  host.getSourceFile = (file, ...rest) =>
    blocks.has(path.normalize(file))
      ? ts.createSourceFile(file, host.readFile(file) ?? '', settings.target, true)
      : getSourceFile(file, ...rest)
  const program = ts.createProgram([...files, ...given], settings, host)
  const found = [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics()]
  for (const file of [...files, ...given].map((each) => program.getSourceFile(each)))
    found.push(...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file))
  return found.map(({ file, start = 0, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    const block = file && blocks.get(path.normalize(file.fileName))
    if (block === undefined) return `${file?.fileName ?? ''}: ${text}`
    return `${block.document}:${block.line + 1 + file.getLineAndCharacterOfPosition(start).line}: ${text}`
  })
}

const files = [...blocks.keys()]
const isScript = (file) => /\.m?js$/.test(file)
const problems = [
  ...compile(
    files.filter((file) => !isScript(file)),
    options,
  ),
  ...compile(files.filter(isScript), {
    ...options,
    ...{ allowJs: true, checkJs: true, noImplicitAny: false, useUnknownInCatchVariables: false },
  }),
]
for (const problem of problems) console.error(problem)
console.log(`${files.length} code blocks, ${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
