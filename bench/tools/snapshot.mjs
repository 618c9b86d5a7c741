/** The hub's own client: `node snapshot.mjs --hub URL --dir CACHE REPO`. */
import { snapshotDownload } from '@huggingface/hub'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { hub: { type: 'string' }, dir: { type: 'string' } },
})
// It tells of every file on the console.
console.debug = () => undefined
await snapshotDownload({ repo: positionals[0], hubUrl: values.hub, cacheDir: values.dir })
