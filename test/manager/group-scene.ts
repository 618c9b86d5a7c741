/** What the tests of groups share: a hub, a manager that asks it, and a look at all files of a folder. */
import { expect } from 'vitest'
import {
  huggingFace,
  type Download,
  type DownloadManager,
  type DownloadManagerOptions,
} from '../../src/index.js'
import { makeManager } from '../faults/harness.js'
import { join } from 'node:path'
import type { Content } from '../support/content.js'
import { startHub, type Hub } from '../support/hub.js'
import { listTree, sha256File, tempDir } from '../support/temp.js'
import { withTimeout } from '../support/wait.js'

/** A {@link Hub} and a manager over a folder that isn't there yet; all gone with `await using`. */
export interface GroupScene extends AsyncDisposable {
  readonly hub: Hub
  readonly manager: DownloadManager
  readonly directory: string
}

export async function startScene(
  options: DownloadManagerOptions & { token?: string | null } = {},
): Promise<GroupScene> {
  const hub = await startHub()
  const directory = options.directory ?? join(tempDir('group'), 'models')
  const manager = managerOf(hub, directory, options)
  return {
    hub,
    manager,
    directory,
    async [Symbol.asyncDispose]() {
      await withTimeout(manager.close(), 10_000, 'the manager to close')
      await hub[Symbol.asyncDispose]()
    },
  }
}

/** A manager whose `hf:` refs are asked of a hub of ours. */
export function managerOf(
  hub: Hub,
  directory: string,
  { token = null, ...options }: DownloadManagerOptions & { token?: string | null } = {},
): DownloadManager {
  return makeManager(directory, { sources: [huggingFace({ endpoint: hub.url, token })], ...options })
}

/** Checks that a folder contains exactly these files, all complete. */
export async function expectFiles(folder: string, files: Readonly<Record<string, Content>>): Promise<void> {
  const found = await listTree(folder)
  expect(found.filter((path) => !path.endsWith('/'))).toEqual(Object.keys(files).sort())
  for (const [path, content] of Object.entries(files)) {
    expect(await sha256File(join(folder, path)), path).toBe(content.sha256())
  }
}

/** State by file name. */
export function statesOf(download: Download): Record<string, string> {
  return Object.fromEntries((download.group?.files ?? []).map(({ filename, state }) => [filename, state]))
}
