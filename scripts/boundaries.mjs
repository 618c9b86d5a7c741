/**
 * The arrows of the house, as a lint rule: which part of `src` may import what. `docs/architecture.md` draws them.
 *
 * The rule works on paths alone, so that it also judges files that do not exist yet, and looks at every way of
 * importing: `import`, `export … from`, `import()`, `require()` and `import('…')` in types.
 */
import { isBuiltin } from 'node:module'
import path from 'node:path'

/** From the ground up. A part imports parts of its own floor or below. */
const floors = [
  {
    name: 'base',
    parts: [
      'errors.ts',
      'states.ts',
      'options.ts',
      'header-options.ts',
      'events.ts',
      'progress.ts',
      'redact.ts',
      'lazily.ts',
    ],
  },
  { name: 'engine', parts: ['transfer/', 'files/', 'layouts/', 'network/', 'sources/', 'store/'] },
  // Whatever lies directly in src and is not listed elsewhere stands on this floor too.
  { name: 'manager', parts: ['manager.ts', 'download.ts', 'group/'] },
  { name: 'catalog', parts: ['catalog/'] },
  { name: 'http', parts: ['http/'] },
  { name: 'top', parts: ['cli/', 'index.ts'] },
]
const managerFloor = floors.findIndex((floor) => floor.name === 'manager')

/** No part of `src` may know who hosts it. */
const frameworks =
  /^(?:express|fastify|koa|hono|next|react|react-dom|vue|bullmq|ioredis|@fastify\/.+|@koa\/.+|@nestjs\/.+)(?:\/|$)/

/** Pure logic: no input or output, so no built-in module. */
const pure = new Set([
  'src/states.ts',
  'src/group/plan.ts',
  'src/group/merge.ts',
  'src/group/budget.ts',
  'src/group/outcome.ts',
  'src/transfer/segments.ts',
  'src/transfer/rules.ts',
  'src/transfer/retry.ts',
  'src/files/names.ts',
  'src/network/policy.ts',
  'src/layouts/hf-cache.ts',
])

/** What runs in browsers, and all that it may take from the rest of `src`. */
const browserParts = [
  { folder: 'src/client/', mayImport: ['src/http/schemas.ts', 'src/errors.ts'] },
  { folder: 'src/live/', mayImport: ['src/client/', 'src/http/schemas.ts', 'src/errors.ts'] },
  {
    folder: 'src/elements/',
    mayImport: ['src/live/', 'src/client/', 'src/http/schemas.ts', 'src/errors.ts'],
  },
]
const browserPartOf = (file) => browserParts.find(({ folder }) => file.startsWith(folder))

/** Adapters that bring the client into a framework of pages: a hook is nothing without its framework's run time. */
const bindings = new Map([
  ['adapters/react.ts', 'react'],
  ['adapters/vue.ts', 'vue'],
])

function floorOf(file) {
  const inside = file.slice('src/'.length)
  const found = floors.findIndex(({ parts }) => parts.some((part) => isInside(inside, part)))
  return found === -1 ? managerFloor : found
}

/** Whether a file is this one, or lies in this folder (which ends with a slash). */
const isInside = (file, part) => (part.endsWith('/') ? file.startsWith(part) : file === part)

const isPackage = (specifier, name) => specifier === name || specifier.startsWith(`${name}/`)

/**
 * Why an import breaks the house, or null when it does not.
 *
 * @param {string} from importing file, relative to the root, with slashes
 * @param {string} specifier what stands in the quotes
 * @param {boolean} typeOnly whether nothing of it is left at run time
 * @returns {string | null}
 */
export function violation(from, specifier, typeOnly) {
  if (from.startsWith('adapters/')) return adapterViolation(from, specifier, typeOnly)
  if (!from.startsWith('src/')) return null
  const browserPart = browserPartOf(from)

  if (!specifier.startsWith('.')) {
    if (frameworks.test(specifier)) return `src never imports a framework (${specifier})`
    if (isPackage(specifier, 'undici') && from !== 'src/transfer/http.ts') {
      return 'undici is imported in src/transfer/http.ts only'
    }
    if (isBuiltin(specifier) && pure.has(from))
      return `${from} is pure and imports no Node module (${specifier})`
    if (isBuiltin(specifier) && browserPart !== undefined)
      return `${browserPart.folder} runs in browsers and imports no Node module (${specifier})`
    if (isPackage(specifier, 'lit') && !from.startsWith('src/elements/'))
      return `lit is imported in src/elements only (${specifier})`
    return null
  }

  const to = path.posix.join(path.posix.dirname(from), specifier).replace(/\.(m?)js$/, '.$1ts')
  if (to.startsWith('adapters/')) return 'src never imports adapters'
  if (!to.startsWith('src/')) return `src imports nothing from outside src (${to})`
  if (browserPart !== undefined) {
    const { folder, mayImport } = browserPart
    const isAllowed = [folder, ...mayImport].some((each) => isInside(to, each))
    return isAllowed ? null : `${folder} does not import ${to}`
  }
  if (browserPartOf(to) !== undefined) return `only users import ${browserPartOf(to).folder} (${from})`
  if (from.startsWith('src/transfer/') && to.startsWith('src/store/'))
    return 'src/transfer never imports src/store'
  if (floorOf(to) > floorOf(from)) {
    // The vocabulary names the things that it speaks about: `events.ts` says Download, `options.ts` says DownloadStore.
    if (typeOnly && floors[floorOf(from)].name === 'base') return null
    return `${from} (${floors[floorOf(from)].name}) must not import ${to} (${floors[floorOf(to)].name}): arrows run down`
  }
  return null
}

/** An adapter is a thin shell over `src/http`, or over `src/live` in a page, and brings no framework along. */
function adapterViolation(from, specifier, typeOnly) {
  const binding = bindings.get(from)
  if (!specifier.startsWith('.')) {
    if (binding !== undefined && isBuiltin(specifier))
      return `${from} runs in browsers and imports no Node module (${specifier})`
    if (binding !== undefined && isPackage(specifier, binding)) return null
    return frameworks.test(specifier) && !typeOnly
      ? `adapters import frameworks as types only (${specifier})`
      : null
  }
  const to = path.posix.join(path.posix.dirname(from), specifier)
  if (binding !== undefined) {
    const isAllowed = to.startsWith('src/live/') || to.startsWith('src/client/')
    return isAllowed ? null : `${from} imports src/live and src/client only (${to})`
  }
  return to.startsWith('src/http/') ? null : `adapters import src/http only (${to})`
}

const textOf = (node) => (node?.type === 'Literal' && typeof node.value === 'string' ? node.value : null)

function isTypeOnly(node) {
  if (node.importKind === 'type' || node.exportKind === 'type') return true
  const { specifiers = [] } = node
  return (
    specifiers.length > 0 &&
    specifiers.every((specifier) => specifier.importKind === 'type' || specifier.exportKind === 'type')
  )
}

/** @type {import('eslint').Rule.RuleModule} */
const arrows = {
  meta: { type: 'problem', schema: [], messages: { arrow: 'The house: {{ reason }}.' } },
  create(context) {
    const from = path.relative(context.cwd, context.filename).split(path.sep).join('/')
    const judge = (node, specifier, typeOnly) => {
      const reason = specifier === null ? null : violation(from, specifier, typeOnly)
      if (reason !== null) context.report({ node, messageId: 'arrow', data: { reason } })
    }
    const declaration = (node) => {
      judge(node, textOf(node.source), isTypeOnly(node))
    }
    return {
      ImportDeclaration: declaration,
      ExportNamedDeclaration: declaration,
      ExportAllDeclaration: declaration,
      ImportExpression(node) {
        judge(node, textOf(node.source), false)
      },
      TSImportType(node) {
        judge(node, textOf(node.source ?? node.argument?.literal), true)
      },
      TSExternalModuleReference(node) {
        judge(node, textOf(node.expression), false)
      },
      'CallExpression[callee.name="require"]'(node) {
        judge(node, textOf(node.arguments[0]), false)
      },
    }
  },
}

/** The ESLint plugin that holds the rule: `house/arrows`. */
export default { meta: { name: 'house' }, rules: { arrows } }
