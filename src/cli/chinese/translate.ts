/** Translates the help of the command and the messages of its parser. */
import type { Command, Option } from 'commander'
import { commandHelp, sharedHelp } from '../chinese-help.js'
import { displayWidth } from '../format.js'
import type { CommandTexts } from '../texts.js'
import { chineseTexts } from '../chinese.js'

/** The name of a command below the program, such as `cache ls`; empty for the program itself. */
function nameOf(command: Command): string {
  const { parent } = command
  return parent === null ? '' : `${nameOf(parent)} ${command.name()}`.trim()
}

/** Has a command show its help, and the messages of its parser, in Chinese. */
export function translate(command: Command): void {
  const name = nameOf(command)
  const help = isTranslated(name) ? commandHelp[name] : null
  const { help: helpText, version, locale, config } = sharedHelp
  const shared = { help: helpText, version, locale, config }
  const described: Readonly<Record<string, string>> = { ...help?.options, ...shared }
  command
    .description(
      help?.description ?? (command.parent === null ? sharedHelp.description : command.description()),
    )
    .helpOption('-h, --help', sharedHelp.help)
    .showHelpAfterError(chineseTexts.helpHint)
    .configureOutput({ outputError: (text, write) => write(parserMessage(text, chineseTexts)) })
    .configureHelp({
      displayWidth,
      boxWrap: wrap,
      styleTitle: (title) => (Object.hasOwn(sharedHelp.titles, title) ? titles[title] : undefined) ?? title,
      optionDescription: descriptionOf,
    })
  if (help !== null) command.summary(help.summary)
  for (const option of command.options) {
    option.description = described[option.attributeName()] ?? option.description
  }
  for (const [index, argument] of command.registeredArguments.entries()) {
    argument.description = help?.args[index] ?? argument.description
  }
}

const titles: Readonly<Record<string, string>> = sharedHelp.titles

/** Whether there is help for a command of this name. */
export function isTranslated(name: string): name is keyof typeof commandHelp {
  return Object.hasOwn(commandHelp, name)
}

function descriptionOf({ description, argChoices, defaultValue }: Option): string {
  const choices = argChoices === undefined ? '' : sharedHelp.choices(argChoices.join('、'))
  // Options without a value are true or false by default, which goes without saying.
  const value = typeof defaultValue === 'string' || typeof defaultValue === 'number' ? defaultValue : null
  return `${description}${choices}${value === null ? '' : sharedHelp.default(String(value))}`
}

/** A piece of a line that must not be divided: a word or a wide character, with the punctuation that belongs to it. */
const piece = /\s+|[（“]*(?:\p{Script=Han}|[^\s\p{Script=Han}（“，。；：、）！？”]+)?[，。；：、）！？”]*/gu

/**
 * Breaks a text into lines of at most `width` cells. Chinese has no spaces between words, and a line may end after
 * any of its characters, but no line begins with a closing punctuation mark.
 */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => wrapLine(line, width))
    .join('\n')
}

function wrapLine(text: string, width: number): string {
  const lines: string[] = []
  let line = ''
  for (const [part] of text.matchAll(piece)) {
    if (line !== '' && displayWidth(line + part.trimEnd()) > width) {
      lines.push(line.trimEnd())
      line = part.trimStart()
    } else line += part
  }
  lines.push(line.trimEnd())
  return lines.join('\n')
}

// ---- Messages of the parser

/** Forms of the messages of commander, which has them in English only, and how to say each of them. */
const forms: readonly [RegExp, (texts: CommandTexts, ...names: string[]) => string][] = [
  [/^missing required argument '(.*)'$/s, (all, name = '') => all.missingArgument(name)],
  [/^required option '(.*)' not specified$/s, (all, flags = '') => all.missingOption(flags)],
  [/^option '(.*)' argument missing$/s, (all, flags = '') => all.missingValue(flags)],
  [
    /^option '(.*?)' argument '(.*)' is invalid\. (.*)$/s,
    (all, flags = '', value = '', reason = '') => all.invalidOption(flags, value, reasonOf(reason, all)),
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '(.*?)'\. (.*)$/s,
    (all, value = '', name = '', reason = '') => all.invalidArgument(name, value, reasonOf(reason, all)),
  ],
  [
    /^unknown option '(.*?)'(?:\n(.*))?$/s,
    (all, flag = '', more = '') => suggest(all.unknownOption(flag), more, all),
  ],
  [
    /^unknown command '(.*?)'(?:\n(.*))?$/s,
    (all, name = '', more = '') => suggest(all.unknownCommand(name), more, all),
  ],
  [
    /^too many arguments.*\. Expected (\d+) arguments? but got (\d+)\.$/s,
    (all, expected = '', found = '') => all.tooManyArguments(expected, found),
  ],
]

function reasonOf(reason: string, all: CommandTexts): string {
  const choices = /^Allowed choices are (.*)\.$/s.exec(reason)?.[1]
  return choices === undefined ? reason : all.allowedChoices(choices)
}

function suggest(message: string, more: string, all: CommandTexts): string {
  const names = /^\(Did you mean (?:one of )?(.*)\?\)$/s.exec(more)?.[1]
  return names === undefined ? message : `${message}\n${all.didYouMean(names)}`
}

/** Says a message of the parser in another language. One whose form is unknown stays as it is. */
export function parserMessage(text: string, all: CommandTexts): string {
  const [, message = ''] = /^error: (.*?)\n?$/s.exec(text) ?? []
  for (const [form, say] of forms) {
    const match = form.exec(message)
    if (match !== null) return `${all.error}${say(all, ...match.slice(1))}\n`
  }
  return text
}
