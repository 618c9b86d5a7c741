/** The arguments of the command are invalid; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
