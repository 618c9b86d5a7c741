import { hostname } from 'node:os'

/** The host name as the name of a node: letters, digits, dots, dashes and underscores, at most 64. */
export function hostNodeName(): string {
  const name = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 64)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
  return name === '' ? 'node' : name
}
