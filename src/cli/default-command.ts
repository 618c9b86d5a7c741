/** A scheme of two letters or more, so that a Windows path is none. */
const source = /^[a-z][a-z0-9+.-]+:[^\s]/i

/**
 * The arguments with `get` in front if they name a URL or a ref but no command, as users of `curl` and `aria2c` expect.
 * Pure.
 *
 * @param args - what follows the name of the program.
 * @param commands - the names of all commands.
 */
export function withDefaultCommand(args: readonly string[], commands: readonly string[]): readonly string[] {
  const first = args.findIndex((arg) => source.test(arg))
  // A word that comes first was meant as a command, even if there is none of that name.
  const isWord = first > 0 && args[0]?.startsWith('-') === false
  if (first === -1 || isWord || args.slice(0, first).some((arg) => commands.includes(arg))) return args
  return ['get', ...args]
}
