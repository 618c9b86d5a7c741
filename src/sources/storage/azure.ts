/** The source for blobs of Azure Storage. */
import { DownloadError, type DownloadErrorCode } from '../../errors.js'
import { statedSize } from '../../net/content-range.js'
import type { ApiAnswer, Resolution, ResolveContext, ResolvedFile, Source } from '../source.js'
import { badRef, requireEndpoint, unusable, variable } from '../support.js'
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
import { attributeIn, elementsIn, textIn } from './xml.js'

/** Options for {@link azure}. */
export interface AzureOptions {
  /**
   * The only account that `sasToken` is sent to. Default: `AZURE_STORAGE_ACCOUNT`, else the account that the ref names.
   */
  account?: string
  /** A shared access signature; null for none. Default: `AZURE_STORAGE_SAS_TOKEN`. */
  sasToken?: string | null
  /**
   * Address of the blob service, for other clouds and for emulators; `{account}` in it stands for the account. Default:
   * `AZURE_STORAGE_SERVICE_ENDPOINT`, else `https://{account}.blob.core.windows.net`.
   */
  endpoint?: string
}

/** The container, how it is reached, and what it is asked with. */
interface Place {
  account: string
  /** URL of the container, without a trailing slash. */
  base: string
  container: string
  /** Parameters of the signature; empty for none. */
  sas: string
}

const example = 'az://account/container/blob or, for all blobs below a prefix, az://account/container/prefix/'

const accountName = /^[a-z0-9]{3,24}$/

const containerName = /^(?:\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62})$/

/**
 * With this version, entity tags have quotes, and ranges may be open.
 * https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services
 */
const version = { 'x-ms-version': '2021-12-02' }

/** A page lists 5,000 blobs of up to 1,024 characters, and what is known of each. */
const maxPageBytes = 24 * 1024 * 1024

const maxPages = 100

/** What reading an entry of a list costs, in units of {@link Slices}. */
const entryUnits = 1_000

/**
 * Creates the source for `az://account/container/blob`, which stands for a blob, and `az://account/container/prefix/`, which
 * stands for all blobs below it.
 */
export function azure(options: AzureOptions = {}): Source {
  return {
    name: 'azure',
    match: (ref) => /^az:/i.test(ref),
    filenameOf: (ref) => nameOfKey(parseAzureRef(ref).key),
    address: async (ref, context) => {
      const parsed = parseAzureRef(ref)
      return { url: blobUrl(placeOf(parsed, options, context), parsed), headers: version }
    },
    resolve: async (ref, context) => {
      const parsed = parseAzureRef(ref)
      const place = placeOf(parsed, options, context)
      if (isPrefix(parsed.key)) return await folder(place, parsed, context)
      return { files: [await oneBlob(place, parsed, context)] }
    },
  }
}

/** A parsed ref; `bucket` is the container. */
export interface AzureRef extends ObjectRef {
  account: string
}

/**
 * Parses `az://account/container/blob`, with `?versionid=…` for a version of a blob.
 *
 * @throws DownloadError `INVALID_URL`.
 */
export function parseAzureRef(ref: string): AzureRef {
  const text = ref.replace(/^az:(?:\/\/)?/i, '')
  const slash = text.indexOf('/')
  const account = slash === -1 ? text : text.slice(0, slash)
  if (!accountName.test(account)) throw badRef('The name of the account is not valid.', example)
  if (/[?&]sig=/i.test(text)) {
    throw badRef('A signature is given in AZURE_STORAGE_SAS_TOKEN, and not in the ref.', example)
  }
  const rest = slash === -1 ? '' : text.slice(slash + 1)
  return { account, ...parseObjectRef(rest, { isBucket: containerName, versionName: 'versionid', example }) }
}

function placeOf({ account, bucket }: AzureRef, options: AzureOptions, context: ResolveContext): Place {
  const { env, tokens } = context
  const given = options.endpoint ?? variable(env, 'AZURE_STORAGE_SERVICE_ENDPOINT')
  const address = given ?? 'https://{account}.blob.core.windows.net'
  const endpoint = requireEndpoint(address.replaceAll('{account}', account), 'AZURE_STORAGE_SERVICE_ENDPOINT')
  const own = options.account ?? variable(env, 'AZURE_STORAGE_ACCOUNT')
  const token = options.sasToken === undefined ? variable(env, 'AZURE_STORAGE_SAS_TOKEN') : options.sasToken
  const isAllowed = tokens !== false && token !== null && (own === null || own === account)
  return {
    account,
    container: bucket,
    base: `${endpoint}/${bucket}`,
    sas: isAllowed ? requireSas(token) : '',
  }
}

/** Checks a signature, which must not break out of its query. */
function requireSas(token: string): string {
  const text = token.trim().replace(/^\?/, '')
  const names = new URLSearchParams(text)
  if (/^[\x21\x24-\x7e]{1,4096}$/.test(text) && names.has('sig')) return text
  const message = 'is not a shared access signature, such as sv=…&sig=…'
  throw new DownloadError('INVALID_OPTIONS', `AZURE_STORAGE_SAS_TOKEN ${message}. Set it again.`, {
    issues: [{ path: 'AZURE_STORAGE_SAS_TOKEN', message }],
  })
}

function blobUrl({ base, sas }: Place, { key, version }: Pick<ObjectRef, 'key' | 'version'>): string {
  const query = [version === null ? '' : `versionid=${escapeComponent(version)}`, sas]
  const text = query.filter((part) => part !== '').join('&')
  return `${base}/${escapeKey(key)}${text === '' ? '' : `?${text}`}`
}

async function oneBlob(place: Place, ref: AzureRef, context: ResolveContext): Promise<ResolvedFile> {
  const url = blobUrl(place, ref)
  const answer = await context.fetchHead(url, {
    headers: version,
    // The answer for an empty blob, which has no first byte.
    accept: [416],
    explain: (got) => explain(got, place, ref),
  })
  const { headers } = answer
  const etag = etagOf(headers['etag'])
  return {
    filename: nameOfKey(ref.key) ?? ref.key,
    urls: [url],
    size: statedSize(answer) ?? undefined,
    ...digestsOf([['md5', hexOf('md5', headers['x-ms-blob-content-md5'])]]),
    ...(etag === null ? {} : { revision: etag }),
    headers: version,
  }
}

/** An entity tag without quotes, as lists have it. */
function etagOf(text: string | null | undefined): string | null {
  return /^"?([\x21\x23-\x7e]{1,200})"?$/.exec(text?.trim() ?? '')?.[1] ?? null
}

async function folder(place: Place, ref: AzureRef, context: ResolveContext): Promise<Resolution> {
  return await groupOfObjects(ref, context, {
    pages: pages(place, ref, context),
    entryUnits,
    objectOf: (file) => ({ key: file.filename, size: file.size ?? 0, file }),
    fileOf: ({ file }, filename) => ({ ...file, filename }),
    words: { bucket: 'container', objects: 'blobs' },
  })
}

/** The blobs of each page; the names of files are whole keys. */
async function* pages(place: Place, ref: AzureRef, context: ResolveContext): AsyncGenerator<ResolvedFile[]> {
  let marker = ''
  for (let page = 0; page < maxPages; page += 1) {
    const query = `restype=container&comp=list&prefix=${escapeComponent(ref.key)}${marker === '' ? '' : `&marker=${escapeComponent(marker)}`}`
    const { text, url }: ApiAnswer = await context.fetchText(
      `${place.base}?${query}${place.sas === '' ? '' : `&${place.sas}`}`,
      { headers: version, maxBytes: maxPageBytes, explain: (got) => explain(got, place, ref) },
    )
    if (!/<EnumerationResults[\s>]/.test(text)) throw unusable(url)
    yield [...elementsIn(text, 'Blob')].flatMap((entry) => blobOf(entry, place, url))
    const next = textIn(text, 'NextMarker') ?? ''
    if (next === '') return
    if (next === marker) break
    marker = next
  }
  throw new DownloadError('PROTOCOL_ERROR', "The service's list of blobs is endless.")
}

/** A blob of a list; nothing for a folder of a hierarchical name space. */
function blobOf(entry: string, place: Place, url: string): ResolvedFile[] {
  if (textIn(entry, 'ResourceType') === 'directory') return []
  const isEncoded = attributeIn(entry, 'Name', 'Encoded') === 'true'
  const name = nameOf(textIn(entry, 'Name') ?? '', isEncoded)
  const size = textIn(entry, 'Content-Length') ?? ''
  if (name === null || !/^\d{1,15}$/.test(size)) throw unusable(url)
  const etag = etagOf(textIn(entry, 'Etag'))
  return [
    {
      filename: name,
      urls: [blobUrl(place, { key: name, version: null })],
      size: Number(size),
      ...digestsOf([['md5', hexOf('md5', textIn(entry, 'Content-MD5'))]]),
      ...(etag === null ? {} : { revision: etag }),
      headers: version,
    },
  ]
}

function nameOf(text: string, isEncoded: boolean): string | null {
  try {
    const name = isEncoded ? decodeURIComponent(text) : text
    return name === '' ? null : name
  } catch {
    return null
  }
}

function explain(answer: ApiAnswer, place: Place, { key, account }: AzureRef): DownloadError | null {
  const { status, headers, text } = answer
  const { container, sas } = place
  const code = headers['x-ms-error-code'] ?? textIn(text, 'Code')?.trim() ?? ''
  const make = (kind: DownloadErrorCode, message: string) => new DownloadError(kind, message, { status })
  const what = isPrefix(key) ? `the container ${container}` : JSON.stringify(key)
  switch (code) {
    case 'ContainerNotFound':
      return make('NOT_FOUND', `The account ${account} has no container ${container}.`)
    case 'BlobArchived':
      return make('ACCESS_DENIED', `${what} in the container ${container} is archived: rehydrate it first.`)
    case 'AuthenticationFailed': {
      const detail = /not valid in the specified time frame|expir/i.test(text) ? ' or has expired' : ''
      return make(
        'ACCESS_DENIED',
        `The account ${account} does not accept the signature: AZURE_STORAGE_SAS_TOKEN is not valid for it${detail || ', or has expired'}. Make a new one, and check the clock of this machine.`,
      )
    }
    case 'AuthorizationPermissionMismatch':
    case 'AuthorizationServiceMismatch':
    case 'AuthorizationResourceTypeMismatch': {
      const needed = isPrefix(key) ? 'list (sp=l)' : 'read (sp=r)'
      return make(
        'ACCESS_DENIED',
        `The signature does not allow access to ${what}: it needs the permission to ${needed}.`,
      )
    }
    default:
  }
  if (status === 401 || status === 403 || code === 'PublicAccessNotPermitted') {
    const remedy =
      sas === ''
        ? 'set AZURE_STORAGE_SAS_TOKEN'
        : 'the signature must be for this account and container, and allow reading'
    return make('ACCESS_DENIED', `The account ${account} denies access to ${what}: ${remedy}.`)
  }
  if (status !== 404) return null
  // A container that is not public is said not to exist.
  const hint = sas === '' ? ' If it is not public, set AZURE_STORAGE_SAS_TOKEN.' : ''
  const folder = isPrefix(key) ? '' : ` For all blobs below a prefix, end it with a slash.`
  return make('NOT_FOUND', `The container ${container} of ${account} has no ${what}.${hint}${folder}`)
}
