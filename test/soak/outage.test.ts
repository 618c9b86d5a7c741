/** FAULTS.md row 22 at full length: 60 s without any network, default limits. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { randomContent } from '../support/content.js'
import { spawnCli } from '../support/process.js'
import { startOrigin } from '../support/origin.js'
import { startTcpProxy } from '../support/tcp-proxy.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'

const outageMs = 60_000
const content = randomContent(64_000_000)

async function outlasts(cut: 'refused' | 'silent'): Promise<void> {
  await using origin = await startOrigin()
  await using cable = await startTcpProxy(origin.port)
  const directory = tempDir('outage')
  origin.serve('/model.bin', { content, bytesPerSecond: 1_000_000 })
  const url = `http://127.0.0.1:${cable.port}/model.bin`
  await using cli = spawnCli(['get', url, '-d', directory, '--connections', '4'])
  await origin.waitForBytes('/model.bin', content.size / 3, 60_000)
  if (cut === 'refused') {
    cable.refuse()
    cable.resetAll()
  } else {
    cable.cut()
  }
  await sleep(outageMs)
  expect(cli.running, 'still there after the outage').toBe(true)
  const downBefore = cable.bytesDown
  cable.restore()
  const { code } = await cli.finished(120_000)
  expect(code).toBe(0)
  // Two thirds were missing; what lay in buffers at the cut may come again.
  expect(cable.bytesDown - downBefore).toBeLessThan(content.size * 0.8)
  expect(await listTree(directory)).toEqual(['model.bin'])
  expect(await sha256File(join(directory, 'model.bin'))).toBe(content.sha256())
}

describe('row 22: the network is gone for 60 s', () => {
  it('row 22: all connections reset and refused for 60 s', () => outlasts('refused'))
  it('row 22: all connections silent for 60 s', () => outlasts('silent'))
})
