/** Generates the OpenAPI 3.1 document from the routes and the schemas that validate requests. Pure. */
import * as z from 'zod'
import { titleOf } from './problem.js'
import { type ComponentName, components, type Route } from './route.js'

/** Error statuses that every route may return. */
const commonErrors = [401, 403, 500, 503]

const eventStreams: Readonly<Record<string, string>> = {
  '/api/models/download/events':
    'Data of `snapshot`: Snapshot, or Download when `url` is given; of `snapshot_page`: Snapshot; of `progress`, `state` and `removed`: Download; of `log`: Log. ' +
    '`Last-Event-ID` resumes.',
  '/api/v1/models/preload/events':
    'Data of `status`: PreloadStatus; of `log`: PreloadLog. `Last-Event-ID` resumes.',
  '/api/v1/models/fleet/events': 'Data of `status`: FleetStatus. `Last-Event-ID` resumes.',
}

/**
 * Generates the document.
 *
 * @param routes - all routes.
 * @param basePath - prefix of every path.
 */
export function openApiDocument(routes: readonly Route[], basePath: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const item = (paths[route.path] ??= {})
    item[route.method.toLowerCase()] = operation(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'model-downloader',
      description: 'Downloads AI-model files: resumable, verified, concurrent.',
      version: '1',
    },
    servers: [{ url: basePath === '' ? '/' : basePath }],
    paths,
    components: { schemas: componentSchemas() },
  }
}

function operation(route: Route): object {
  const { summary, action, query, body, bodyIsOptional } = route
  return {
    operationId: operationId(route),
    summary,
    description: action === null ? 'Needs no permission.' : `Needs the permission \`${action}\`.`,
    ...(query === null ? {} : { parameters: parameters(query) }),
    ...(body === null
      ? {}
      : {
          requestBody: {
            required: !bodyIsOptional,
            content: { 'application/json': { schema: reference(body) } },
          },
        }),
    responses: responses(route),
  }
}

/** `POST /api/models/download/pause` becomes `post_models_download_pause`. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[/.]/).filter((word) => word !== '' && word !== 'api')
  return [method.toLowerCase(), ...words].join('_')
}

function parameters(query: z.ZodObject): object[] {
  const { properties = {}, required = [] } = z.toJSONSchema(query, { io: 'input' })
  return Object.entries(properties).map(([name, schema]) => {
    const { description, ...rest } = typeof schema === 'object' ? schema : {}
    return { name, in: 'query', required: required.includes(name), description, schema: rest }
  })
}

function responses({ path, answer, errors }: Route): Record<string, object> {
  const result: Record<string, object> = { 200: { description: 'OK', content: content(path, answer) } }
  for (const status of [...errors, ...commonErrors].sort((a, b) => a - b)) {
    result[status] = {
      description: titleOf(status),
      content: { 'application/problem+json': { schema: reference('Problem') } },
    }
  }
  return result
}

function content(path: string, answer: Route['answer']): object {
  if (answer === 'event stream') {
    return { 'text/event-stream': { schema: { type: 'string', description: eventStreams[path] } } }
  }
  if (answer === 'page') return { 'text/html': { schema: { type: 'string' } } }
  if (answer === 'openapi') return { 'application/json': { schema: { type: 'object' } } }
  return { 'application/json': { schema: reference(answer) } }
}

function reference(name: ComponentName): object {
  return { $ref: `#/components/schemas/${name}` }
}

function componentSchemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(components)) registry.add(schema, { id })
  const uri = (id: string) => `#/components/schemas/${id}`
  // Input mode allows additional properties in the schemas, because responses of later versions may have more
  // of them.
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $id: _id, $schema: _schema, ...schema }]) => [id, schema]),
  )
}
