/** For the tests of mirrors: several origins that serve one path, a manager, and what it told. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { DownloadManager, DownloadManagerOptions, DownloadOptions } from '../../src/index.js'
import type { Content } from '../support/content.js'
import { startOrigin, type Origin, type Resource } from '../support/origin.js'
import { tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'
import { expectInvariant, makeManager } from './harness.js'
import { ending, listen, type Ending } from './scene.js'

export const path = '/model.bin'
const name = 'model.bin'

/** A URL of the file with a port on which no server listens. */
export const deadUrl = `http://127.0.0.1:9${path}`

/** See the file's head. All of it ends with the test. */
export class MirrorScene {
  readonly origins: readonly Origin[]
  readonly directory = join(tempDir('mirrors'), 'models')
  /** Lines of the log. */
  readonly log: string[] = []

  constructor(origins: readonly Origin[]) {
    this.origins = origins
  }

  /** The addresses of the file, in order. */
  get urls(): string[] {
    return this.origins.map((origin) => origin.url(path))
  }

  /** A new manager of the folder. */
  manager(options: DownloadManagerOptions = {}): DownloadManager {
    // Longer than a busy machine takes, so that no server is considered silent by mistake.
    const tuning = { bodyTimeoutMs: 5_000, ...options.tuning }
    const manager = makeManager(this.directory, { ...options, tuning })
    manager.on('log', ({ message }) => {
      this.log.push(message)
    })
    onTestFinished(() => withTimeout(manager.close(), 5_000, 'the manager to close'))
    return manager
  }

  /** Fetches the file, to the end. */
  async fetch(options: DownloadOptions = {}, manager: DownloadManager = this.manager()): Promise<Ending> {
    const told = listen(manager)
    return ending(await manager.download({ urls: this.urls, ...options }), told)
  }

  /** Body bytes that an origin has sent. */
  sent(index: number): number {
    return (this.origins[index]?.requests(path) ?? []).reduce((sum, { bytesSent }) => sum + bytesSent, 0)
  }

  /** How many requests an origin has got. */
  asked(index: number): number {
    return this.origins[index]?.requests(path).length ?? 0
  }

  /** The right file lies there and nothing else. */
  async expectFile(content: Content): Promise<void> {
    await expectInvariant(this.directory, name, 'done', { content })
  }
}

/** Starts an origin for each resource. */
export async function openMirrors(...resources: readonly Resource[]): Promise<MirrorScene> {
  const origins = await Promise.all(
    resources.map(async (resource) => {
      const origin = await startOrigin()
      onTestFinished(() => origin.close())
      origin.serve(path, resource)
      return origin
    }),
  )
  return new MirrorScene(origins)
}
