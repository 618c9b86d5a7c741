/** What happens when a trusted request wants the file of a remote caller's download. */
import type { Download } from '../download/download.js'
import { destinationFor, outranks, type ValidatedRequest } from '../download/request.js'
import type { Registry } from './registry.js'

/**
 * Removes a remote caller's download that has claimed the file of a trusted request. Its file is fetched
 * again then, because only a digest can tell whether it is the one that the trusted caller wants.
 *
 * @param remove - removes a download, and reports why.
 * @returns the request that is to be made instead.
 */
export async function claimFromStrangers(
  request: ValidatedRequest,
  registry: Pick<Registry, 'get' | 'holderOf'>,
  remove: (holder: Download, message: string) => Promise<void>,
): Promise<ValidatedRequest> {
  const { wanted } = request
  if (wanted.remote !== null) return request
  const known = registry.get(wanted.url)
  const joins = known !== undefined && !outranks(wanted, known.record)
  const place = joins ? known.record : destinationFor(request)
  const holder = place.named ? registry.holderOf(place) : undefined
  if (holder === undefined || holder === known || holder.record.remote === null) return request
  if (!['failed', 'canceled'].includes(holder.state))
    await remove(
      holder,
      'A download of a remote caller was removed: the host application needs its file name.',
    )
  // Without a stamp, the file existed before and was not fetched for the remote caller.
  const force = wanted.sha256 === undefined && holder.record.stamp !== null
  return force ? { ...request, wanted: { ...wanted, force } } : request
}
