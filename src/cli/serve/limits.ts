/** The options of `serve` that bound what it does, and those of its log. */
import { type Command, Option } from 'commander'
import type { DownloadManagerOptions, WhenFull } from '../../manager/options.js'
import { parseRate, parseSize, wholeNumber } from '../arguments.js'
import { type LogFormat, logFormats, type LogLevel, logLevels, type LogSettings } from './log.js'

/** Options that bound what the server does. */
export interface LimitOptions {
  concurrency?: number | undefined
  connections?: number | undefined
  limitRate?: number | undefined
  maxQueued?: number | undefined
  maxDisk?: number | undefined
  minFree?: number | undefined
  whenFull?: WhenFull | undefined
  logFormat?: LogFormat | undefined
  logLevel?: LogLevel | undefined
}

/** Adds the options to a command. */
export function addLimitOptions(command: Command): Command {
  return command
    .option(
      '--concurrency <n>',
      'how many files are downloaded at a time, 1 to 1000 (default: 3)',
      wholeNumber(1, 1000),
    )
    .option(
      '--connections <n>',
      'maximum number of connections per file, 1 to 64 (default: 32)',
      wholeNumber(1, 64),
    )
    .option(
      '--limit-rate <rate>',
      'limit for all files together in bytes per second: 500k, 10M, 1.5G (powers of 1024)',
      parseRate,
    )
    .option(
      '--max-queued <n>',
      'how many downloads may wait before further ones are refused (default: 10000)',
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option(
      '--max-disk <size>',
      'most that all files together may take: 500M, 20G (powers of 1024; default: no limit)',
      parseSize,
    )
    .option(
      '--min-free <size>',
      'what must stay free on the disk: 500M, 20G (powers of 1024; default: no limit)',
      parseSize,
    )
    .addOption(
      new Option(
        '--when-full <mode>',
        'what a download does that breaks these: fail, wait, or evict to delete the least recently used ones (default: fail)',
      ).choices(['fail', 'wait', 'evict']),
    )
    .addOption(
      new Option('--log-format <format>', 'how the log is written (default: text)').choices(logFormats),
    )
    .addOption(
      new Option('--log-level <level>', 'the least severe lines of the log (default: info)').choices(
        logLevels,
      ),
    )
}

/** The options of the manager. */
export function limitSettings({
  concurrency,
  connections,
  limitRate,
  maxDisk,
  minFree,
  whenFull,
}: LimitOptions): DownloadManagerOptions {
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(connections === undefined ? {} : { connections }),
    ...(limitRate === undefined ? {} : { maxBytesPerSecond: limitRate }),
    ...(maxDisk === undefined ? {} : { maxDiskBytes: maxDisk }),
    ...(minFree === undefined ? {} : { minFreeBytes: minFree }),
    ...(whenFull === undefined ? {} : { whenFull }),
  }
}

/** The settings of the log. `--quiet` is short for `--log-level error`, which an explicit level replaces. */
export function logSettings({
  logFormat = 'text',
  logLevel,
  quiet = false,
}: LimitOptions & { quiet?: boolean | undefined }): LogSettings {
  return { format: logFormat, level: logLevel ?? (quiet ? 'error' : 'info') }
}
