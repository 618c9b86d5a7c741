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
