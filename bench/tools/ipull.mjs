/** ipull through its API, with as many connections as asked and no progress bar. */
import { downloadFile } from 'ipull'
import { each } from './each.mjs'

await each(async ({ url, dir, name, connections }) => {
  const engine = await downloadFile({
    url,
    directory: dir,
    fileName: name,
    parallelStreams: connections,
    // A fixed number, as for the other tools; by itself it would go on adding connections.
    autoIncreaseParallelStreams: false,
    cliProgress: false,
  })
  await engine.download()
})
