/**
 * Makes a query string of the values that are defined; empty if there are none, otherwise with its question mark. The
 * field of a list is repeated.
 */
export function queryString(values: object): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(values))
    for (const one of [value].flat()) if (one !== undefined) params.append(name, String(one))
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}
