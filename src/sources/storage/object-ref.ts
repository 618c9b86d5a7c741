/** What the refs of object stores have in common: a bucket, and a key or the prefix of several keys. Pure. */
import { DownloadError } from '../../errors.js'
import { badRef, staysBelow } from '../support.js'

/** Objects in a bucket. */
export interface ObjectRef {
  bucket: string
  /** Key of one object, or prefix of several if it is empty or ends with a slash. Not escaped. */
  key: string
  /** Version of the object; null for the current one. */
  version: string | null
}

const forbidden = /[\p{Cc}\p{Cs}]/u

/** Longest key that the stores allow, in bytes of UTF-8. */
const maxKeyBytes = 1_024

/**
 * Parses `bucket[/key][?<versionName>=version]`. A key is taken literally, as the stores' own tools do: nothing in it is
 * an escape.
 *
 * @param text - the ref without its scheme and the slashes after that.
 * @param isBucket - whether a name is one that the store allows.
 * @param versionName - what the store calls a version.
 * @throws DownloadError `INVALID_URL`.
 */
export function parseObjectRef(
  text: string,
  { isBucket, versionName, example }: { isBucket: RegExp; versionName: string; example: string },
): ObjectRef {
  const mark = text.indexOf('?')
  const path = mark === -1 ? text : text.slice(0, mark)
  const version = mark === -1 ? null : versionOf(text.slice(mark + 1), versionName, example)
  const slash = path.indexOf('/')
  const bucket = slash === -1 ? path : path.slice(0, slash)
  const key = slash === -1 ? '' : path.slice(slash + 1)
  if (!isBucket.test(bucket)) throw badRef('The name of the bucket is not valid.', example)
  requireKey(key, example)
  if (version !== null && isPrefix(key)) throw badRef('Only a single object has a version.', example)
  return { bucket, key, version }
}

function versionOf(query: string, name: string, example: string): string {
  const [key, value = '', ...more] = query.split('=')
  if (key === name && more.length === 0 && /^[\w.~-]{1,1024}$/.test(value)) return value
  throw badRef(`The only allowed query is ?${name}=…; a question mark in a key can't be written.`, example)
}

function requireKey(key: string, example: string): void {
  const isValid =
    Buffer.byteLength(key) <= maxKeyBytes &&
    !forbidden.test(key) &&
    // A URL can't contain such a segment, not even escaped.
    key.split('/').every((segment) => segment !== '.' && segment !== '..')
  if (!isValid) throw badRef('The key of the object is not valid.', example)
}

/** Whether a key names all objects whose keys begin with it. */
export function isPrefix(key: string): boolean {
  return key === '' || key.endsWith('/')
}

/** The file name of a key; null for a prefix. */
export function nameOfKey(key: string): string | null {
  return isPrefix(key) ? null : key.slice(key.lastIndexOf('/') + 1)
}

/** The name of the folder for the objects of a prefix: its last part, or else the bucket. */
export function folderOf({ bucket, key }: Pick<ObjectRef, 'bucket' | 'key'>): string {
  return key.split('/').findLast((part) => part !== '') ?? bucket
}

/** Escapes a key for the path of a URL, everything that RFC 3986 does not leave unreserved. */
export function escapeKey(key: string): string {
  return key
    .split('/')
    .map((segment) => escapeComponent(segment))
    .join('/')
}

/** Escapes a text for the query or one segment of a URL, everything that RFC 3986 does not leave unreserved. */
export function escapeComponent(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/**
 * The path of an object below a prefix; null for the prefix itself and for the marker of a folder, which has no content.
 *
 * @throws DownloadError `NOT_FOUND` for a key that is not a path.
 */
export function pathInPrefix(prefix: string, { key, size }: { key: string; size: number }): string | null {
  if (!key.startsWith(prefix)) return null
  const path = key.slice(prefix.length)
  if (path === '' || (path.endsWith('/') && size === 0)) return null
  if (staysBelow(path)) return path
  const message = `The key ${JSON.stringify(key.slice(0, 200))} can't be the path of a file`
  throw new DownloadError('NOT_FOUND', `${message}; leave it out with exclude, or fetch it on its own.`)
}

/** Twice as many files as a group may have. Beyond that, there is no use in reading the rest of a list. */
export const maxObjects = 20_000

/** The error for a prefix with far more objects than a group may have files. */
export function tooManyObjects(): DownloadError {
  const message = `names more than ${maxObjects} files; choose some with include or exclude`
  return new DownloadError('INVALID_OPTIONS', `The ref ${message}.`, { issues: [{ path: 'url', message }] })
}
