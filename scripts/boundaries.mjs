/**
 * A lint rule that enforces the order of the rooms: a room of `src` may import only rooms below it. The rooms are
 * described in `docs/architecture.md`.
 *
 * The rule works on paths alone, so it can also judge files that do not exist yet. It covers every form of import:
 * `import`, `export … from`, `import()`, `require()` and `import('…')` in types. Type imports count like any other.
 */
import { isBuiltin } from 'node:module'
import path from 'node:path'
import { isFramework, pageAdapters } from './adapters.mjs'

/** The rooms from top to bottom. A name that ends with a slash is a folder of `src`, any other a file in it. */
export const rooms = [
  'elements/',
  'live/',
  'client/',
  'cli/',
  'index.ts',
  'http/',
  'observe/',
  'catalog/',
  'cluster/',
  'manager/',
  'files/',
  'store/',
  'job/',
  'download/',
  'inspect/',
  'sources/',
  'engine/',
  'layouts/',
  'net/',
  'disk/',
  'util/',
  'errors.ts',
]

/** The order inside the engine. Files directly in `engine/` that are not listed here come before all of these. */
const engineRooms = ['engine/fetch/', 'engine/xet/', 'engine/part/', 'engine/hash/', 'engine/protocol.ts']

/** Pure logic: no input or output, so no built-in module. */
const pure = new Set(
  [
    'catalog/run.ts',
    'cluster/shares.ts',
    'disk/config-names.ts',
    'disk/lock-owner.ts',
    'disk/model-formats.ts',
    'disk/names.ts',
    'disk/substitutes.ts',
    'download/error-chinese.ts',
    'download/error-sentences.ts',
    'download/error-text.ts',
    'download/log-text.ts',
    'download/progress.ts',
    'download/states.ts',
    'download/verification.ts',
    'engine/fetch/change-evidence.ts',
    'engine/fetch/connection-ramp.ts',
    'engine/fetch/mirror-choice.ts',
    'engine/fetch/pool-size.ts',
    'engine/fetch/request-form.ts',
    'engine/fetch/response-rules.ts',
    'engine/fetch/retry-budget.ts',
    'engine/fetch/segments.ts',
    'engine/hash/expected.ts',
    'engine/part/allocation.ts',
    'engine/part/identity.ts',
    'engine/part/intervals.ts',
    'engine/part/live-journal.ts',
    'engine/xet/chunk.ts',
    'engine/xet/delta.ts',
    'engine/xet/lz4.ts',
    'engine/xet/plan.ts',
    'engine/xet/sequence.ts',
    'files/stored.ts',
    'inspect/contents.ts',
    'inspect/gguf.ts',
    'inspect/header.ts',
    'inspect/safetensors.ts',
    'job/connection-budget.ts',
    'job/group-rules.ts',
    'job/outcomes.ts',
    'job/transfer-events.ts',
    'layouts/hf-paths.ts',
    'layouts/hf-usage.ts',
    'manager/space/ledger.ts',
    'manager/space/victims.ts',
    'manager/upstream/compare.ts',
    'net/address-policy.ts',
    'net/content-range.ts',
    'net/direct/plain-head.ts',
    'net/exchange.ts',
    'net/redirects.ts',
    'net/requested-wait.ts',
    'net/retry.ts',
    'net/server-digests.ts',
    'sources/checksums.ts',
    'sources/globs.ts',
    'sources/metalink.ts',
    'sources/quantisation.ts',
    'util/archives.ts',
    'util/base64.ts',
    'util/decode.ts',
    'util/digests.ts',
    'util/format.ts',
    'util/locale.ts',
    'util/redact.ts',
    'util/runtime.ts',
  ].map((file) => `src/${file}`),
)

/** Packages that few hosts have, and that nothing else may need. */
const observers = ['prom-client', '@opentelemetry/api']

/** What browsers know of the server: the types of what it answers. */
const wireTypes = ['', 'disk-', 'cluster/', 'fleet/', 'upstream/'].map((part) => `http/${part}schemas.ts`)

/** The rooms that run in browsers, and everything in the rest of `src` that they may import. */
const browserRooms = new Map([
  ['elements/', ['live/', 'client/', ...wireTypes, 'errors.ts']],
  ['live/', ['client/', ...wireTypes, 'errors.ts']],
  ['client/', [...wireTypes, 'errors.ts']],
])

/** Adapters that bring the client into a framework of pages: a hook is nothing without its framework's run time. */
const bindings = new Map(pageAdapters.map(({ name, file }) => [file, name]))

/** Whether a file is the given file, or is inside the given folder (which ends with a slash). */
const isInside = (file, part) => (part.endsWith('/') ? file.startsWith(part) : file === part)

const isPackage = (specifier, name) => specifier === name || specifier.startsWith(`${name}/`)

/** The room of a file, which is given relative to `src`; undefined when the file is in none. */
const roomOf = (inside) => rooms.find((room) => isInside(inside, room))

/** The position of a file in the order of the engine; 0 for its top level. */
const engineLevel = (inside) => engineRooms.findIndex((room) => isInside(inside, room)) + 1

/**
 * Why an import violates the order, or null when it does not.
 *
 * @param {string} from the importing file, relative to the root, with slashes
 * @param {string} specifier the module specifier of the import
 * @param {boolean} typeOnly whether the import is erased at compile time
 * @returns {string | null}
 */
export function violation(from, specifier, typeOnly) {
  if (from.startsWith('adapters/')) return adapterViolation(from, specifier, typeOnly)
  if (!from.startsWith('src/')) return null
  const room = roomOf(from.slice('src/'.length))
  if (room === undefined)
    return `${from} is in no room. Move it into one (only index.ts and errors.ts are directly in src)`
  return specifier.startsWith('.')
    ? fileViolation(from, room, specifier)
    : packageViolation(from, room, specifier)
}

function packageViolation(from, room, specifier) {
  if (isPackage(specifier, 'ioredis') && room === 'cluster/') return null
  if (isPackage(specifier, 'bullmq') && from.startsWith('src/cluster/bullmq/')) return null
  // No part of `src` may know who hosts it.
  if (isFramework(specifier)) return `src never imports a framework (${specifier})`
  if (isPackage(specifier, 'undici') && from !== 'src/net/http.ts')
    return 'only src/net/http.ts imports undici'
  if (isPackage(specifier, 'lit') && room !== 'elements/')
    return `only src/elements imports lit (${specifier})`
  if (isPackage(specifier, '@tanstack/virtual-core') && room !== 'elements/')
    return `only src/elements imports @tanstack/virtual-core (${specifier})`
  if (observers.some((name) => isPackage(specifier, name)) && !from.startsWith('src/observe/'))
    // The command loads it for its option alone.
    if (from !== 'src/cli/serve/operation.ts') return `only src/observe imports ${specifier}`
  if (!isBuiltin(specifier)) return null
  if (pure.has(from)) return `${from} is pure and imports no Node module (${specifier})`
  return browserRooms.has(room)
    ? `src/${room} runs in browsers and imports no Node module (${specifier})`
    : null
}

function fileViolation(from, room, specifier) {
  const to = path.posix.join(path.posix.dirname(from), specifier).replace(/\.(m?)js$/, '.$1ts')
  if (to.startsWith('adapters/')) return 'src never imports adapters'
  if (!to.startsWith('src/')) return `src imports nothing from outside src (${to})`
  const [fromInside, toInside] = [from, to].map((file) => file.slice('src/'.length))
  const toRoom = roomOf(toInside)
  if (toRoom === undefined) return `${to} is in no room`
  if (toRoom === room) {
    const isUp = room === 'engine/' && engineLevel(toInside) < engineLevel(fromInside)
    return isUp ? `${from} must not import ${to}, which stands above it in the engine` : null
  }
  const only = browserRooms.get(room)
  if (only !== undefined)
    return only.some((each) => isInside(toInside, each)) ? null : `src/${room} does not import ${to}`
  if (browserRooms.has(toRoom)) return `no other part of src imports src/${toRoom} (${from})`
  return rooms.indexOf(toRoom) > rooms.indexOf(room)
    ? null
    : `${from} must not import ${to}: src/${toRoom} stands above src/${room}`
}

/** An adapter is a thin layer over `src/http`, or over `src/live` in browsers, and depends on no framework. */
function adapterViolation(from, specifier, typeOnly) {
  const binding = bindings.get(from)
  if (!specifier.startsWith('.')) {
    if (binding !== undefined && isBuiltin(specifier))
      return `${from} runs in browsers and imports no Node module (${specifier})`
    if (binding !== undefined && isPackage(specifier, binding)) return null
    return isFramework(specifier) && !typeOnly
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
const order = {
  meta: { type: 'problem', schema: [], messages: { order: 'The order of the rooms: {{ reason }}.' } },
  create(context) {
    const from = path.relative(context.cwd, context.filename).split(path.sep).join('/')
    const judge = (node, specifier, typeOnly) => {
      const reason = specifier === null ? null : violation(from, specifier, typeOnly)
      if (reason !== null) context.report({ node, messageId: 'order', data: { reason } })
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

/** The ESLint plugin with the rule `rooms/order`. */
export default { meta: { name: 'rooms' }, rules: { order } }
