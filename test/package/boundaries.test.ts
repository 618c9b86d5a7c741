import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { ESLint } from 'eslint'
import ts from 'typescript'
import tseslint from 'typescript-eslint'
import { describe, expect, it } from 'vitest'
import { violation } from '../../scripts/boundaries.mjs'

const root = path.resolve(import.meta.dirname, '../..')

// The real configuration, less what needs types: the files linted here do not exist.
const eslint = new ESLint({
  cwd: root,
  overrideConfig: [{ files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked }],
})

async function reports(file: string, code: string, rule: string): Promise<string[]> {
  const results = await eslint.lintText(code, { filePath: path.join(root, file) })
  const messages = results.flatMap((result) => result.messages)
  const fatal = messages.find((message) => message.fatal)
  if (fatal) throw new Error(`${file}: ${fatal.message}`)
  return messages.filter((message) => message.ruleId === rule).map((message) => message.message)
}

const order = 'rooms/order'
const use = (specifier: string) => `import { x } from '${specifier}'\nx()\n`
const useType = (specifier: string) => `import type { X } from '${specifier}'\nexport type Y = X\n`

/** From top to bottom; `scripts/boundaries.mjs` must agree. */
const down = [
  'src/cli/get.ts',
  'src/index.ts',
  'src/http/handler.ts',
  'src/observe/metrics.ts',
  'src/catalog/catalog.ts',
  'src/manager/manager.ts',
  'src/store/file.ts',
  'src/job/run.ts',
  'src/download/record.ts',
  'src/sources/source.ts',
  'src/engine/transfer.ts',
  'src/engine/fetch/fetcher.ts',
  'src/engine/part/part-file.ts',
  'src/engine/hash/hasher.ts',
  'src/engine/protocol.ts',
  'src/layouts/hf-paths.ts',
  'src/net/http.ts',
  'src/disk/names.ts',
  'src/util/schedule.ts',
  'src/errors.ts',
]

describe('the order of the rooms', () => {
  const pairs = down.flatMap((upper, index) => down.slice(index + 1).map((lower) => [upper, lower] as const))
  const specifier = (from: string, to: string) => {
    const way = path.posix.relative(path.posix.dirname(from), to.replace(/\.ts$/, '.js'))
    return way.startsWith('.') ? way : `./${way}`
  }

  it.each(pairs)('%s may import %s, never the other way round, also not a type', (upper, lower) => {
    for (const typeOnly of [false, true]) {
      expect(violation(upper, specifier(upper, lower), typeOnly)).toBeNull()
      expect(violation(lower, specifier(lower, upper), typeOnly)).toContain('stands above')
    }
  })

  it('holds for files that lie deeper or do not exist yet', () => {
    expect(violation('src/disk/new/deep.ts', '../../net/other.js', false)).toContain('stands above')
    expect(violation('src/net/new/deep.ts', '../../disk/other.js', false)).toBeNull()
  })

  it('leaves no file outside the rooms', () => {
    expect(violation('src/loose.ts', './errors.js', false)).toContain('is in no room')
    expect(violation('src/newroom/x.ts', '../errors.js', false)).toContain('is in no room')
    expect(violation('src/http/x.ts', '../newroom/x.js', true)).toContain('is in no room')
  })
})

describe('the sources as they lie', () => {
  const files = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.split(path.sep).join('/'))

  it('nothing lies loose but the public surface and the errors', () => {
    expect(files.filter((file) => !file.includes('/')).sort()).toEqual(['errors.ts', 'index.ts'])
  })

  it('no room has more than 25 files', () => {
    const counts = new Map<string, number>()
    for (const room of files.map((file) => path.posix.dirname(file))) {
      counts.set(room, (counts.get(room) ?? 0) + 1)
    }
    expect([...counts].filter(([, count]) => count > 25)).toEqual([])
  })

  it('each room with tests of its own keeps them in a folder of its name', () => {
    const rooms = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0]))
    const others = [
      'contract',
      'errors',
      'faults',
      'frontends',
      'mutation',
      'package',
      'runtimes',
      'sim',
      'soak',
      'support',
      'types',
      'windows',
    ]
    const folders = readdirSync(path.join(root, 'test'))
    expect(folders.filter((folder) => !rooms.has(folder) && !others.includes(folder))).toEqual([])
  })

  it('only src/disk/fs.ts imports the file system of Node, in whatever form', () => {
    const adapters = readdirSync(path.join(root, 'adapters')).filter((file) => file.endsWith('.ts'))
    const all = [...files.map((file) => `src/${file}`), ...adapters.map((file) => `adapters/${file}`)]
    const isFs = (specifier: string) => /^(?:node:)?fs(?:\/promises)?$/.test(specifier)
    expect(all.filter((file) => specifiersIn(file).some(isFs))).toEqual(['src/disk/fs.ts'])
  })

  it('nothing that users load brings the tests for stores along', () => {
    const kit = ['store/conformance.ts', 'store/conformance-cases.ts', 'store/sample-record.ts']
    const users = files.filter((file) => importsOf(file).some((name) => kit.includes(name)))
    expect(users.filter((file) => !kit.includes(file))).toEqual([])
  })

  it('no file imports itself by way of others, also not for a type, but the language that is loaded when it is spoken', () => {
    expect(circles(new Map(files.map((file) => [file, importsOf(file)])))).toEqual([
      ['elements/chinese.ts', 'elements/strings.ts'],
    ])
  })
})

/** Everything that a file, given relative to the root, names in an import of any kind. */
function specifiersIn(file: string): string[] {
  const text = readFileSync(path.join(root, file), 'utf8')
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
}

/** Everything of `src` that a file of it names in an import of any kind. */
function importsOf(file: string): string[] {
  return specifiersIn(`src/${file}`)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, '.ts'))
}

/** The groups of files that reach each other: strongly connected components (Tarjan 1972). */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): number => {
    const own = index.size
    index.set(node, own)
    let lowest = own
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) lowest = Math.min(lowest, visit(next))
      else if (stack.includes(next)) lowest = Math.min(lowest, index.get(next) ?? own)
    }
    low.set(node, lowest)
    if (lowest === own) {
      const group = stack.splice(stack.indexOf(node))
      if (group.length > 1) found.push(group.sort())
    }
    return lowest
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return found
}

describe('imports that are forbidden whatever the order says', () => {
  it.each([
    ['src/engine/transfer.ts', use('../manager/manager.js')],
    ['src/engine/transfer.ts', useType('../manager/manager.js')],
    ['src/engine/hash/hasher.ts', useType('../transfer.js')],
    ['src/download/states.ts', use('node:events')],
    ['src/http/handler.ts', use('../../adapters/express.js')],
    ['src/manager/manager.ts', use('../../test/support/origin.js')],
    ['src/manager/manager.ts', use('undici')],
    ['src/engine/fetch/connection.ts', use('undici')],
    ['src/engine/fetch/connection.ts', useType('undici')],
    ['src/engine/fetch/connection.ts', use('undici/types/dispatcher.js')],
    ['src/http/handler.ts', use('express')],
    ['src/http/handler.ts', useType('fastify')],
    ['src/manager/manager.ts', use('koa')],
    ['src/client/hook.ts', use('react')],
    ['src/client/hook.ts', use('vue')],
    ['src/store/redis.ts', use('ioredis')],
    ['src/store/bull.ts', use('bullmq')],
    ['src/engine/part/intervals.ts', use('node:fs')],
    ['src/engine/fetch/response-rules.ts', use('buffer')],
    ['src/net/retry.ts', use('node:timers/promises')],
    ['src/disk/names.ts', use('node:path')],
    ['src/job/group-rules.ts', use('node:path')],
    ['src/client/client.ts', use('node:http')],
    ['src/client/client.ts', use('../manager/manager.js')],
    ['src/client/client.ts', use('../http/handler.js')],
    ['src/manager/manager.ts', use('../client/client.js')],
    ['src/elements/row.ts', use('node:fs')],
    ['src/elements/row.ts', use('../manager/manager.js')],
    ['src/elements/row.ts', use('../http/problem.js')],
    ['src/client/client.ts', use('lit')],
    ['src/http/dashboard.ts', use('../elements/page.js')],
    ['src/http/dashboard.ts', use('lit/html.js')],
    ['src/client/client.ts', use('../live/index.js')],
    ['src/live/hub.ts', use('node:events')],
    ['src/live/hub.ts', use('react')],
    ['src/live/hub.ts', useType('vue')],
    ['src/live/hub.ts', use('../manager/manager.js')],
    ['src/live/hub.ts', use('../download/states.js')],
    ['src/live/hub.ts', use('../http/handler.js')],
    ['src/cli/cli.ts', use('../live/index.js')],
    ['src/http/handler.ts', useType('../live/index.js')],
    ['adapters/express.ts', use('express')],
    ['adapters/fastify.ts', use('@fastify/cors')],
    ['adapters/express.ts', use('../src/manager/manager.js')],
    ['adapters/koa.ts', use('./node.js')],
    ['adapters/koa.ts', use('../src/live/index.js')],
    ['adapters/react.ts', use('vue')],
    ['adapters/react.ts', use('node:events')],
    ['adapters/react.ts', use('../src/http/handler.js')],
    ['adapters/react.ts', use('../src/errors.js')],
    ['adapters/react.ts', use('./vue.js')],
    ['adapters/vue.ts', use('react')],
  ])('%s: %j', async (file, code) => {
    expect(await reports(file, code, order)).toHaveLength(1)
  })

  it.each([
    ['export … from', `export { Agent } from 'undici'\n`],
    ['export *', `export * from 'undici'\n`],
    ['import()', `export const load = () => import('undici')\n`],
    ['require()', `export const undici: unknown = require('undici')\n`],
    ['import = require()', `import undici = require('undici')\nexport { undici }\n`],
    ['a type import', `export type Agent = import('undici').Agent\n`],
    ['a bare import', `import 'undici'\n`],
  ])('are seen in the form of %s', async (_form, code) => {
    expect(await reports('src/engine/fetch/connection.ts', code, order)).toHaveLength(1)
  })
})

describe('imports that are allowed', () => {
  it.each([
    ['src/net/http.ts', use('undici')],
    ['src/engine/transfer.ts', use('../errors.js')],
    ['src/engine/part/part-file.ts', use('node:path')],
    ['src/engine/part/part-file.ts', use('../../disk/fs.js')],
    ['src/store/file.ts', use('../errors.js')],
    ['src/http/handler.ts', use('../manager/manager.js')],
    ['src/cli/cli.ts', use('../manager/manager.js')],
    ['src/client/client.ts', use('../http/schemas.js')],
    ['src/client/client.ts', use('../errors.js')],
    ['src/live/hub.ts', use('../client/index.js')],
    ['src/live/hub.ts', useType('../http/schemas.js')],
    ['src/live/hub.ts', use('./state.js')],
    ['adapters/react.ts', use('react')],
    ['adapters/react.ts', use('../src/live/index.js')],
    ['adapters/react.ts', useType('../src/client/index.js')],
    ['adapters/vue.ts', use('vue')],
    ['adapters/express.ts', use('../src/http/handler.js')],
    ['adapters/express.ts', useType('express')],
    ['adapters/fastify.ts', use('node:stream')],
    ['test/engine/x.test.ts', use('undici')],
  ])('%s: %j', async (file, code) => {
    expect(await reports(file, code, order)).toEqual([])
  })
})

describe('src/index.ts', () => {
  const rule = 'no-restricted-syntax'

  it.each([
    `export * from './errors.js'\n`,
    `export * as errors from './errors.js'\n`,
    `export const x = 1\n`,
    `import { x } from './errors.js'\nexport { x }\n`,
    `export default class {}\n`,
    `import './polyfill.js'\n`,
  ])('is not allowed to hold %j', async (code) => {
    expect(await reports('src/index.ts', code, rule)).not.toEqual([])
  })

  it('holds explicit named re-exports', async () => {
    const code = `export { DownloadError, type DownloadErrorCode } from './errors.js'\nexport type { X } from './x.js'\n`
    expect(await reports('src/index.ts', code, rule)).toEqual([])
  })
})

describe('the file system of Node', () => {
  const rule = 'no-restricted-imports'
  const names = ['node:fs', 'fs', 'node:fs/promises', 'fs/promises']

  it.each(names)('is imported by no room but disk: %s', async (name) => {
    for (const file of [
      'src/engine/part/part-file.ts',
      'src/errors.ts',
      'src/disks/x.ts',
      'adapters/node.ts',
    ]) {
      for (const code of [use(name), useType(name), `export { stat } from '${name}'\n`]) {
        const found = await reports(file, code, rule)
        expect(found, `${file}: ${code}`).toHaveLength(1)
        expect(found[0]).toContain('simulate or instrument the disk')
      }
    }
  })

  it.each(['src/disk/fs.ts', 'src/disk/deep/x.ts', 'test/engine/x.test.ts'])(
    'may be imported by %s',
    async (file) => {
      for (const name of names) expect(await reports(file, use(name), rule)).toEqual([])
    },
  )

  it('is not what has a similar name', async () => {
    for (const name of ['../../disk/fs.js', 'node:fsevents', 'fs-extra', 'node:path'])
      expect(await reports('src/engine/part/part-file.ts', use(name), rule), name).toEqual([])
  })
})

describe('other rules that the order leans on', () => {
  it('a file ends at 500 lines, blank ones and comments counted', async () => {
    expect(await reports('src/manager/manager.ts', '// x\n\n'.repeat(250), 'max-lines')).toEqual([])
    expect(
      await reports('src/manager/manager.ts', '// x\n\n'.repeat(250) + '// x', 'max-lines'),
    ).toHaveLength(1)
  })

  it('an adapter ends at 60', async () => {
    expect(await reports('adapters/x.ts', '// x\n'.repeat(60), 'max-lines')).toEqual([])
    expect(await reports('adapters/x.ts', '// x\n'.repeat(61), 'max-lines')).toHaveLength(1)
  })

  it('a test cannot be focused, left out or tried twice', async () => {
    for (const code of [
      'it.only("x", () => {})',
      'describe.skip("x", () => {})',
      'it("x", { retry: 2 }, () => {})',
    ]) {
      expect(await reports('test/unit/x.test.ts', code, 'no-restricted-syntax')).toHaveLength(1)
    }
  })

  it('a file cannot excuse itself', async () => {
    const code = `// eslint-disable-next-line rooms/order\n${use('undici')}`
    expect(await reports('src/manager/manager.ts', code, order)).toHaveLength(1)
  })

  it('the rules that need types are on for the sources', async () => {
    const config = (await new ESLint({ cwd: root }).calculateConfigForFile(
      path.join(root, 'src/errors.ts'),
    )) as { rules: Record<string, unknown[]> } // typed `any` by ESLint
    for (const rule of [
      'no-floating-promises',
      'no-misused-promises',
      'no-explicit-any',
      'no-unsafe-assignment',
    ]) {
      expect(config.rules[`@typescript-eslint/${rule}`]?.[0], rule).toBe(2)
    }
  })
})
