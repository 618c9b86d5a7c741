/** Kills a download that comes over HTTP in one run, and over Xet in the next. */
import { startCas } from '../support/cas.js'
import { randomContent } from '../support/content.js'
import { startHub } from '../support/hub.js'
import { spawnCli } from '../support/process.js'
import { tempDir } from '../support/temp.js'
import { findFiles, killStorm, type KillOutcome, type KillPlan } from './killing.js'

/** Runs a storm of kills against one file of `size` bytes, which each of the two ways brings at `bytesPerSecond`. */
export async function killBetweenWays(
  name: string,
  {
    size,
    bytesPerSecond,
    kills,
    random,
  }: Pick<KillPlan, 'size' | 'kills' | 'random'> & { bytesPerSecond: number },
): Promise<KillOutcome> {
  const content = randomContent(size, name)
  await using hub = await startHub()
  await using cas = await startCas()
  cas.add(content, { schemes: [0], chunksPerXorb: 20 })
  hub.cas = cas
  hub.add('owner/model', { files: { 'model.bin': content } })
  hub.cdnBehaviour = { bytesPerSecond }
  cas.edgeBehaviour = { bytesPerSecond }
  const directory = tempDir('xet-kills')
  const env = { HF_ENDPOINT: hub.url, HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' }
  let runs = 0
  return await killStorm({
    name,
    kills,
    random,
    size,
    start: () => {
      runs += 1
      const way = runs % 2 === 0 ? 'prefer' : 'never'
      const args = [
        'get',
        'hf:owner/model/model.bin',
        '-d',
        directory,
        '--xet',
        way,
        '--connections',
        '2',
        '--quiet',
      ]
      return spawnCli(args, { env })
    },
    sent: () => hub.cdn.bytesSent() + cas.edge.bytesSent(),
    found: () => findFiles(directory, { 'model.bin': content }),
  })
}
