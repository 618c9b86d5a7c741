/** Completion of command lines, as the shells ask for it. What can be completed follows from the definitions of the commands. */
import type * as tab from '@bomb.sh/tab'
import type { Command, Option } from 'commander'
import { bashScript } from './bash-completion.js'
import { printOut } from '../process/surroundings.js'

/** Prints the script for a shell. */
export async function printScript(shell: string, name: string): Promise<void> {
  if (shell === 'bash') printOut(bashScript(name))
  else (await completer()).script(shell, name, name)
}

/** This package is no CommonJS, which the command itself is. */
function completer(): Promise<typeof tab> {
  return import('@bomb.sh/tab')
}

/** Options and arguments whose values are files or folders. Shells complete these on their own. */
const fileValue = /<(?:file|dir)>|\[file\]/

/** What a shell is told for words that it shall complete as file names. */
const fileNames = ':0\n'

/**
 * Answers a shell.
 *
 * @param words - what follows the name of the program, up to the word to complete, which may be empty.
 * @param print - writes to standard output.
 */
export async function complete(
  program: Command,
  words: readonly string[],
  print: (text: string) => void,
): Promise<void> {
  if (takesFile(program, words)) print(fileNames)
  else describe(program, (await completer()).default).parse([...words])
}

/** Whether the last word is the value of an option, or an argument, that is a file. */
function takesFile(program: Command, words: readonly string[]): boolean {
  const word = words.at(-1) ?? ''
  const command = program.commands.find((one) => one.name() === words[0])
  if (command === undefined) return false
  const optionOf = (flag: string) =>
    command.options.find(({ long, short }) => flag === long || flag === short)
  const before = optionOf(words.at(-2) ?? '')
  if (words.length > 2 && before?.required === true) return fileValue.test(before.flags)
  if (word.startsWith('-')) {
    const [flag = '', ...value] = word.split('=')
    return value.length > 0 && fileValue.test(optionOf(flag)?.flags ?? '')
  }
  // The list of the models is the argument of `preload`.
  return words.length > 1 && command.registeredArguments.some((argument) => argument.name() === 'catalog')
}

function describe(program: Command, root: tab.RootCommand): tab.RootCommand {
  for (const option of program.options) addOption(root, option)
  for (const command of program.commands) {
    const described = root.command(command.name(), command.summary() || command.description())
    for (const option of command.options) addOption(described, option)
    for (const { argChoices, variadic, name } of command.registeredArguments.map((argument) => ({
      argChoices: argument.argChoices,
      variadic: argument.variadic,
      name: argument.name(),
    })))
      described.argument(name, choose(argChoices), variadic)
  }
  return root
}

function addOption(command: ReturnType<tab.RootCommand['command']>, option: Option): void {
  const name = option.long?.slice(2) ?? ''
  const short = option.short?.slice(1)
  // A description must stay on its line.
  const description = option.description.replace(/\s+/g, ' ')
  if (option.required || option.optional) command.option(name, description, choose(option.argChoices), short)
  else if (short === undefined) command.option(name, description)
  else command.option(name, description, short)
}

function choose(choices: readonly string[] = []) {
  return (add: (value: string, description: string) => void) => {
    for (const choice of choices) add(choice, '')
  }
}
