import { describe, expect, it } from 'vitest'
import { components } from '../../src/http/route.js'
import { routes } from '../../src/http/routes.js'
import { startHttp } from './bench.js'

interface Operation {
  operationId: string
  summary: string
  parameters?: { name: string; in: string; required: boolean; schema: object }[]
  requestBody?: { required: boolean; content: Record<string, { schema: object }> }
  responses: Record<string, { description: string; content: Record<string, { schema: object }> }>
}

interface Document {
  openapi: string
  info: { title: string; version: string }
  servers: { url: string }[]
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, { type?: string; properties?: Record<string, object>; required?: string[] }>
  }
}

async function documentOf(): Promise<Document> {
  await using bench = await startHttp({ ui: true })
  const { status, headers, body } = await bench.ask('GET', '/api/models/openapi.json')
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
  // The tests below check its actual content.
  return body as unknown as Document
}

/** Every value of `$ref` inside of something. */
function referencesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) =>
    key === '$ref' && typeof each === 'string' ? [each] : referencesIn(each),
  )
}

describe('the OpenAPI document', () => {
  it('tells of every route in the table, and of no other', async () => {
    const { openapi, info, servers, paths } = await documentOf()
    expect([openapi, info.title, servers]).toEqual(['3.1.0', 'model-downloader', [{ url: '/' }]])
    const told = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(told.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort())
    const ids = Object.values(paths).flatMap((item) =>
      Object.values(item).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(routes.length)
    for (const id of ids) expect(id).toMatch(/^[a-z0-9_]+$/)
  })

  it('knows all that it points to, and nothing else', async () => {
    const document = await documentOf()
    const { schemas } = document.components
    expect(Object.keys(schemas).sort()).toEqual(Object.keys(components).sort())
    const references = referencesIn(document)
    for (const reference of references) {
      expect(reference).toMatch(/^#\/components\/schemas\/\w+$/)
      expect(schemas).toHaveProperty(reference.replace('#/components/schemas/', ''))
    }
    const text = JSON.stringify(document)
    expect(text).not.toMatch(/"\$(id|schema|defs)"/)
    // Named in words, since event streams have no schema that says it.
    const unused = Object.keys(schemas).filter(
      (name) => !references.some((each) => each.endsWith(`/${name}`)),
    )
    for (const name of unused) expect(text).toMatch(new RegExp(`Data of[^"]*\\b${name}\\b`))
  })

  it('says of each route what goes in and what comes out', async () => {
    const { paths, components: parts } = await documentOf()
    for (const route of routes) {
      const operation = paths[route.path]?.[route.method.toLowerCase()]
      if (operation === undefined) throw new Error(`${route.path} is missing.`)
      const where = `${route.method} ${route.path}`
      expect(operation.summary, where).toBe(route.summary)
      expect(operation.parameters?.map(({ name }) => name) ?? [], where).toEqual(
        Object.keys(route.query?.shape ?? {}),
      )
      for (const { name, in: place, schema } of operation.parameters ?? []) {
        expect([place, schema], `${where} ${name}`).toEqual([
          'query',
          expect.objectContaining({ type: expect.any(String) }),
        ])
      }
      const sent = operation.requestBody?.content['application/json']?.schema
      expect(sent, where).toEqual(
        route.body === null ? undefined : { $ref: `#/components/schemas/${route.body}` },
      )
      const statuses = Object.keys(operation.responses).map(Number)
      expect(statuses, where).toEqual([200, ...[...route.errors, 401, 403, 500, 503].sort((a, b) => a - b)])
      for (const status of statuses.slice(1)) {
        expect(operation.responses[status]?.content, where).toEqual({
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        })
      }
    }
    expect(parts.schemas['DownloadRequest']).toMatchObject({ type: 'object', required: ['url'] })
    expect(parts.schemas['Download']?.required).toEqual(
      Object.keys(components.Download.shape).filter(
        (name) => !['stale', 'priority', 'max_bytes_per_second', 'node', 'waiting'].includes(name),
      ),
    )
    expect(parts.schemas['DownloadStatus']?.properties?.['download']).toEqual({
      $ref: '#/components/schemas/Download',
    })
    const remove = paths['/api/models/download']?.['delete']
    expect(remove?.parameters).toMatchObject([
      { name: 'url', required: true },
      { name: 'delete_file', required: false, schema: { type: 'string' } },
    ])
  })
})
