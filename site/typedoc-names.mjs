/** A plugin of TypeDoc: entries of the package are called what they are imported as. */
import { Converter } from 'typedoc'

const names = new Map([
  ['src', 'model-downloader'],
  ['src/client', 'model-downloader/client'],
  ['src/elements/types', 'model-downloader/elements'],
  ['src/cluster/bullmq/bullmq', 'model-downloader/bullmq'],
  ['src/cluster/redis/redis', 'model-downloader/redis'],
  ['src/store/conformance', 'model-downloader/testing'],
  ['src/observe/metrics', 'model-downloader/metrics'],
  ['src/observe/tracing', 'model-downloader/tracing'],
])

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const entry of project.children ?? [])
      entry.name = names.get(entry.name) ?? entry.name.replace(/^adapters\//u, 'model-downloader/')
  })
}
