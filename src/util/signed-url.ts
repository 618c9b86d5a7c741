/** Tells the part of a signed URL that names what is fetched from the part that grants access to it. Pure. */

/**
 * Parameters of a signature, by the parameter that shows that a URL has one. AWS and everything that speaks its protocol,
 * and Google: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
 * https://cloud.google.com/storage/docs/authentication/signatures
 */
const versionFour =
  /^x-(?:amz|goog)-(?:algorithm|credential|date|expires|signedheaders|signature|security-token)$/i

/** Version 2 of both, and CloudFront. */
const versionTwo = /^(?:signature|expires|awsaccesskeyid|googleaccessid|key-pair-id|policy)$/i
const signerOfTwo = /^(?:awsaccesskeyid|googleaccessid|key-pair-id)$/i

/** https://learn.microsoft.com/rest/api/storageservices/create-service-sas, and those of accounts and users. */
const azure =
  /^(?:sv|ss|srt|st|se|sr|sp|sip|spr|sig|si|sdd|ses|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid|skdutid|sduoid)$/i

/**
 * Removes what signs a URL, so that two signed URLs of the same file are equal. A URL without a signature that is known
 * is returned as it is.
 *
 * @example
 * withoutSignature('https://host/a?versionId=1&X-Amz-Date=…&X-Amz-Signature=…') // 'https://host/a?versionId=1'
 */
export function withoutSignature(url: string): string {
  const fragment = url.indexOf('#')
  const end = fragment === -1 ? url.length : fragment
  const start = url.slice(0, end).indexOf('?')
  // Nearly every URL, so nothing else is looked at.
  if (start === -1 || !/sig/i.test(url)) return url
  const parts = url.slice(start + 1, end).split('&')
  const names = parts.map((part) => part.split('=', 1)[0] ?? '')
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name))
  const patterns = [
    ...(has(/^x-(?:amz|goog)-signature$/i) ? [versionFour] : []),
    ...(has(/^signature$/i) && has(signerOfTwo) ? [versionTwo] : []),
    ...(has(/^sig$/i) && has(/^sv$/i) ? [azure] : []),
  ]
  if (patterns.length === 0) return url
  const kept = parts.filter((_, index) => !patterns.some((pattern) => pattern.test(names[index] ?? '')))
  const query = kept.length === 0 ? '' : `?${kept.join('&')}`
  return url.slice(0, start) + query + url.slice(end)
}
