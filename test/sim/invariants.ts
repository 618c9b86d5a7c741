/** What must hold in every world, each promise in one function. */
import { isSettled, transitions, type DownloadState } from '../../src/download/states.js'
import { downloadErrorCodes } from '../../src/errors.js'
import { forbiddenAddress } from './files.js'
import { isFair } from './spec.js'
import type { World } from './world.js'

/** Looks at a world whose story has ended, and says which promises it has broken. */
type Invariant = (world: World) => void

/** The final name is absent, has the old file, or has one whole version that was served. */
const finalNamesAreWhole: Invariant = (world) => {
  world.checkTargets('when the story ends')
}

/** Every promise settles, and errors have a documented code. */
const everythingSettles: Invariant = (world) => {
  for (const [download, { process, settled, error, file }] of world.observer.seen) {
    if (!process.isAlive) continue
    if (isSettled(download.state) && settled === 'no')
      world.violate(`file ${file} is ${download.state}, but its promise never settles`)
    if (error !== null && !(downloadErrorCodes as readonly string[]).includes(error.code))
      world.violate(`file ${file} fails with a code that no document knows: ${error.code}`)
  }
}

/** With finitely many faults, and nobody who stops it, a download completes. */
const fairWorldsComplete: Invariant = (world) => {
  for (const file of world.subjects) {
    const files = world.spec.isGroup ? world.files : [file]
    if (!files.every(({ index }) => isFair(world.spec, index))) continue
    const download = world.manager?.get(file.url)
    if (download?.state !== 'completed')
      world.violate(
        `file ${file.index} had a fair world and is ${download?.state}: ${download?.error?.code} ${download?.error?.message}`,
      )
  }
}

/** States follow the documented machine. */
const statesFollowTheMachine: Invariant = (world) => {
  for (const { states, file } of world.observer.seen.values()) {
    for (const [index, to] of states.entries()) {
      const from: DownloadState | undefined = states[index - 1]
      // Several moves may come between two looks; what is never possible shows all the same.
      if (from !== undefined && from !== to && !reaches(from, to))
        world.violate(`file ${file} went from ${from} to ${to}`)
    }
  }
}

function reaches(from: DownloadState, to: DownloadState): boolean {
  return transitions[from].some((next) => next === to || transitions[next].includes(to))
}

/** Not one connection to an address that is forbidden to strangers, when everything was asked for by strangers. */
const strangersStayOutside: Invariant = (world) => {
  if (!world.spec.files.every(({ remote }) => remote)) return
  if (world.network.dialed.some(({ address }) => address === forbiddenAddress))
    world.violate('a connection to a forbidden address was opened for a stranger')
}

/** The files of a manager stay within its disk budget, unless somebody else has filled it or hides how large a file is. */
const theBudgetHolds: Invariant = (world) => {
  const { budget = null, files, rivalAtMs, adopts = false, inCache = false } = world.spec
  const servers = files.flatMap((file) => file.servers)
  const isKnown = servers.every(
    ({ length, changesAt, faults, coding = 'none' }) =>
      length === 'told' &&
      coding === 'none' &&
      changesAt === null &&
      faults.every(({ fault }) => fault.kind !== 'encoded'),
  )
  if (budget === null || adopts || inCache || rivalAtMs !== null || !isKnown) return
  if (files.some(({ existing }) => existing)) return
  const bytesOf = (path: string) => {
    const inode = world.disk.find(path)
    return inode === null ? 0 : Math.min(inode.size, inode.allocated.size * 4096)
  }
  const used = world.files.reduce((sum, { target }) => sum + bytesOf(target) + bytesOf(`${target}.part`), 0)
  if (used > budget.bytes) world.violate(`${used} bytes are used of a budget of ${budget.bytes}`)
}

/** All of them, in the order in which they are checked. */
export const invariants: readonly Invariant[] = [
  finalNamesAreWhole,
  everythingSettles,
  fairWorldsComplete,
  statesFollowTheMachine,
  strangersStayOutside,
  theBudgetHolds,
]
