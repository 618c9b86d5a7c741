/** Adds what all commands need to speak the language of this process. */
import { type Command, InvalidArgumentError } from 'commander'
import { type Locale, localeOfTag } from '../util/locale.js'
import { displayWidth } from './format.js'
import { language, texts } from './language.js'

/** @throws InvalidArgumentError for a language that is not supported. */
function parseLocale(tag: string): Locale {
  const locale = localeOfTag(tag)
  if (locale === null) throw new InvalidArgumentError(texts().localeExpected)
  return locale
}

/** The text below the options of a command. */
export function helpBelow(command: string, english: string): string {
  return language()?.helpBelow(command) ?? english
}

/** Adds `--locale` and `--config` to a program and its commands, and translates their help and the messages of the parser. */
export function localize(program: Command): Command {
  for (const command of withSubcommands(program)) {
    command.option(
      '--locale <language>',
      'language of messages: en-US or zh-CN (default: that of LC_ALL, LC_MESSAGES or LANG)',
      parseLocale,
    )
    if (command !== program)
      command.option(
        '--config <file>',
        'file with settings instead of ./model-downloader.config.json; none for no settings at all',
      )
    command.configureHelp({ displayWidth })
    language()?.translate(command)
  }
  return program
}

/** A command, its subcommands, and theirs. */
export function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)]
}
