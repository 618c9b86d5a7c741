/** Where a bucket is and with which credentials it is asked: options, environment and profiles together. */
import { DownloadError } from '../../errors.js'
import type { ResolveContext } from '../source.js'
import { requireEndpoint, variable } from '../support.js'
import {
  type AwsProfile,
  credentialsIn,
  profileOf,
  requireCredentials,
  type S3Credentials,
} from './aws-config.js'
import { escapeKey } from './object-ref.js'

/** Options for `s3`. */
export interface S3Options {
  /** Unique name of the source. Default: `s3`. */
  name?: string
  /**
   * Scheme of its refs, so that several stores can be used beside each other: with `r2`, they are `r2://bucket/key`.
   * Default: `s3`.
   */
  scheme?: string
  /**
   * Address of the store. Default: `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`, else that of the profile, else AWS in
   * `region`.
   */
  endpoint?: string
  /**
   * Region for signatures. Default: `AWS_REGION`, else `AWS_DEFAULT_REGION`, else that of the profile, else `us-east-1`
   * for AWS and `auto` for others. When a bucket is in another region and the store says so, that one is used.
   */
  region?: string
  /**
   * Whether the bucket is in the path of the URL instead of in the name of the host. Default: `addressing_style` of the
   * profile, else true, except for buckets of AWS whose name can be in that of a host.
   */
  pathStyle?: boolean
  /**
   * Credentials, or a function that is asked for them whenever a ref is resolved or a signature has expired; null for
   * requests without a signature, for public buckets. Default: `AWS_ACCESS_KEY_ID` and its siblings, else those of the
   * profile. They are sent to nobody; signatures made with them are sent to the store's origin only.
   */
  credentials?: S3Credentials | null | (() => S3Credentials | Promise<S3Credentials>)
  /** Name of the profile in AWS's files. Default: `AWS_PROFILE`, else `default`. */
  profile?: string
  /**
   * How long a signed address is valid, in seconds, from 60 to 604,800 (seven days). When it has expired, a fresh one is
   * made. Default: 21,600 (six hours).
   */
  expiresSeconds?: number
}

/** A bucket, how it is reached, and what requests are signed with. */
export interface S3Place {
  /** Base of the URLs of objects, with the bucket and without a trailing slash. */
  base: string
  bucket: string
  region: string
  /** Whether it is on AWS, whose endpoint follows from the region. */
  isAws: boolean
  pathStyle: boolean
  /** Null for requests without a signature. */
  credentials: S3Credentials | null
  /** Why there are no credentials, if it is not for want of any. */
  hint: string | null
  /** How far this machine's clock is behind the store's, in milliseconds. */
  skewMs: number
  expiresSeconds: number
}

const regionName = /^[a-z0-9][a-z0-9-]{0,62}$/i

/** Names that can be the first label of a host without making the certificate wrong. */
const hostLabel = /^[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]$/

/**
 * Finds out where a bucket is.
 *
 * @throws DownloadError `INVALID_OPTIONS` for settings that can't be used.
 */
export async function placeOf(bucket: string, options: S3Options, context: ResolveContext): Promise<S3Place> {
  const { env } = context
  const profile = await readProfile(options, context)
  const { credentials, hint } = await credentialsOf(options, profile, context)
  const endpoint = endpointOf(options, profile, env)
  const region =
    options.region ??
    variable(env, 'AWS_REGION', 'AWS_DEFAULT_REGION') ??
    profile?.region ??
    (endpoint === null ? 'us-east-1' : 'auto')
  const style = profile?.addressingStyle
  const isHostLabel = hostLabel.test(bucket)
  const isPath = options.pathStyle ?? (style === 'virtual' ? false : style === 'path' || endpoint !== null)
  const pathStyle = isPath || !isHostLabel
  const { expiresSeconds = 21_600 } = options
  if (!(Number.isInteger(expiresSeconds) && expiresSeconds >= 60 && expiresSeconds <= 604_800)) {
    throw invalid('expiresSeconds', 'must be an integer from 60 to 604800')
  }
  return {
    ...baseOf(bucket, requireRegion(region), { endpoint, pathStyle }),
    bucket,
    isAws: endpoint === null,
    pathStyle,
    credentials,
    hint,
    skewMs: 0,
    expiresSeconds,
  }
}

/** The same bucket in another region. */
export function inRegion(place: S3Place, region: string): S3Place {
  if (!place.isAws) return { ...place, region: requireRegion(region) }
  const { bucket, pathStyle } = place
  return { ...place, ...baseOf(bucket, requireRegion(region), { endpoint: null, pathStyle }) }
}

function baseOf(
  bucket: string,
  region: string,
  { endpoint, pathStyle }: { endpoint: string | null; pathStyle: boolean },
): Pick<S3Place, 'base' | 'region'> {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const url = new URL(endpoint ?? `https://s3.${region}.${suffix}`)
  if (!pathStyle) url.hostname = `${bucket}.${url.hostname}`
  const root = (url.origin + url.pathname).replace(/\/+$/, '')
  return { base: pathStyle ? `${root}/${bucket}` : root, region }
}

/** The URL of an object, or of the bucket itself for an empty key. */
export function objectUrl({ base }: Pick<S3Place, 'base'>, key: string, query = ''): string {
  return `${base}/${escapeKey(key)}${query === '' ? '' : `?${query}`}`
}

function endpointOf(
  { endpoint }: S3Options,
  profile: AwsProfile | null,
  env: ResolveContext['env'],
): string | null {
  if (endpoint !== undefined) return requireEndpoint(endpoint, 'endpoint')
  if (/^true$/i.test(variable(env, 'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS') ?? '')) return null
  const given = variable(env, 'AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL')
  if (given !== null) return requireEndpoint(given, 'AWS_ENDPOINT_URL')
  const own = profile?.endpoint ?? null
  return own === null ? null : requireEndpoint(own, 'endpoint_url of the profile')
}

async function readProfile(options: S3Options, context: ResolveContext): Promise<AwsProfile | null> {
  const { env } = context
  const wanted = options.profile ?? variable(env, 'AWS_PROFILE', 'AWS_DEFAULT_PROFILE')
  const [credentials, config] = await Promise.all([
    context.readTextFile(variable(env, 'AWS_SHARED_CREDENTIALS_FILE') ?? '~/.aws/credentials'),
    context.readTextFile(variable(env, 'AWS_CONFIG_FILE') ?? '~/.aws/config'),
  ])
  const profile = profileOf(wanted ?? 'default', { credentials, config })
  // For a remote caller, no file is read.
  if (profile !== null || wanted === null || context.tokens === false) return profile
  if (options.profile === undefined && credentialsIn(env) !== null) return null
  throw invalid(
    options.profile === undefined ? 'AWS_PROFILE' : 'profile',
    'names a profile that is neither in ~/.aws/credentials nor in ~/.aws/config',
  )
}

async function credentialsOf(
  { credentials: given, profile: named }: S3Options,
  profile: AwsProfile | null,
  { env, tokens }: ResolveContext,
): Promise<Pick<S3Place, 'credentials' | 'hint'>> {
  if (tokens === false || given === null) return { credentials: null, hint: null }
  if (given !== undefined) {
    const own = typeof given === 'function' ? await given() : given
    return { credentials: requireCredentials(own), hint: null }
  }
  const found = (named === undefined ? credentialsIn(env) : null) ?? profile?.credentials ?? null
  if (found !== null) return { credentials: requireCredentials(found), hint: null }
  const elsewhere = profile?.elsewhere ?? null
  const hint =
    elsewhere === null
      ? null
      : `The profile gets its credentials by ${elsewhere}, which is not supported: export them first, as with \`eval "$(aws configure export-credentials --format env)"\`.`
  return { credentials: null, hint }
}

function requireRegion(region: string): string {
  if (regionName.test(region)) return region
  throw invalid('region', 'is not the name of a region')
}

function invalid(path: string, message: string): DownloadError {
  return new DownloadError('INVALID_OPTIONS', `The setting ${path} for S3 ${message}.`, {
    issues: [{ path, message }],
  })
}
