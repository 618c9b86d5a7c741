/** Options about the network that all commands share. */
import { type Command, InvalidArgumentError } from 'commander'
import type { DownloadManagerOptions } from '../manager/options.js'
import { parseProxy } from '../net/proxies.js'
import { wholeNumber } from './arguments.js'

/** The options as given on the command line. */
export interface NetworkOptions {
  /** In seconds. */
  timeout?: number | undefined
  /** In seconds. */
  connectTimeout?: number | undefined
  retries?: number | undefined
  proxy?: string | undefined
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
}

/** Converts the options to those of a manager. */
export function networkSettings({
  timeout,
  connectTimeout,
  retries,
  proxy,
}: NetworkOptions): Pick<DownloadManagerOptions, 'proxy' | 'tuning'> {
  return {
    ...(proxy === undefined ? {} : { proxy }),
    tuning: {
      ...(timeout === undefined ? {} : { headersTimeoutMs: timeout * 1000, bodyTimeoutMs: timeout * 1000 }),
      ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout * 1000 }),
      ...(retries === undefined ? {} : { maxAttempts: retries + 1 }),
    },
  }
}

/** As with curl, an address without a scheme is one of an http proxy. Messages leave out what may be a password. */
function checkProxy(address: string): string {
  const full = address.includes('://') ? address : `http://${address}`
  if (parseProxy(full) !== null) return full
  throw new InvalidArgumentError(
    'Expected the address of a proxy, such as http://host:3128 or socks5h://host:1080.',
  )
}
