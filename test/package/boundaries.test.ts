import path from 'node:path'
import { ESLint } from 'eslint'
import tseslint from 'typescript-eslint'
import { describe, expect, it } from 'vitest'

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

const arrows = 'house/arrows'
const use = (specifier: string) => `import { x } from '${specifier}'\nx()\n`
const useType = (specifier: string) => `import type { X } from '${specifier}'\nexport type Y = X\n`

describe('imports that the house forbids', () => {
  it.each([
    ['src/transfer/transfer.ts', use('../manager.js')],
    ['src/transfer/transfer.ts', useType('../manager.js')],
    ['src/transfer/transfer.ts', use('../download.js')],
    ['src/transfer/transfer.ts', use('../store/store.js')],
    ['src/transfer/deep/er.ts', use('../../store/file.js')],
    ['src/transfer/transfer.ts', use('../http/handler.js')],
    ['src/transfer/transfer.ts', use('../cli/cli.js')],
    ['src/transfer/transfer.ts', use('../index.js')],
    ['src/store/file.ts', use('../manager.js')],
    ['src/files/lock.ts', use('../download.js')],
    ['src/sources/http.ts', use('../manager.js')],
    ['src/network/policy.ts', use('../http/access.js')],
    ['src/manager.ts', use('./http/handler.js')],
    ['src/download.ts', use('./cli/cli.js')],
    ['src/queue.ts', use('./http/handler.js')],
    ['src/catalog/catalog.ts', use('../http/handler.js')],
    ['src/errors.ts', use('./transfer/rules.js')],
    ['src/states.ts', use('./manager.js')],
    ['src/events.ts', use('./download.js')],
    ['src/http/handler.ts', use('../../adapters/express.js')],
    ['src/manager.ts', use('../test/support/origin.js')],
    ['src/manager.ts', use('undici')],
    ['src/transfer/connection.ts', use('undici')],
    ['src/transfer/connection.ts', useType('undici')],
    ['src/transfer/connection.ts', use('undici/types/dispatcher.js')],
    ['src/http/handler.ts', use('express')],
    ['src/http/handler.ts', useType('fastify')],
    ['src/manager.ts', use('koa')],
    ['src/client/hook.ts', use('react')],
    ['src/client/hook.ts', use('vue')],
    ['src/store/redis.ts', use('ioredis')],
    ['src/store/bull.ts', use('bullmq')],
    ['src/transfer/segments.ts', use('node:fs')],
    ['src/transfer/rules.ts', use('buffer')],
    ['src/transfer/retry.ts', use('node:timers/promises')],
    ['src/states.ts', use('node:events')],
    ['src/files/names.ts', use('node:path')],
    ['src/client/client.ts', use('node:http')],
    ['src/client/client.ts', use('../manager.js')],
    ['src/client/client.ts', use('../http/handler.js')],
    ['src/manager.ts', use('./client/client.js')],
    ['src/elements/row.ts', use('node:fs')],
    ['src/elements/row.ts', use('../manager.js')],
    ['src/elements/row.ts', use('../http/wire.js')],
    ['src/client/client.ts', use('lit')],
    ['src/http/dashboard.ts', use('../elements/page.js')],
    ['src/http/dashboard.ts', use('lit/html.js')],
    ['src/client/client.ts', use('../live/index.js')],
    ['src/live/hub.ts', use('node:events')],
    ['src/live/hub.ts', use('react')],
    ['src/live/hub.ts', useType('vue')],
    ['src/live/hub.ts', use('../manager.js')],
    ['src/live/hub.ts', use('../states.js')],
    ['src/live/hub.ts', use('../http/handler.js')],
    ['src/manager.ts', use('./live/index.js')],
    ['src/http/handler.ts', useType('../live/index.js')],
    ['adapters/express.ts', use('express')],
    ['adapters/fastify.ts', use('@fastify/cors')],
    ['adapters/express.ts', use('../src/manager.js')],
    ['adapters/koa.ts', use('./node.js')],
    ['adapters/koa.ts', use('../src/live/index.js')],
    ['adapters/react.ts', use('vue')],
    ['adapters/react.ts', use('node:events')],
    ['adapters/react.ts', use('../src/http/handler.js')],
    ['adapters/react.ts', use('../src/errors.js')],
    ['adapters/react.ts', use('./vue.js')],
    ['adapters/vue.ts', use('react')],
  ])('%s: %j', async (file, code) => {
    expect(await reports(file, code, arrows)).toHaveLength(1)
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
    expect(await reports('src/transfer/connection.ts', code, arrows)).toHaveLength(1)
  })
})

describe('imports that the house allows', () => {
  it.each([
    ['src/transfer/http.ts', use('undici')],
    ['src/transfer/transfer.ts', use('../errors.js')],
    ['src/transfer/transfer.ts', use('../files/lock.js')],
    ['src/transfer/part-file.ts', use('node:fs')],
    ['src/store/file.ts', use('../errors.js')],
    ['src/manager.ts', use('./transfer/engine.js')],
    ['src/http/handler.ts', use('../manager.js')],
    ['src/cli/cli.ts', use('../manager.js')],
    ['src/events.ts', useType('./download.js')],
    ['src/options.ts', useType('./store/store.js')],
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
    expect(await reports(file, code, arrows)).toEqual([])
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

describe('other rules that the house leans on', () => {
  it('a file ends at 400 lines, blank ones and comments counted', async () => {
    expect(await reports('src/manager.ts', '// x\n\n'.repeat(200), 'max-lines')).toEqual([])
    expect(await reports('src/manager.ts', '// x\n\n'.repeat(200) + '// x', 'max-lines')).toHaveLength(1)
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
    const code = `// eslint-disable-next-line house/arrows\n${use('undici')}`
    expect(await reports('src/manager.ts', code, arrows)).toHaveLength(1)
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
