/**
 * Where AWS's own tools find settings and credentials: the environment and the two files of profiles. What needs another
 * service (single sign-on, roles, machine identities) is left to those tools. Pure.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
 */
import { DownloadError } from '../../errors.js'
import { variable } from '../support.js'

/** Credentials for signing requests. */
export interface S3Credentials {
  /** Identifies the key; it is part of each signature. */
  accessKeyId: string
  /** Signs requests; it is never sent. */
  secretAccessKey: string
  /** Of temporary credentials. */
  sessionToken?: string | undefined
}

/** What a profile says. */
export interface AwsProfile {
  credentials: S3Credentials | null
  region: string | null
  endpoint: string | null
  /** `path`, `virtual` or `auto`. */
  addressingStyle: string | null
  /** The setting that gets credentials from elsewhere, which is not supported; null for none. */
  elsewhere: string | null
}

type Section = Map<string, string>

const setting = /^([\w.-]{1,100})\s*=\s*(.*)$/

/**
 * Parses a file of profiles. A setting inside another one, such as `s3 =` with indented lines below it, is called
 * `s3.addressing_style`. Lines that are no settings are skipped, as the tools do.
 */
export function parseProfiles(text: string): Map<string, Section> {
  const sections = new Map<string, Section>()
  let section: Section = new Map()
  let parent: string | null = null
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const bare = line.trim()
    if (bare === '' || /^[#;]/.test(bare)) continue
    const name = /^\[\s*([^\]]{1,200}?)\s*\]/.exec(bare)?.[1]
    if (name !== undefined) {
      section = sections.get(name) ?? new Map<string, string>()
      sections.set(name, section)
      parent = null
      continue
    }
    const [, key, rest = ''] = setting.exec(bare) ?? []
    if (key === undefined) continue
    const value = rest.replace(/\s[#;].*$/, '').trim()
    const isNested = /^\s/.test(line) && parent !== null
    if (!isNested) parent = value === '' ? key.toLowerCase() : null
    section.set(isNested ? `${parent ?? ''}.${key.toLowerCase()}` : key.toLowerCase(), value)
  }
  return sections
}

/** Settings that get credentials from another service or program. */
const otherWays = [
  'credential_process',
  'sso_session',
  'sso_start_url',
  'role_arn',
  'web_identity_token_file',
  'login_session',
]

/**
 * Reads one profile.
 *
 * @param files - the texts of the credentials file and of the config file; null for one that does not exist.
 * @returns null when neither has the profile.
 */
export function profileOf(
  name: string,
  { credentials, config }: { credentials: string | null; config: string | null },
): AwsProfile | null {
  const own = parseProfiles(credentials ?? '').get(name)
  const all = parseProfiles(config ?? '')
  const more = all.get(`profile ${name}`) ?? (name === 'default' ? all.get(name) : undefined)
  if (own === undefined && more === undefined) return null
  const get = (key: string) => [own?.get(key), more?.get(key)].find((value) => (value ?? '') !== '') ?? null
  const accessKeyId = get('aws_access_key_id')
  const secretAccessKey = get('aws_secret_access_key')
  const sessionToken = get('aws_session_token')
  const isComplete = accessKeyId !== null && secretAccessKey !== null
  const services = get('services')
  const ofService = services === null ? undefined : all.get(`services ${services}`)
  return {
    credentials: isComplete
      ? { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) }
      : null,
    region: get('region'),
    endpoint: ofService?.get('s3.endpoint_url') ?? get('endpoint_url'),
    addressingStyle: get('s3.addressing_style'),
    elsewhere: isComplete ? null : (otherWays.find((key) => get(key) !== null) ?? null),
  }
}

/** The credentials of the environment; null when it has none. */
export function credentialsIn(env: Readonly<Record<string, string | undefined>>): S3Credentials | null {
  const accessKeyId = variable(env, 'AWS_ACCESS_KEY_ID')
  const secretAccessKey = variable(env, 'AWS_SECRET_ACCESS_KEY')
  const sessionToken = variable(env, 'AWS_SESSION_TOKEN')
  if (accessKeyId === null || secretAccessKey === null) return null
  return { accessKeyId, secretAccessKey, ...(sessionToken === null ? {} : { sessionToken }) }
}

/**
 * Checks credentials, which must not break out of a header.
 *
 * @throws DownloadError `INVALID_OPTIONS`, without them.
 */
export function requireCredentials({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: S3Credentials): S3Credentials {
  const isValid =
    /^[\x21-\x7e]{1,256}$/.test(accessKeyId) &&
    /^[\x20-\x7e]{1,1024}$/.test(secretAccessKey) &&
    (sessionToken === undefined || /^[\x21-\x7e]{0,16384}$/.test(sessionToken))
  if (!isValid) {
    const message = "The credentials for S3 contain characters that they can't have. Set them again."
    const issues = [{ path: 'credentials', message: 'are not valid' }]
    throw new DownloadError('INVALID_OPTIONS', message, { issues })
  }
  const hasSession = sessionToken !== undefined && sessionToken !== ''
  return { accessKeyId, secretAccessKey, ...(hasSession ? { sessionToken } : {}) }
}
