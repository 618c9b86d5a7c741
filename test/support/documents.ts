/** Reads the project's documents, and what they refer to. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { root } from './process.js'

/** The text of a file of the project, by its path from the root. */
export const read = (file: string): string => readFileSync(path.join(root, file), 'utf8')

/** package.json. */
export const manifest = JSON.parse(read('package.json')) as {
  name: string
  exports: Record<string, unknown>
  scripts: Record<string, string>
  files: string[]
} // our own file

/** A fenced code block. */
export interface Block {
  /** The language of the block, or empty. */
  language: string
  /** The code without the fences. */
  code: string
}

/** All fenced code blocks, in order. */
export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] ?? '',
    code: match[2] ?? '',
  }))
}

/** The cells of all table rows, without headers and separators. */
export function rowsOf(markdown: string): string[][] {
  return [...markdown.matchAll(/(?:^\|.*\|\n?)+/gm)].flatMap(([table]) =>
    table
      .trim()
      .split('\n')
      .slice(2)
      .map((row) =>
        row
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      ),
  )
}

/** The anchors of all headings, which links may point to. */
export function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** The syntax errors that the compiler finds in a piece of code. */
export function syntaxErrors(code: string): string[] {
  const { diagnostics = [] } = ts.transpileModule(code, {
    fileName: 'block.mts',
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext },
  })
  return diagnostics.map((diagnostic) => ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'))
}
