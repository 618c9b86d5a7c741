/** The source for Google Cloud Storage. */
import * as z from 'zod'
import { DownloadError, type DownloadErrorCode } from '../../errors.js'
import { lazily } from '../../util/lazy.js'
import type { ApiAnswer, Resolution, ResolveContext, ResolvedFile, Source } from '../source.js'
import { rateLimited, requireEndpoint, requireToken, unusable, variable } from '../support.js'
import { digestsOf, hexOf } from './digests.js'
import { groupOfObjects } from './object-folder.js'
import {
  escapeComponent,
  escapeKey,
  isPrefix,
  nameOfKey,
  type ObjectRef,
  parseObjectRef,
} from './object-ref.js'

/** Options for {@link googleStorage}. */
export interface GoogleStorageOptions {
  /** Address of the store. Default: `STORAGE_EMULATOR_HOST`, else `https://storage.googleapis.com`. */
  endpoint?: string
  /**
   * Access token, or a function that is asked for one whenever a ref is resolved or a token has expired; null for none, for
   * public buckets. It is sent to the store's origin only. Default: `GOOGLE_OAUTH_ACCESS_TOKEN`, else
   * `CLOUDSDK_AUTH_ACCESS_TOKEN`.
   */
  token?: string | null | (() => string | Promise<string>)
}

interface Place {
  endpoint: string
  token: string | null
  bucket: string
}

const example = 'gs://bucket/object or, for all objects below a prefix, gs://bucket/prefix/'

const bucketName = /^[a-z0-9](?:[a-z0-9._-]{1,220})[a-z0-9]$/

/** https://cloud.google.com/storage/docs/json_api/v1/objects; 64-bit numbers are strings there. */
const objectSchema = lazily(() =>
  z.object({
    name: z.string().min(1),
    size: z.string().regex(/^\d{1,15}$/),
    generation: z.string().regex(/^\d{1,20}$/),
    md5Hash: z.string().optional(),
    crc32c: z.string().optional(),
  }),
)

type StoredObject = z.output<ReturnType<typeof objectSchema>>

const listSchema = lazily(() =>
  z.object({
    // The entries are checked one by one, because there may be many.
    items: z.custom<unknown[]>(Array.isArray).nullish(),
    nextPageToken: z.string().nullish(),
  }),
)

const fields = 'name,size,generation,md5Hash,crc32c'

const maxPageBytes = 8 * 1024 * 1024

const maxPages = 200

/** What checking an entry of a list costs, in units of {@link Slices}. */
const entryUnits = 1_000

/**
 * Creates the source for `gs://bucket/object`, which stands for an object, and `gs://bucket/prefix/`, which stands for all
 * objects below it.
 */
export function googleStorage(options: GoogleStorageOptions = {}): Source {
  return {
    name: 'google-storage',
    match: (ref) => /^gs:/i.test(ref),
    filenameOf: (ref) => nameOfKey(parseGoogleRef(ref).key),
    address: async (ref, context) => {
      const parsed = parseGoogleRef(ref)
      const place = await placeOf(parsed, options, context)
      return { url: mediaUrl(place, parsed.key, parsed.version), headers: credentials(place) }
    },
    resolve: async (ref, context) => {
      const parsed = parseGoogleRef(ref)
      const place = await placeOf(parsed, options, context)
      if (isPrefix(parsed.key)) return await folder(place, parsed, context)
      return { files: [await oneObject(place, parsed, context)] }
    },
  }
}

/**
 * Parses `gs://bucket/object`, with `?generation=…` for a version of an object.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseGoogleRef(ref: string): ObjectRef {
  const text = ref.replace(/^gs:(?:\/\/)?/i, '')
  return parseObjectRef(text, { isBucket: bucketName, versionName: 'generation', example })
}

async function placeOf(
  { bucket }: ObjectRef,
  { endpoint, token: given }: GoogleStorageOptions,
  { env, tokens }: ResolveContext,
): Promise<Place> {
  const emulator = variable(env, 'STORAGE_EMULATOR_HOST')
  const address = endpoint ?? (emulator === null ? 'https://storage.googleapis.com' : withScheme(emulator))
  const own = async () => {
    if (given === undefined) return variable(env, 'GOOGLE_OAUTH_ACCESS_TOKEN', 'CLOUDSDK_AUTH_ACCESS_TOKEN')
    return typeof given === 'function' ? await given() : given
  }
  const token = tokens === false ? null : await own()
  return {
    endpoint: requireEndpoint(address, 'STORAGE_EMULATOR_HOST'),
    token: token === null ? null : requireToken(token, 'GOOGLE_OAUTH_ACCESS_TOKEN'),
    bucket,
  }
}

/** The emulator's variable may have no scheme. */
function withScheme(host: string): string {
  return /^https?:\/\//i.test(host) ? host : `http://${host}`
}

function credentials({ token }: Place): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

/** A generation never has another content. */
function mediaUrl({ endpoint, bucket }: Place, key: string, generation: string | null): string {
  const query = generation === null ? '' : `?generation=${escapeComponent(generation)}`
  return `${endpoint}/${bucket}/${escapeKey(key)}${query}`
}

function objectsUrl({ endpoint, bucket }: Place): string {
  return `${endpoint}/storage/v1/b/${bucket}/o`
}

function fileOf(place: Place, filename: string, object: StoredObject): ResolvedFile {
  const { name, size, generation, md5Hash, crc32c } = object
  return {
    filename,
    urls: [mediaUrl(place, name, generation)],
    size: Number(size),
    ...digestsOf([
      ['crc32c', hexOf('crc32c', crc32c)],
      ['md5', hexOf('md5', md5Hash)],
    ]),
    revision: generation,
    headers: credentials(place),
  }
}

async function oneObject(place: Place, ref: ObjectRef, context: ResolveContext): Promise<ResolvedFile> {
  const { key, version } = ref
  const query = version === null ? '' : `&generation=${escapeComponent(version)}`
  const url = `${objectsUrl(place)}/${escapeComponent(key)}?fields=${fields}${query}`
  const { json } = await context.fetchJson(url, {
    headers: credentials(place),
    maxBytes: 256 * 1024,
    explain: (answer) => explain(answer, place, ref),
  })
  const parsed = objectSchema().safeParse(json)
  if (!parsed.success || parsed.data.name !== key) throw unusable(url)
  return fileOf(place, nameOfKey(key) ?? key, parsed.data)
}

async function folder(place: Place, ref: ObjectRef, context: ResolveContext): Promise<Resolution> {
  return await groupOfObjects(ref, context, {
    pages: pages(place, ref, context),
    entryUnits,
    objectOf: (entry) => {
      const parsed = objectSchema().safeParse(entry)
      if (!parsed.success) throw unusable(place.endpoint)
      const { name, size } = parsed.data
      return { key: name, size: Number(size), stored: parsed.data }
    },
    fileOf: ({ stored }, path) => fileOf(place, path, stored),
    words: { bucket: 'bucket', objects: 'objects' },
  })
}

async function* pages(place: Place, ref: ObjectRef, context: ResolveContext): AsyncGenerator<unknown[]> {
  let token = ''
  for (let page = 0; page < maxPages; page += 1) {
    const query = `prefix=${escapeComponent(ref.key)}&fields=items(${fields}),nextPageToken`
    const url = `${objectsUrl(place)}?${query}${token === '' ? '' : `&pageToken=${escapeComponent(token)}`}`
    const { json } = await context.fetchJson(url, {
      headers: credentials(place),
      maxBytes: maxPageBytes,
      explain: (answer) => explain(answer, place, ref),
    })
    const parsed = listSchema().safeParse(json)
    if (!parsed.success) throw unusable(url)
    yield parsed.data.items ?? []
    const next = parsed.data.nextPageToken ?? ''
    if (next === '') return
    if (next === token) break
    token = next
  }
  throw new DownloadError('PROTOCOL_ERROR', "The store's list of objects is endless.")
}

function explain(answer: ApiAnswer, { bucket, token }: Place, { key }: ObjectRef): DownloadError | null {
  const { status } = answer
  const make = (kind: DownloadErrorCode, message: string) => new DownloadError(kind, message, { status })
  const what = isPrefix(key) ? 'its objects' : JSON.stringify(key)
  switch (status) {
    case 401: {
      const message =
        token === null
          ? `The bucket ${bucket} requires a token: set GOOGLE_OAUTH_ACCESS_TOKEN, for instance to the output of \`gcloud auth print-access-token\`.`
          : 'The token in GOOGLE_OAUTH_ACCESS_TOKEN is not valid or has expired; it lasts an hour. Renew it.'
      return make('ACCESS_DENIED', message)
    }
    case 403: {
      const needed = isPrefix(key) ? 'storage.objects.list' : 'storage.objects.get'
      return make(
        'ACCESS_DENIED',
        `The token gives no access to ${what} of the bucket ${bucket}: it needs ${needed}.`,
      )
    }
    case 404: {
      const hint = token === null ? ' If it is not public, set GOOGLE_OAUTH_ACCESS_TOKEN.' : ''
      const folder = isPrefix(key) ? '' : ' For all objects below a prefix, end it with a slash.'
      const absent = isPrefix(key)
        ? `There is no bucket ${bucket}.`
        : `There is no bucket ${bucket}, or it has no ${what}.`
      return make('NOT_FOUND', `${absent}${hint}${folder}`)
    }
    case 429:
      return rateLimited(answer, 'wait')
    default:
      return null
  }
}
