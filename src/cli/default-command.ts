import { isSource } from './input/named.js'

/**
 * The arguments with `get` in front if they name a URL, a ref or a list of them but no command, as users of `curl` and
 * `aria2c` expect. Pure.
 *
 * @param args - what follows the name of the program.
 * @param commands - the names of all commands.
 */
export function withDefaultCommand(args: readonly string[], commands: readonly string[]): readonly string[] {
  // No command has a slash in its name. `get` answers `owner/repo` and `host/file` with the ref or URL that was meant.
  if (args[0]?.startsWith('-') === false && args[0].includes('/')) return ['get', ...args]
  const first = args.findIndex((arg) => isSource(arg) || isList(arg))
  // A word that comes first was meant as a command, even if there is none of that name.
  const isWord = first > 0 && args[0]?.startsWith('-') === false
  if (first === -1 || isWord || args.slice(0, first).some((arg) => commands.includes(arg))) return args
  return ['get', ...args]
}

/** Whether an argument is the option that names a list; its value may follow in the same argument. */
function isList(arg: string): boolean {
  return /^(?:-i|--input-file(?:=|$))/.test(arg)
}

/**
 * The arguments with `--netrc=` for a `--netrc` that a URL or a ref follows, which is to be downloaded and is no file with
 * logins. Pure.
 */
export function withoutEatenSources(args: readonly string[]): readonly string[] {
  return args.map((arg, at) => (arg === '--netrc' && isSource(args[at + 1] ?? '') ? '--netrc=' : arg))
}
