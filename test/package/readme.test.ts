import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  name: string
  bin: Record<string, string>
  exports: Record<string, unknown>
} // our own file

interface Block {
  language: string
  code: string
}

function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] ?? '',
    code: match[2] ?? '',
  }))
}

function parse(name: string, code: string): ts.SourceFile {
  return ts.createSourceFile(name, code, ts.ScriptTarget.ESNext, true)
}

function syntaxErrors(code: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(code, {
    fileName: 'block.mts',
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  })
  return diagnostics.map((diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'))
}

/** Every `import { name } from 'specifier'` in a piece of code. */
function importsOf(code: string): { specifier: string; names: string[] }[] {
  return parse('block.mts', code)
    .statements.filter(ts.isImportDeclaration)
    .map((statement) => {
      const bindings = statement.importClause?.namedBindings
      return {
        specifier: (statement.moduleSpecifier as ts.StringLiteral).text, // the grammar allows nothing else
        names:
          bindings && ts.isNamedImports(bindings)
            ? bindings.elements.map((element) => (element.propertyName ?? element.name).text)
            : ['default'],
      }
    })
}

function publicNames(): Set<string> {
  const names = parse('index.ts', read('src/index.ts'))
    .statements.filter(ts.isExportDeclaration)
    .flatMap((statement) => {
      const clause = statement.exportClause
      return clause && ts.isNamedExports(clause) ? clause.elements.map((element) => element.name.text) : []
    })
  return new Set(names)
}

/** Where the sources of an entry of ours are, and what they export. */
function namesOf(specifier: string): Set<string> {
  if (specifier === manifest.name) return publicNames()
  const entry = specifier.slice(manifest.name.length + 1)
  expect(manifest.exports).toHaveProperty([`./${entry}`])
  const file = entry === 'client' ? 'src/client/index.ts' : `adapters/${entry}.ts`
  const words = read(file).matchAll(/export (?:const|function|class) (\w+)|export \{([^}]*)\}/g)
  return new Set([...words].flatMap(([, one, several]) => (one ?? several ?? '').split(/[\s,]+/)))
}

const english = read('README.md')
const chinese = read('README.zh-CN.md')

describe('the two READMEs', () => {
  it('link each other', () => {
    expect(english).toContain('](README.zh-CN.md)')
    expect(chinese).toContain('](README.md)')
  })

  it('hold the same code', () => {
    expect(blocksOf(english).length).toBeGreaterThan(4)
    expect(blocksOf(chinese)).toEqual(blocksOf(english))
  })

  it('have the same headings and tables', () => {
    const shape = (text: string) => ({
      headings: [...text.matchAll(/^#+ /gm)].map((match) => match[0]),
      rows: [...text.matchAll(/^\|/gm)].length,
      options: [...text.matchAll(/`(--[a-z0-9-]+)/g)].map((match) => match[1]),
    })
    expect(shape(chinese)).toEqual(shape(english))
  })

  it('show an installation and a working example first', () => {
    const [install, script] = blocksOf(english)
    expect(install?.code).toContain(`npm install ${manifest.name}`)
    expect(script?.language).toBe('js')
    expect(script?.code.trim().split('\n').length).toBeLessThanOrEqual(8)
  })
})

describe.each(blocksOf(english).filter((block) => block.language === 'js'))(
  'README code: $code',
  ({ code }) => {
    it('parses', () => {
      expect(syntaxErrors(code)).toEqual([])
    })

    it('imports only what there is', () => {
      for (const { specifier, names: imported } of importsOf(code)) {
        expect(specifier.split('/')[0]).toBe(manifest.name)
        const names = namesOf(specifier)
        for (const name of imported) expect(names, name).toContain(name)
      }
    })
  },
)

describe.each([
  'README.md',
  'README.zh-CN.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'docs/adapters.md',
  'docs/architecture.md',
])('%s', (document) => {
  it('links to files that exist', () => {
    const links = [...read(document).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((link) => !/^[a-z]+:/.test(link))
    const missing = links.filter((link) => !existsSync(path.join(root, path.dirname(document), link)))
    expect(missing).toEqual([])
  })

  it('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> } // our own file
    const named = [...read(document).matchAll(/npm run ([a-z0-9:]+)/g)].map((match) => match[1] ?? '')
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})
