import { createServer } from 'node:http'
import type express from 'express'
import { modelDownloader } from '../../adapters/express.js'
import { hosted, type Mount } from './scene.js'

/** Hosts on a version of Express. */
export function expressMount(framework: typeof express): Mount {
  return async ({ options, path, parsesBodies }) => {
    const app = framework()
    const routes = modelDownloader(options)
    app.use((_req, res, next) => {
      res.setHeader('X-Host', 'yes')
      next()
    })
    if (parsesBodies) app.use(framework.json())
    app.use(path === '' ? '/' : path, routes)
    app.get(`${path}/host`, (_req, res) => void res.send('host'))
    app.use((_req, res) => void res.status(404).send('nothing'))
    return hosted(createServer(app), routes)
  }
}
