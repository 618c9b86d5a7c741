/** Options about the network that all commands share. */
import { type Command, InvalidArgumentError } from 'commander'
import { errnoOf } from '../disk/errors.js'
import { readFileSync } from '../disk/fs.js'
import type { DownloadManagerOptions } from '../manager/options.js'
import { parseProxy } from '../net/proxies.js'
import { wholeNumber } from './arguments.js'
import { texts } from './language.js'

/** The options as given on the command line. */
export interface NetworkOptions {
  /** In seconds. */
  timeout?: number | undefined
  /** In seconds. */
  connectTimeout?: number | undefined
  retries?: number | undefined
  proxy?: string | undefined
  /** Contents of the files with certificates. */
  ca?: string[] | undefined
  offline?: boolean | undefined
}

const seconds = wholeNumber(1, 86_400)

/** Adds the options to a command. */
export function addNetworkOptions(command: Command): Command {
  return command
    .option(
      '--timeout <seconds>',
      'how long to wait for a response, or for more of it (default: 30 for the start, 15 in between)',
      seconds,
    )
    .option('--connect-timeout <seconds>', 'how long opening a connection may take (default: 10)', seconds)
    .option(
      '--retries <n>',
      'failures in a row, without progress, that are tolerated, 0 to 999 (default: 7)',
      wholeNumber(0, 999),
    )
    .option(
      '--proxy <url>',
      'proxy for all requests: http, https, socks5 or socks5h (default: taken from the environment)',
      checkProxy,
    )
    .option(
      '--ca <file>',
      'certificates in PEM of authorities to trust besides those of Node; may be repeated',
      readCertificates,
    )
    .option('--offline', 'use only what is on disk, without any request')
}

/** Converts the options to those of a manager. */
export function networkSettings({
  timeout,
  connectTimeout,
  retries,
  proxy,
  ca,
  offline,
}: NetworkOptions): Pick<DownloadManagerOptions, 'ca' | 'proxy' | 'tuning' | 'offline'> {
  return {
    ...(proxy === undefined ? {} : { proxy }),
    ...(ca === undefined ? {} : { ca }),
    ...(offline === undefined ? {} : { offline }),
    tuning: {
      ...(timeout === undefined ? {} : { headersTimeoutMs: timeout * 1000, bodyTimeoutMs: timeout * 1000 }),
      ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout * 1000 }),
      ...(retries === undefined ? {} : { maxAttempts: retries + 1 }),
    },
  }
}

/** Reads a file with certificates and adds its content to those given so far. */
function readCertificates(file: string, previous: readonly string[] = []): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new InvalidArgumentError(`The file can't be read (${errnoOf(error) ?? 'unknown reason'}).`)
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return [...previous, text]
  throw new InvalidArgumentError('Expected a file with certificates in PEM (-----BEGIN CERTIFICATE-----).')
}

/** As with curl, an address without a scheme is one of an http proxy. Messages leave out what may be a password. */
function checkProxy(address: string): string {
  const full = address.includes('://') ? address : `http://${address}`
  if (parseProxy(full) !== null) return full
  throw new InvalidArgumentError(texts().proxyExpected)
}
