/** Measures CPU time. Wall-clock time would also include other load of the machine. */

/** What a task costs at least, in milliseconds of this process's CPU. It must not wait for anything. */
export async function cpuMs(task: () => unknown, runs = 3): Promise<number> {
  let least = Infinity
  for (let run = 0; run < runs; run += 1) {
    const before = process.cpuUsage()
    await task()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / 1000)
  }
  return least
}

/**
 * How long a task keeps the event loop busy at most before others have their turn, in milliseconds of this process's CPU.
 */
export async function longestTurnMs(task: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let isDone = false
  let before = process.cpuUsage()
  const turn = () => {
    const { user, system } = process.cpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.cpuUsage()
    if (!isDone) setImmediate(turn)
  }
  setImmediate(turn)
  try {
    await task()
  } finally {
    isDone = true
  }
  turn()
  return longest
}
