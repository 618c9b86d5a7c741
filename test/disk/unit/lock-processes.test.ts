/** Real processes that want one lock. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { acquireLock } from '../../../src/disk/lock.js'
import { bundle } from '../../support/bundle.js'
import { tempDir } from '../../support/temp.js'
import { withTimeout } from '../../support/wait.js'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

describe('lock (transfer rule 12, FAULTS row 36)', () => {
  it('keeps real processes apart while some of them are killed', async () => {
    const folder = tempDir('lock')
    const module = await bundle('src/disk/lock.ts', folder)
    const target = join(folder, 'contended.lock')
    const marker = join(folder, 'inside')
    // Processes take long to start on Windows, so fewer of them meet.
    const deaths = process.platform === 'win32' ? 0.5 : 0.1
    // Inside the lock each writes its pid, waits and looks whether it is still there; each dies inside now and then.
    const script = `
      import fs from 'node:fs'
      import { setTimeout as sleep } from 'node:timers/promises'
      // Windows tells no signals: there 1 is the exit code of a process that was killed.
      process.on('uncaughtException', (error) => {
        console.error(error)
        process.exit(65)
      })
      const { acquireLock } = await import(${JSON.stringify(pathToFileURL(module).href)})
      const end = performance.now() + 1500
      let won = 0
      while (performance.now() < end) {
        let lock
        try { lock = await acquireLock(${JSON.stringify(target)}) } catch (error) {
          if (error.code !== 'TARGET_LOCKED') throw error
          await sleep(Math.random() * 2)
          continue
        }
        won++
        const me = process.pid + ':' + won
        fs.writeFileSync(${JSON.stringify(marker)}, me)
        await sleep(Math.random() * 3)
        if (fs.readFileSync(${JSON.stringify(marker)}, 'utf8') !== me) process.exit(66)
        if (Math.random() < ${deaths}) process.kill(process.pid, 'SIGKILL')
        await lock.release()
      }
      process.exit(0)`
    const end = performance.now() + 1_500
    let killed = 0
    const lane = async () => {
      while (performance.now() < end || killed === 0) {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'ignore', 'inherit'],
        })
        children.push(child)
        const [code, signal] = (await withTimeout(once(child, 'exit'), 15_000, 'a contender')) as [
          number | null,
          string | null,
        ] // as Node documents
        if (signal === 'SIGKILL' || (code === 1 && process.platform === 'win32')) killed++
        else expect(code).toBe(0)
      }
    }
    await Promise.all([lane(), lane(), lane()])
    expect(killed).toBeGreaterThan(0)
    await (await acquireLock(target)).release()
  })
})
