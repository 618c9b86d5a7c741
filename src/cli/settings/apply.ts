/** Applies settings to a command. An option of the command line takes precedence over every one of them. */
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError, type Option } from 'commander'
import { isInside } from '../../disk/inside.js'
import { linkBelow } from '../../disk/links.js'
import { UsageError } from '../checks/usage-error.js'
import { texts } from '../language.js'
import { type ConfigFile, isList, isPath, settingsIn, settingsOf, variableOf } from './config.js'

/** One value, and where it comes from, as messages name it. */
interface Given {
  value: unknown
  source: string
}

/**
 * Sets the options of a command that its arguments do not: from the environment, or else from the first file that has
 * them.
 *
 * @throws UsageError for values that the options do not accept.
 */
export async function applySettings(
  command: Command,
  files: readonly ConfigFile[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const commands = command.parent?.commands ?? [command]
  const settings = files.map((file) => ({ file, values: settingsIn(file, command, commands) }))
  for (const [name, option] of settingsOf(command)) {
    const source = command.getOptionValueSource(name)
    if (source !== undefined && source !== 'default') continue
    const given = fromEnvironment(name, option, env)
    if (given !== null) set(command, option, given, 'env')
    else {
      const found = settings.find(({ values }) => values.has(name))
      if (found === undefined) continue
      const value = await located(name, found.values.get(name), found.file)
      set(command, option, { value, source: `${found.file.name}${texts().colon}${name}` }, 'config')
    }
  }
}

const truths = new Map([
  ...['1', 'true', 'yes', 'on'].map((text) => [text, true] as const),
  ...['0', 'false', 'no', 'off'].map((text) => [text, false] as const),
])

function fromEnvironment(
  name: string,
  option: Option,
  env: Readonly<Record<string, string | undefined>>,
): Given | null {
  const source = variableOf(name)
  const text = env[source] ?? ''
  // The server reads its token itself.
  if (text === '' || name === 'token') return null
  const truth = truths.get(text.toLowerCase())
  if (option.required) {
    const value = isList(name) ? text.split(/\r?\n/).filter((one) => one !== '') : text
    return { value, source }
  }
  if (truth === undefined && !option.optional)
    throw new UsageError(`${source}${texts().colon}${texts().booleanExpected}`)
  return { value: truth ?? text, source }
}

/** Paths in a file are relative to its folder; one that the user has not named must not lead out of it. */
async function located(name: string, value: unknown, file: ConfigFile): Promise<unknown> {
  if (Array.isArray(value)) return await Promise.all(value.map((one) => located(name, one, file)))
  if (!isPath(name, value)) return value
  const path = resolve(file.folder, value)
  if (file.trusted) return path
  if (!isInside(file.folder, path) || (await linkBelow(file.folder, path)) !== null)
    throw new UsageError(texts().configOutside(file.name, name))
  return path
}

function set(command: Command, option: Option, { value, source }: Given, kind: 'env' | 'config'): void {
  const name = option.attributeName()
  const assign = (parsed: unknown) => command.setOptionValueWithSource(name, parsed, kind)
  if (value === false && option.optional) return
  if (typeof value === 'boolean') {
    assign(option.optional ? '' : value)
    return
  }
  const parts = [value].flat().map(String)
  const { parseArg } = option
  try {
    let parsed: unknown
    for (const text of parts) parsed = parseArg === undefined ? checked(option, text) : parseArg(text, parsed)
    assign(parsed)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new UsageError(`${source}: ${error.message}`)
  }
}

function checked({ argChoices }: Option, text: string): string {
  if (argChoices === undefined || argChoices.includes(text)) return text
  throw new InvalidArgumentError(texts().allowedChoices(argChoices.join(', ')))
}
