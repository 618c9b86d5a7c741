/** What the options about the network mean. Apart from them, so that the help is shown without access to the disk. */
import { errnoOf } from '../../disk/errors.js'
import { readFileSync } from '../../disk/fs.js'
import type { DownloadManagerOptions } from '../../manager/options.js'
import { UsageError } from '../checks/usage-error.js'
import { parseProxy } from '../../net/proxy-address.js'
import { texts } from '../language.js'
import { certificatesFlags, type NetworkOptions, proxyFlags } from '../network.js'

/**
 * Converts the options to those of a manager.
 *
 * @throws UsageError for an address that is none of a proxy, and for a file that has no certificates.
 */
export function networkSettings({
  timeout,
  connectTimeout,
  retries,
  proxy,
  ca,
  offline,
}: NetworkOptions): Pick<DownloadManagerOptions, 'ca' | 'proxy' | 'tuning' | 'offline'> {
  return {
    ...(proxy === undefined ? {} : { proxy: checkProxy(proxy) }),
    ...(ca === undefined ? {} : { ca: ca.map(certificatesIn) }),
    ...(offline === undefined ? {} : { offline }),
    tuning: {
      ...(timeout === undefined ? {} : { headersTimeoutMs: timeout * 1000, bodyTimeoutMs: timeout * 1000 }),
      ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout * 1000 }),
      ...(retries === undefined ? {} : { maxAttempts: retries + 1 }),
    },
  }
}

/** Reads a file with certificates. */
function certificatesIn(file: string): string {
  const invalid = (reason: string) => new UsageError(texts().invalidOption(certificatesFlags, file, reason))
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw invalid(texts().certificatesUnreadable(errnoOf(error) ?? 'EIO'))
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw invalid(texts().certificatesExpected)
  return text
}

/** As with curl, an address without a scheme is one of an http proxy. The message leaves out what may be a password. */
function checkProxy(address: string): string {
  const full = address.includes('://') ? address : `http://${address}`
  if (parseProxy(full) !== null) return full
  const shown = address.replace(/^(.*:\/\/)?.*@/s, '$1…@')
  throw new UsageError(texts().invalidOption(proxyFlags, shown, texts().proxyExpected))
}
