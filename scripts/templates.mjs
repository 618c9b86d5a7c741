/**
 * An esbuild plugin that minifies the `html` and `css` templates of the sources: a line break with its indentation
 * becomes a space, and CSS loses its comments and all optional spaces.
 */
import { readFile } from 'node:fs/promises'
import ts from 'typescript'

const minify = {
  html: (text) => text.replace(/\s*\n\s*(\/?>)/g, '$1').replace(/\s*\n\s*/g, ' '),
  css: (text) =>
    text
      .replace(/\/\*[^]*?\*\//g, '')
      .replace(/\s+/g, ' ')
      .replace(/ ?([{};,>]) ?/g, '$1')
      .replace(/: /g, ':')
      .replace(/([ :(,-])0(\.\d)/g, '$1$2')
      .replace(/;\}/g, '}'),
}

/** The text nodes of a template, between its expressions. */
function textsOf(template) {
  if (ts.isNoSubstitutionTemplateLiteral(template)) return [template]
  return [template.head, ...template.templateSpans.map((span) => span.literal)]
}

/** Returns a source with its templates minified. */
function withoutLayout(path, source) {
  const edits = []
  const visit = (node) => {
    if (ts.isTaggedTemplateExpression(node)) {
      const change = minify[node.tag.getText()]
      if (change !== undefined) {
        for (const text of textsOf(node.template)) edits.push({ from: text.getStart(), to: text.end, change })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true))
  edits.sort((a, b) => b.from - a.from)
  let result = source
  for (const { from, to, change } of edits) {
    const text = result.slice(from, to)
    // The delimiters of a text (a backquote, `${`, `}`) are not part of it.
    const [, open, inner, close] = /^([`}])([^]*?)(`|\$\{)$/.exec(text)
    result = result.slice(0, from) + open + change(inner) + close + result.slice(to)
  }
  return result
}

/** The plugin, which applies to the sources of the elements. */
export const templates = {
  name: 'templates',
  setup(build) {
    build.onLoad({ filter: /[\\/]src[\\/]elements[\\/](?:[\w-]+[\\/])?[\w-]+\.ts$/ }, async ({ path }) => {
      return { contents: withoutLayout(path, await readFile(path, 'utf8')), loader: 'ts' }
    })
  },
}
