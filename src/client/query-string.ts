/** Makes a query string of the values that are defined; empty if there are none, otherwise with its question mark. */
export function queryString(values: object): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) params.set(name, String(value))
  const text = params.toString()
  return text === '' ? '' : `?${text}`
}
