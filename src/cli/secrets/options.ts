/** The options of the command that name secrets of the user. */
import type { HostSecrets } from '../../net/host-secrets.js'
import type { SecretOptions } from './read.js'

/**
 * Reads what the options name. What reads it is loaded only then: the list of public suffixes alone, which cookies need, would
 * be a tenth of a start.
 *
 * @returns undefined if they name nothing.
 * @throws UsageError when a file can't be read or understood. It quotes nothing of the file.
 */
export async function secretsOf(options: SecretOptions): Promise<HostSecrets | undefined> {
  if (options.netrc === undefined && options.cookies === undefined) return undefined
  const { readSecrets } = await import('./read.js')
  return readSecrets(options)
}
