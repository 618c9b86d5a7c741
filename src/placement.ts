/** What a transfer is told of the layout, and of the caches that it may take its file from. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { blobFolder, cachePlaceOf } from './layouts/hf-cache.js'
import { hubCache, knownCaches, type KnownCaches } from './layouts/known-caches.js'
import type { ResolvedFile } from './sources/source.js'
import type { DownloadRecord } from './store/store.js'
import type { AdoptSpec, TransferSpec } from './transfer/protocol.js'

/** What depends on the layout. */
export type Placement = Pick<TransferSpec, 'adopt' | 'cache' | 'gitOid'> &
  Partial<{ directory: string; filename: string }>

/**
 * Where a resolved file goes, when that is not where its name says, and where it may be taken from.
 *
 * @param root - the folder of the download.
 * @param caches - of this machine.
 * @throws DownloadError as `cachePlaceOf` says.
 */
export function placementOf(
  file: ResolvedFile,
  record: Pick<DownloadRecord, 'layout' | 'adopt'>,
  root: string,
  caches: KnownCaches,
): Placement {
  const { gitOid = null, filename, repository = null } = file
  const adopt = adoptSpecOf(record, caches, filename, repository?.name)
  if (record.layout === 'flat') return { gitOid, adopt }
  const cache = { root, ...cachePlaceOf(file) }
  return { gitOid, adopt, cache, directory: join(root, ...blobFolder(cache)), filename: cache.blob }
}

/**
 * The caches that a file may be taken from; null when it must be fetched.
 *
 * @param caches - of this machine.
 * @param filename - what its source calls it.
 */
export function adoptSpecOf(
  { adopt }: Pick<DownloadRecord, 'adopt'>,
  caches: KnownCaches,
  filename: string | null,
  repository: string | null = null,
): AdoptSpec | null {
  if (adopt === false) return null
  return { caches, share: adopt === true, filename, repository }
}

/** The cache of the Hugging Face libraries, as the environment says. */
export function environmentCache(): string {
  return hubCache({ env: process.env, home: homedir(), platform: process.platform })
}

/** The caches of this machine. */
export function machineCaches(): KnownCaches {
  return knownCaches({ env: process.env, home: homedir(), platform: process.platform })
}
