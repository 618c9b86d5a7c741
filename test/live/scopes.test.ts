/** What the bindings do outside of a page. */
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { describe, expect, it } from 'vitest'
import { effectScope, nextTick, ref, watchEffect } from 'vue'
import * as react from '../../adapters/react.js'
import * as vue from '../../adapters/vue.js'
import { event, modelUrl, paths, stream, wire } from '../client/server.js'
import { waitFor } from '../support/wait.js'
import { serve, snapshotOf } from './watching.js'

const other = wire({ url: 'https://example.com/other.gguf', state: 'paused' })

describe('Vue', () => {
  it('a scope that ends frees the connection', async () => {
    const { server, client } = await serve({
      [paths.events]: stream([snapshotOf(wire(), other), event('progress', wire({ progress: 40 }))]),
    })
    const scope = effectScope()
    const url = ref(modelUrl)
    const seen: string[] = []
    const live = scope.run(() => {
      const { download, connection, refresh } = vue.useDownload(url, client)
      watchEffect(() => seen.push(`${download.value?.state ?? 'unknown'} ${download.value?.progress ?? 0}`))
      return { download, connection, refresh }
    })
    await waitFor(() => live?.download.value?.progress === 40)
    expect(live?.connection.value).toBe('live')
    url.value = other.url
    await nextTick()
    expect(seen.at(-1)).toBe('paused 0')
    url.value = 'https://example.com/third.gguf'
    await nextTick()
    expect(seen.at(-1)).toBe('unknown 0')
    scope.stop()
    await waitFor(() => server.asked[0]?.closed, { what: 'the end of the connection' })
    expect(server.asked).toHaveLength(1)
  })

  it('says that the app has no client', () => {
    expect(() => effectScope().run(() => vue.useDownloads())).toThrow(/app\.use\(modelDownloader/)
  })
})

describe('React', () => {
  it('says that there is no provider', () => {
    const Part = () => createElement('p', null, react.useDownloads().connection)
    expect(() => renderToString(createElement(Part))).toThrow(/<DownloadProvider>/)
  })
})
