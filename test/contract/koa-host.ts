import { createServer } from 'node:http'
import type Koa from 'koa'
import { modelDownloader } from '../../adapters/koa.js'
import { hosted, type Mount } from './scene.js'

/** Hosts on a version of Koa. */
export function koaMount(Framework: typeof Koa): Mount {
  return async ({ options, path, parsesBodies }) => {
    const app = new Framework()
    const routes = modelDownloader(options)
    // Koa reports every broken connection, which is normal for clients of event streams.
    app.on('error', (error: NodeJS.ErrnoException) => {
      // Thrown into nothing: the run fails.
      if (error.code === undefined) throw error
    })
    app.use(async (ctx, next) => {
      ctx.set('X-Host', 'yes')
      await next()
    })
    if (parsesBodies) app.use(parseBody)
    app.use(path === '' ? routes : mounted(path, routes))
    app.use((ctx) => {
      if (ctx.path === `${path}/host`) ctx.body = 'host'
      else Object.assign(ctx, { status: 404, body: 'nothing' })
    })
    const handle = app.callback()
    return hosted(
      createServer((req, res) => void handle(req, res)),
      routes,
    )
  }
}

/** What `koa-bodyparser` does: JSON becomes a value, anything else `{}` and stays unread. */
const parseBody: Koa.Middleware = async (ctx, next) => {
  let body: unknown = {}
  if (ctx.is('json')) {
    const chunks = (await ctx.req.toArray()) as Buffer[] // nobody has set an encoding
    body = JSON.parse(Buffer.concat(chunks).toString())
  }
  Object.assign(ctx.request, { body })
  await next()
}

/** What `koa-mount` does. */
function mounted(path: string, middleware: Koa.Middleware): Koa.Middleware {
  return async (ctx, next) => {
    const whole = ctx.path
    if (!whole.startsWith(`${path}/`)) {
      await next()
      return
    }
    ctx.path = whole.slice(path.length)
    await middleware(ctx, async () => {
      ctx.path = whole
      await next()
      ctx.path = whole.slice(path.length)
    })
    ctx.path = whole
  }
}
