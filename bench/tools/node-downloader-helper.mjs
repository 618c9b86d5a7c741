/** node-downloader-helper through its API. It knows one connection per file only. */
import { DownloaderHelper } from 'node-downloader-helper'
import { each } from './each.mjs'

await each(
  ({ url, dir, name }) =>
    new Promise((resolve, reject) => {
      const download = new DownloaderHelper(url, dir, { fileName: name })
      download.on('end', resolve)
      download.on('error', reject)
      download.start().catch(reject)
    }),
)
