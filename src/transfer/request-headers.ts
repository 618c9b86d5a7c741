/** Unless the caller names another. */
const userAgent = 'model-downloader'

/** The headers of one request: the caller's, our own for the range, and no content coding (transfer rule 1). */
export function requestHeaders(
  caller: Readonly<Record<string, string>>,
  range: Readonly<Record<string, string>>,
): Record<string, string> {
  const given = Object.entries(caller).map(([name, value]) => [name.toLowerCase(), value])
  return {
    'user-agent': userAgent,
    accept: '*/*',
    // Object.fromEntries forgets that both halves are strings.
    ...(Object.fromEntries(given) as Record<string, string>),
    ...range,
    'accept-encoding': 'identity',
  }
}
