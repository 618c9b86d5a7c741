/** Options about the network that all commands share. */
import type { Command } from 'commander'
import { addText, wholeNumber } from './arguments.js'

/** The options as given on the command line. */
export interface NetworkOptions {
  /** In seconds. */
  timeout?: number | undefined
  /** In seconds. */
  connectTimeout?: number | undefined
  retries?: number | undefined
  proxy?: string | undefined
  /** Files with certificates. */
  ca?: string[] | undefined
  offline?: boolean | undefined
}

/** The option that names a proxy. */
export const proxyFlags = '--proxy <url>'

/** The option that names a file with certificates. */
export const certificatesFlags = '--ca <file>'

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
      proxyFlags,
      'proxy for all requests: http, https, socks5 or socks5h (default: taken from the environment)',
    )
    .option(
      certificatesFlags,
      'certificates in PEM of authorities to trust besides those of Node; may be repeated',
      addText,
    )
    .option('--offline', 'use only what is on disk, without any request')
}
