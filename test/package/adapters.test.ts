import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  adapters,
  frameworks,
  isFramework,
  pageAdapters,
  readAdapter,
  serverAdapters,
} from '../../scripts/adapters.mjs'

const root = path.resolve(import.meta.dirname, '../..')

/** The fields of package.json that are about adapters. */
interface PackageFields {
  exports: Record<string, unknown>
  peerDependencies: Record<string, string>
  peerDependenciesMeta: Record<string, { optional?: boolean }>
}

// It is ours, and the build would not work without these fields.
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as PackageFields

describe('the adapters', () => {
  it('are the files of their folder', () => {
    expect(adapters.map(({ file }) => path.basename(file))).toEqual(
      readdirSync(path.join(root, 'adapters')).sort(),
    )
    expect(pageAdapters.map(({ name }) => name)).toEqual(['react', 'vue'])
    expect(serverAdapters.map(({ name }) => name)).toEqual(['express', 'fastify', 'fetch', 'koa', 'node'])
  })

  it.each(adapters)(
    '$name is exported, and its framework is the choice of the host',
    ({ name, framework }) => {
      expect(manifest.exports[`./${name}`]).toEqual({
        types: `./dist/${name}.d.ts`,
        default: `./dist/${name}.js`,
      })
      if (framework === null) return
      expect(manifest.peerDependencies).toHaveProperty([framework])
      expect(manifest.peerDependenciesMeta[framework]).toEqual({ optional: true })
    },
  )

  it('are of all the frameworks that package.json leaves to the host', () => {
    const known = adapters.flatMap(({ framework }) => framework ?? [])
    // What a cluster, metrics and spans need is no framework.
    const others = ['bullmq', 'ioredis', 'prom-client', '@opentelemetry/api']
    expect([...known, ...others].sort()).toEqual(Object.keys(manifest.peerDependencies).sort())
  })

  it('bind a page to the framework that they are named after, which is the one that they may load', () => {
    for (const { name, framework } of pageAdapters) expect(framework).toBe(name)
  })
})

describe('readAdapter', () => {
  const http = "import { createHandler } from '../src/http/handler.js'\n"
  const live = "import * as live from '../src/live/index.js'\n"

  it.each([
    ['a server', http, 'server', null],
    ['a server with a framework', `import type { Router } from 'express'\n${http}`, 'server', 'express'],
    [
      'a server with built-in modules',
      `import { x } from 'node:stream'\nimport 'http'\n${http}`,
      'server',
      null,
    ],
    ['a page', `'use client'\nimport * as vue from "vue"\n${live}`, 'page', 'vue'],
    [
      'a page with types of the client',
      `${live}export type { A } from '../src/client/index.js'\n`,
      'page',
      null,
    ],
    ['a page that only hands on', "export * from '../src/live/index.js'\n", 'page', null],
    ['several lines', "import {\n  a,\n  b,\n} from '../src/live/index.js'\n", 'page', null],
    ['a file of a package', `${http}import x from 'koa/lib/context.js'\n`, 'server', 'koa'],
    ['a package with a scope', `${http}import x from '@nestjs/common/pipes'\n`, 'server', '@nestjs/common'],
    ['twice the same', `${http}import a from 'koa'\nimport b from 'koa/b'\n`, 'server', 'koa'],
    [
      'a comment about others',
      `/** Not from '../src/live/index.js'.\n * import 'vue'\n */\n${http}`,
      'server',
      null,
    ],
  ])('%s', (_, text, kind, framework) => {
    expect(readAdapter('x', text)).toEqual({ name: 'x', file: 'adapters/x.ts', kind, framework })
  })

  it.each([
    ['both', http + live],
    ['neither', "import { x } from '../src/index.js'\n"],
    ['nothing', ''],
    ['a folder that only begins alike', "import { x } from '../src/https/a.js'\n"],
    ['two frameworks', `${http}import a from 'koa'\nimport b from 'express'\n`],
  ])('refuses one with %s', (_, text) => {
    expect(() => readAdapter('x', text)).toThrow(/^adapters\/x\.ts /)
  })
})

describe('isFramework', () => {
  it.each([
    ...['express', 'fastify', 'koa', 'hono', 'next', 'react', 'react-dom', 'vue', 'bullmq', 'ioredis'],
    ...['@fastify', '@fastify/cors', '@koa/router', '@nestjs', '@nestjs/common', '@nestjs/common/pipes'],
    ...['react/jsx-runtime', 'react-dom/server', 'next/server'],
  ])('%s', (name) => {
    expect(isFramework(name)).toBe(true)
  })

  it.each([
    'expression',
    'vuex',
    'react-is',
    'undici',
    'zod',
    '@types/react',
    'nextjs',
    'node:http',
    './koa.js',
    '',
  ])('not %j', (name) => {
    expect(isFramework(name)).toBe(false)
  })

  it('knows each name once', () => {
    expect(new Set(frameworks).size).toBe(frameworks.length)
  })
})
